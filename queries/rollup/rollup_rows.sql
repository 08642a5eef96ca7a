-- Numbers of one group's frames; the runs that the connection shows are that group's and its
-- reference's alone.
CREATE OR REPLACE MACRO _rollup_frames(
  selector := '', wanted_role := 'edge', reference := ''
) AS TABLE
WITH
frame AS (
  SELECT *
  FROM frame_latency(selector) AS f
  WHERE f.role = wanted_role
),

answered AS (
  SELECT
    sum(o.judged) AS judged,
    sum(o.correct) AS correct
  FROM outcome_accuracy(selector) AS o
  WHERE o.role = wanted_role
),

compared AS (
  SELECT
    sum(c.judged) AS judged,
    sum(c.edge_only_correct) AS edge_only_correct,
    sum(c.reference_only_correct) AS reference_only_correct
  FROM outcome_compare(selector, reference) AS c
  WHERE reference <> ''
),

-- Frames at level latency and summarised ones are two samples of all frames, so either
-- speaks for the time of all; what recording took is the sum over both.
took AS (
  SELECT sum(w.overhead_ns) AS overhead_ns
  FROM (
    SELECT DISTINCT
      f.trace_id,
      f.span_id,
      f.overhead_ns
    FROM _frames AS f
    INNER JOIN _run_selected(selector, wanted_role) AS c ON f.run_id = c.run_id
    WHERE f.build = selector
  ) AS w
),

spent AS (
  SELECT sum(t.dur_ns * t.weight) AS dur_ns
  FROM _frame_timed(selector) AS t
  WHERE t.role = wanted_role
),

fed AS (
  SELECT min(i.sqnr_db) AS input_sqnr_db
  FROM input_divergence(selector, reference) AS i
  WHERE reference <> '' AND i.tensor_role = 'input'
)

SELECT
  CAST(coalesce((SELECT a.judged FROM answered AS a), 0) AS BIGINT) AS judged,
  CAST(coalesce((SELECT a.correct FROM answered AS a), 0) AS BIGINT) AS correct,
  (SELECT max(f.mean_ms) FROM frame AS f) AS mean_ms,
  (SELECT max(f.p50_ms) FROM frame AS f) AS p50_ms,
  (SELECT max(f.p99_ms) FROM frame AS f) AS p99_ms,
  (SELECT bool_or(f.inflated) FROM frame AS f) AS inflated,
  CAST((SELECT t.overhead_ns FROM took AS t) AS DOUBLE)
  / nullif((SELECT s.dur_ns FROM spent AS s), 0) AS overhead_ratio,
  CAST((SELECT c.judged FROM compared AS c) AS BIGINT) AS paired_judged,
  CAST((SELECT c.edge_only_correct FROM compared AS c) AS BIGINT) AS edge_only_correct,
  CAST((SELECT c.reference_only_correct FROM compared AS c) AS BIGINT)
    AS reference_only_correct,
  (SELECT d.input_sqnr_db FROM fed AS d) AS input_sqnr_db;

-- Statistics of the first output of each layer over one group's frames.
CREATE OR REPLACE MACRO _rollup_outputs(selector := '', wanted_role := 'edge') AS TABLE
WITH
tensor AS (
  SELECT DISTINCT
    t.trace_id,
    t.span_id,
    t.layer_index,
    t.layer_name,
    t.op,
    t.scale,
    t.count,
    finite_or_null(t.sum) AS sum,
    finite_or_null(t.sum2) AS sum2,
    t.min,
    t.max,
    t.nan_count,
    t.posinf_count + t.neginf_count AS inf_count,
    t.zero_count,
    t.sat_low_count + t.sat_high_count AS sat_count
  FROM _frame_seen(selector, wanted_role) AS f
  INNER JOIN _tensors AS t
    ON f.run_id = t.run_id AND f.trace_id = t.trace_id AND f.span_id = t.frame_span_id
  WHERE
    t.layer_index IS NOT NULL
    AND t.tensor_index = 0
    AND t.tensor_role IN ('layer', 'output')
    AND coalesce(t.subgraph_index, 0) = 0
    AND t.build = selector
)

SELECT
  t.layer_index,
  any_value(t.layer_name) AS layer_name,
  any_value(t.op) AS op,
  count(*) AS outputs,
  sum(t.sum) / nullif(sum(t.count) FILTER (WHERE t.sum IS NOT NULL), 0) AS mean,
  sqrt(
    greatest(
      CAST(0 AS DOUBLE),
      sum(t.sum2) / nullif(sum(t.count) FILTER (WHERE t.sum2 IS NOT NULL), 0)
      - pow(sum(t.sum) / nullif(sum(t.count) FILTER (WHERE t.sum IS NOT NULL), 0), 2)
    )
  ) AS std,
  min(t.min) AS min,
  max(t.max) AS max,
  CAST(sum(t.nan_count) AS BIGINT) AS nan_count,
  CAST(sum(t.inf_count) AS BIGINT) AS inf_count,
  CAST(sum(t.zero_count) AS DOUBLE) / nullif(sum(t.count), 0) AS zero_ratio,
  CAST(sum(t.sat_count) AS DOUBLE) / nullif(sum(t.count), 0) AS sat_ratio,
  CASE WHEN count(DISTINCT t.scale) = 1 THEN any_value(t.scale) END AS scale
FROM tensor AS t
GROUP BY t.layer_index;

-- One row of layer_build_stats for each layer of one group, as _rollup_frames for frames.
CREATE OR REPLACE MACRO _rollup_layers(
  selector := '', wanted_role := 'edge', reference := ''
) AS TABLE
WITH
timed AS (
  SELECT *
  FROM layer_latency(selector) AS l
  WHERE l.role = wanted_role
  -- where a layer was timed in two ways, the way that was used most
  QUALIFY row_number() OVER (
    PARTITION BY l.layer_index ORDER BY l.executions DESC, l.timing ASC
  ) = 1
),

output AS (
  SELECT *
  FROM _rollup_outputs(selector, wanted_role)
),

distant AS (
  SELECT *
  FROM layer_divergence(selector, reference) AS d
  WHERE reference <> '' AND d.frames > 0
),

known AS (
  SELECT
    k.layer_index,
    any_value(k.layer_name) AS layer_name,
    any_value(k.op) AS op
  FROM (
    SELECT t.layer_index, t.layer_name, t.op FROM timed AS t
    UNION ALL
    SELECT o.layer_index, o.layer_name, o.op FROM output AS o
    UNION ALL
    SELECT d.layer_index, d.layer_name, d.op FROM distant AS d
  ) AS k
  WHERE k.layer_index IS NOT NULL
  GROUP BY k.layer_index
)

SELECT
  k.layer_index,
  coalesce(k.layer_name, '') AS layer_name,
  coalesce(k.op, '') AS op,
  t.timing,
  t.executions,
  t.mean_ms,
  t.p50_ms,
  t.p99_ms,
  t.time_ratio,
  t.inflated,
  o.outputs,
  o.mean,
  o.std,
  o.min,
  o.max,
  o.nan_count,
  o.inf_count,
  o.zero_ratio,
  o.sat_ratio,
  o.scale,
  d.reference_layer_index,
  d.frames,
  d.nsr,
  d.sqnr_db,
  d.drop_db,
  d.cosine,
  d.nrmse,
  d.rmse_scale
FROM known AS k
LEFT JOIN timed AS t ON k.layer_index = t.layer_index
LEFT JOIN output AS o ON k.layer_index = o.layer_index
LEFT JOIN distant AS d ON k.layer_index = d.layer_index
ORDER BY k.layer_index;
