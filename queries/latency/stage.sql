-- Spans of exray itself directly below timed frames: stages, and inferences of the model
-- whose run it is, once each and in their place among those of the same name.
CREATE OR REPLACE MACRO _stage_spans(selector := '') AS TABLE
WITH
timed AS MATERIALIZED (
  SELECT *
  FROM _frame_timed(selector)
),

-- As in _frame_seen, the filter on the files.
timed_build AS MATERIALIZED (
  SELECT DISTINCT t.build
  FROM timed AS t
),

span AS (
  SELECT DISTINCT
    f.role,
    f.model_name,
    f.model_sha256,
    f.kernels,
    f.device,
    f.weight,
    f.inflated,
    s.trace_id,
    s.span_id,
    s.frame_span_id,
    s.name,
    s.dur_ns
  FROM timed AS f
  INNER JOIN _spans AS s
    ON f.trace_id = s.trace_id AND f.span_id = s.frame_span_id AND f.run_id = s.run_id
  WHERE
    s.scope = 'exray'
    AND s.dur_ns IS NOT NULL
    AND s.build IN (SELECT b.build FROM timed_build AS b)
)

SELECT
  s.*,
  sum(s.weight) OVER (
    PARTITION BY s.role, s.model_name, s.model_sha256, s.kernels, s.device, s.name
    ORDER BY s.dur_ns, s.weight ROWS UNBOUNDED PRECEDING
  ) AS upto,
  sum(s.weight) OVER (
    PARTITION BY s.role, s.model_name, s.model_sha256, s.kernels, s.device, s.name
  ) AS total
FROM span AS s;

-- Time of each stage outside the model, the slowest first.
--
-- Quantiles are over executions of the stage, and values that occur. Only frames at level
-- latency count where there are any, because summaries take time; each counts as the frames
-- that it stands for, 1 / sample rate.
--
-- Arguments:
--   selector: build, run id or run ids.
-- Columns:
--   role VARCHAR: edge or reference.
--   model_name VARCHAR: first model of the frame.
--   kernels VARCHAR: kernel family.
--   device VARCHAR: device model, or the device's id where the model is not known.
--   stage VARCHAR: the stage's name.
--   frames BIGINT: frames that have the stage.
--   executions BIGINT: how often it ran in them.
--   effective_executions DOUBLE: equally weighted executions that would say as much.
--   mean_ms DOUBLE: mean, ms.
--   p50_ms DOUBLE: median, ms.
--   p99_ms DOUBLE: 99th percentile, ms.
--   inflated BOOLEAN: whether the times include summaries, for want of others.
CREATE OR REPLACE MACRO stage_latency(selector := '') AS TABLE
SELECT
  s.role,
  s.model_name,
  s.kernels,
  s.device,
  s.name AS stage,
  count(DISTINCT s.frame_span_id) AS frames,
  count(*) AS executions,
  weighted_count(s.weight) AS effective_executions,
  weighted_mean(ms(s.dur_ns), s.weight) AS mean_ms,
  weighted_quantile(ms(s.dur_ns), s.upto, s.total, 0.5) AS p50_ms,
  weighted_quantile(ms(s.dur_ns), s.upto, s.total, 0.99) AS p99_ms,
  bool_or(s.inflated) AS inflated
FROM _stage_spans(selector) AS s
WHERE s.name <> 'inference'
GROUP BY s.role, s.model_name, s.model_sha256, s.kernels, s.device, s.name
ORDER BY s.role ASC, s.model_name ASC, s.kernels ASC, s.device ASC, mean_ms DESC, stage ASC;

-- Stages outside the model in the order in which they run.
--
-- Arguments:
--   selector: build, run id or run ids.
-- Columns:
--   stage VARCHAR: the stage's name.
--   offset_ms DOUBLE: median time from its frame's start to its own, ms.
CREATE OR REPLACE MACRO stage_order(selector := '') AS TABLE
SELECT
  s.name AS stage,
  median(ms(s.start_ns - f.start_ns)) AS offset_ms
FROM _frame_seen(selector) AS f
INNER JOIN _spans AS s
  ON f.trace_id = s.trace_id AND f.span_id = s.frame_span_id AND f.run_id = s.run_id
WHERE
  s.scope = 'exray'
  AND s.name <> 'inference'
  AND s.build IN (SELECT DISTINCT r.build FROM _run_selected(selector) AS r)
GROUP BY s.name
ORDER BY offset_ms ASC, stage ASC;
