-- Frames whose times count: those at level latency, or where a group of equal models,
-- kernels and devices has none, all of its frames, marked as inflated by summaries.
--
-- Failed frames do not count: they end early.
CREATE OR REPLACE MACRO _frame_timed(selector := '') AS TABLE
WITH
marked AS (
  SELECT
    f.*,
    bool_or(f.level = 'latency') OVER (
      PARTITION BY f.build, f.role, f.model_sha256, f.kernels, f.device
    ) AS has_latency
  FROM _frame_seen(selector) AS f
  WHERE f.status <> 'error'
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
  NOT m.has_latency AS inflated
FROM marked AS m
WHERE m.level = 'latency' OR NOT m.has_latency;

-- Time of whole frames, from entering the frame to leaving it.
--
-- Quantiles are exact. Only frames at level latency count where there are any, because
-- summaries take time.
--
-- Arguments:
--   selector: build, run id or run ids.
-- Columns:
--   role VARCHAR: edge or reference.
--   model_name VARCHAR: model.
--   kernels VARCHAR: kernel family.
--   device VARCHAR: device model, or the device's id where the model is not known.
--   frames BIGINT: frames counted.
--   mean_ms DOUBLE: mean, ms.
--   p50_ms DOUBLE: median, ms.
--   p99_ms DOUBLE: 99th percentile, ms.
--   max_ms DOUBLE: longest, ms.
--   inflated BOOLEAN: whether the times include summaries, for want of others.
CREATE OR REPLACE MACRO frame_latency(selector := '') AS TABLE
SELECT
  f.role,
  f.model_name,
  f.kernels,
  f.device,
  count(*) AS frames,
  avg(ms(f.dur_ns)) AS mean_ms,
  quantile_cont(ms(f.dur_ns), 0.5) AS p50_ms,
  quantile_cont(ms(f.dur_ns), 0.99) AS p99_ms,
  max(ms(f.dur_ns)) AS max_ms,
  bool_or(f.inflated) AS inflated
FROM _frame_timed(selector) AS f
WHERE f.dur_ns IS NOT NULL
GROUP BY f.role, f.model_name, f.model_sha256, f.kernels, f.device
ORDER BY f.role, f.model_name, f.kernels, f.device;
