-- Frames that did not fail, with how many frames each stands for: failed ones end early.
CREATE OR REPLACE MACRO _frame_whole(selector := '') AS TABLE
SELECT
  f.run_id,
  f.build,
  f.role,
  f.model_name,
  f.model_sha256,
  f.kernels,
  f.device,
  f.trace_id,
  f.span_id,
  f.dur_ns,
  f.level,
  1 / f.sample_rate AS weight
FROM _frame_seen(selector) AS f
WHERE f.status <> 'error' AND f.sample_rate > 0;

-- Frames whose times count: those at level latency, or where a group of equal models,
-- kernels and devices has none, all of its frames, marked as inflated by summaries.
--
-- Frames at level latency and frames that are summarised are two samples of all frames. Each
-- speaks for all of them by its own weights; together they would count twice.
CREATE OR REPLACE MACRO _frame_timed(selector := '') AS TABLE
WITH
marked AS (
  SELECT
    f.*,
    bool_or(f.level = 'latency') OVER (
      PARTITION BY f.build, f.role, f.model_sha256, f.kernels, f.device
    ) AS has_latency
  FROM _frame_whole(selector) AS f
)

SELECT
  m.run_id,
  m.build,
  m.role,
  m.model_name,
  m.model_sha256,
  m.kernels,
  m.device,
  m.trace_id,
  m.span_id,
  m.dur_ns,
  m.weight,
  NOT m.has_latency AS inflated
FROM marked AS m
WHERE m.level = 'latency' OR NOT m.has_latency;

-- Time of whole frames, from entering the frame to leaving it.
--
-- Only frames at level latency count where there are any, because summaries take time. Each
-- counts as the frames that it stands for, 1 / sample rate; quantiles are values that occur.
--
-- Arguments:
--   selector: build, run id or run ids.
-- Columns:
--   role VARCHAR: edge or reference.
--   model_name VARCHAR: model.
--   kernels VARCHAR: kernel family.
--   device VARCHAR: device model, or the device's id where the model is not known.
--   frames BIGINT: frames counted.
--   effective_frames DOUBLE: equally weighted frames that would say as much.
--   mean_ms DOUBLE: mean, ms.
--   p50_ms DOUBLE: median, ms.
--   p99_ms DOUBLE: 99th percentile, ms.
--   max_ms DOUBLE: longest, ms.
--   inflated BOOLEAN: whether the times include summaries, for want of others.
CREATE OR REPLACE MACRO frame_latency(selector := '') AS TABLE
WITH
placed AS (
  SELECT
    f.*,
    sum(f.weight) OVER (
      PARTITION BY f.role, f.model_name, f.model_sha256, f.kernels, f.device
      ORDER BY f.dur_ns, f.weight ROWS UNBOUNDED PRECEDING
    ) AS upto,
    sum(f.weight) OVER (
      PARTITION BY f.role, f.model_name, f.model_sha256, f.kernels, f.device
    ) AS total
  FROM _frame_timed(selector) AS f
  WHERE f.dur_ns IS NOT NULL
)

SELECT
  p.role,
  p.model_name,
  p.kernels,
  p.device,
  count(*) AS frames,
  weighted_count(p.weight) AS effective_frames,
  weighted_mean(ms(p.dur_ns), p.weight) AS mean_ms,
  weighted_quantile(ms(p.dur_ns), p.upto, p.total, 0.5) AS p50_ms,
  weighted_quantile(ms(p.dur_ns), p.upto, p.total, 0.99) AS p99_ms,
  max(ms(p.dur_ns)) AS max_ms,
  bool_or(p.inflated) AS inflated
FROM placed AS p
GROUP BY p.role, p.model_name, p.model_sha256, p.kernels, p.device
ORDER BY p.role, p.model_name, p.kernels, p.device;
