-- Measured operator executions of timed frames, once each.
--
-- Times of the probe exclude its own summaries, at any level: they are never inflated.
CREATE OR REPLACE MACRO _layer_timed(selector := '') AS TABLE
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
  f.role,
  f.model_name,
  f.model_sha256,
  f.kernels,
  f.device,
  f.trace_id,
  f.span_id AS frame_span_id,
  l.span_id,
  l.layer_index,
  l.layer_name,
  l.op,
  l.timing,
  ms(l.dur_ns) AS dur_ms,
  f.inflated AND l.timing <> 'probe' AS inflated
FROM timed AS f
INNER JOIN _layer_spans AS l
  ON f.run_id = l.run_id
  AND f.trace_id = l.trace_id
  AND f.span_id = l.frame_span_id
WHERE
  l.dur_ns IS NOT NULL
  AND coalesce(l.subgraph_index, 0) = 0
  AND l.build IN (SELECT b.build FROM timed_build AS b);

-- Time of each layer, in the model's order; layers never measured are not in it.
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
--   layer_index INTEGER: operator's index in the model.
--   layer_name VARCHAR: its name as the converter wrote it.
--   op VARCHAR: operator.
--   timing VARCHAR: how it was measured: probe, xnnpack, profiler or eager.
--   executions BIGINT: executions counted.
--   mean_ms DOUBLE: mean, ms.
--   p50_ms DOUBLE: median, ms.
--   p99_ms DOUBLE: 99th percentile, ms.
--   time_ratio DOUBLE: share of the time of all measured layers.
--   inflated BOOLEAN: whether the times include summaries, for want of others.
CREATE OR REPLACE MACRO layer_latency(selector := '') AS TABLE
WITH
layer AS (
  SELECT
    l.role,
    l.model_name,
    l.model_sha256,
    l.kernels,
    l.device,
    l.layer_index,
    l.timing,
    any_value(l.layer_name) AS layer_name,
    any_value(l.op) AS op,
    count(*) AS executions,
    sum(l.dur_ms) AS total_ms,
    avg(l.dur_ms) AS mean_ms,
    quantile_cont(l.dur_ms, 0.5) AS p50_ms,
    quantile_cont(l.dur_ms, 0.99) AS p99_ms,
    bool_or(l.inflated) AS inflated
  FROM _layer_timed(selector) AS l
  GROUP BY
    l.role, l.model_name, l.model_sha256, l.kernels, l.device, l.layer_index, l.timing
)

SELECT
  y.role,
  y.model_name,
  y.kernels,
  y.device,
  y.layer_index,
  y.layer_name,
  y.op,
  y.timing,
  y.executions,
  y.mean_ms,
  y.p50_ms,
  y.p99_ms,
  y.total_ms / nullif(
    sum(y.total_ms) OVER (
      PARTITION BY y.role, y.model_name, y.model_sha256, y.kernels, y.device
    ), 0
  ) AS time_ratio,
  y.inflated
FROM layer AS y
ORDER BY y.role, y.model_name, y.kernels, y.device, y.layer_index, y.timing;
