-- Spans of exray itself directly below timed frames: stages and inferences, once each.
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
)

SELECT DISTINCT
  f.run_id,
  f.role,
  f.model_name,
  f.model_sha256,
  f.kernels,
  f.device,
  f.inflated,
  s.run_id AS span_run_id,
  s.trace_id,
  s.span_id,
  s.frame_span_id,
  s.name,
  s.dur_ns
FROM timed AS f
INNER JOIN _spans AS s ON f.trace_id = s.trace_id AND f.span_id = s.frame_span_id
WHERE
  s.scope = 'exray'
  AND s.dur_ns IS NOT NULL
  AND s.build IN (SELECT b.build FROM timed_build AS b);

-- Time of each stage outside the model, the slowest first.
--
-- Quantiles are exact and over executions of the stage. Only frames at level latency count
-- where there are any, because summaries take time.
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
  avg(ms(s.dur_ns)) AS mean_ms,
  quantile_cont(ms(s.dur_ns), 0.5) AS p50_ms,
  quantile_cont(ms(s.dur_ns), 0.99) AS p99_ms,
  bool_or(s.inflated) AS inflated
FROM _stage_spans(selector) AS s
WHERE s.name <> 'inference' AND s.span_run_id = s.run_id
GROUP BY s.role, s.model_name, s.model_sha256, s.kernels, s.device, s.name
ORDER BY s.role ASC, s.model_name ASC, s.kernels ASC, s.device ASC, mean_ms DESC, stage ASC;
