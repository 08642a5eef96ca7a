-- Measured operator executions whose times count, once each and in their place among those
-- of the same layer.
--
-- A runtime may show layers only in frames that it summarises. So here those of frames at
-- level latency count alone where there are any, whatever holds for the frames. Times of the
-- probe exclude its own summaries, at any level: they are never inflated.
CREATE OR REPLACE MACRO _layer_timed(selector := '') AS TABLE
WITH
whole AS MATERIALIZED (
  SELECT *
  FROM _frame_whole(selector)
),

-- As in _frame_seen, the filter on the files.
whole_build AS MATERIALIZED (
  SELECT DISTINCT w.build
  FROM whole AS w
),

execution AS (
  SELECT DISTINCT
    f.build,
    f.role,
    f.model_name,
    f.model_sha256,
    f.kernels,
    f.device,
    f.level,
    f.weight,
    f.trace_id,
    f.span_id AS frame_span_id,
    l.span_id,
    l.layer_index,
    l.layer_name,
    l.op,
    l.timing,
    ms(l.dur_ns) AS dur_ms
  FROM whole AS f
  INNER JOIN _layer_spans AS l
    ON f.run_id = l.run_id
    AND f.trace_id = l.trace_id
    AND f.span_id = l.frame_span_id
  WHERE
    l.dur_ns IS NOT NULL
    AND coalesce(l.subgraph_index, 0) = 0
    AND l.build IN (SELECT b.build FROM whole_build AS b)
),

marked AS (
  SELECT
    e.*,
    bool_or(e.level = 'latency') OVER (
      PARTITION BY e.build, e.role, e.model_sha256, e.kernels, e.device
    ) AS has_latency
  FROM execution AS e
)

SELECT
  m.role,
  m.model_name,
  m.model_sha256,
  m.kernels,
  m.device,
  m.trace_id,
  m.frame_span_id,
  m.span_id,
  m.layer_index,
  m.layer_name,
  m.op,
  m.timing,
  m.level,
  m.dur_ms,
  m.weight,
  sum(m.weight) OVER (
    PARTITION BY
      m.role, m.model_name, m.model_sha256, m.kernels, m.device, m.layer_index, m.timing
    ORDER BY m.dur_ms, m.weight ROWS UNBOUNDED PRECEDING
  ) AS upto,
  sum(m.weight) OVER (
    PARTITION BY
      m.role, m.model_name, m.model_sha256, m.kernels, m.device, m.layer_index, m.timing
  ) AS total,
  NOT m.has_latency AND m.timing <> 'probe' AS inflated
FROM marked AS m
WHERE m.level = 'latency' OR NOT m.has_latency;

-- Time of each layer, in the model's order; layers never measured are not in it.
--
-- Only frames at level latency count where they show layers, because summaries take time. Each
-- counts as the frames that it stands for, 1 / sample rate; quantiles are values that occur.
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
--   effective_executions DOUBLE: equally weighted executions that would say as much.
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
    weighted_count(l.weight) AS effective_executions,
    sum(l.dur_ms * l.weight) AS total_ms,
    weighted_mean(l.dur_ms, l.weight) AS mean_ms,
    weighted_quantile(l.dur_ms, l.upto, l.total, 0.5) AS p50_ms,
    weighted_quantile(l.dur_ms, l.upto, l.total, 0.99) AS p99_ms,
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
  y.effective_executions,
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
