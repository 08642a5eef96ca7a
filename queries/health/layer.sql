-- Whether a build's layers put out what layers should: counts over its newest frames.
--
-- First outputs of the operators of the primary subgraph, once an execution. A layer that
-- was not summarised is not in it.
--
-- Arguments:
--   selector: build, run id or run ids.
-- Columns:
--   model_name VARCHAR: model.
--   layer_index INTEGER: operator's index in the model.
--   layer_name VARCHAR: its name as the converter wrote it.
--   op VARCHAR: operator.
--   dtype VARCHAR: element type.
--   executions BIGINT: executions counted.
--   elements DOUBLE: elements of an execution.
--   nan_count BIGINT: elements that are not a number.
--   inf_count BIGINT: infinite elements.
--   zero_ratio DOUBLE: share of elements that are zero.
--   sat_low_ratio DOUBLE: share of integers at their type's low end.
--   sat_high_ratio DOUBLE: share of integers at their type's high end.
--   high_ratio DOUBLE: share of executions with an integer at the high end.
--   certain_ratio DOUBLE: share of executions whose greatest element is 0.995 or more.
--   least DOUBLE: least element.
--   greatest DOUBLE: greatest element.
--   distinct_outputs BIGINT: outputs that differ.
--   distinct_inputs BIGINT: model inputs that differ, of these executions.
CREATE OR REPLACE MACRO layer_health(selector := '') AS TABLE
WITH
frame AS MATERIALIZED (
  SELECT *
  FROM _frame_newest(selector, measured_only := TRUE)
),

-- As in _frame_seen, the filter on the files.
frame_build AS MATERIALIZED (
  SELECT DISTINCT f.build
  FROM frame AS f
),

tensor AS MATERIALIZED (
  SELECT DISTINCT
    f.model_name,
    f.model_sha256,
    t.trace_id,
    t.frame_span_id,
    t.span_id,
    t.inference_index,
    t.tensor_role,
    t.tensor_index,
    t.layer_index,
    t.layer_name,
    t.op,
    t.dtype,
    t.count,
    t.nan_count,
    t.posinf_count + t.neginf_count AS inf_count,
    t.zero_count,
    t.sat_low_count,
    t.sat_high_count,
    t.min,
    t.max,
    t.hash
  FROM frame AS f
  INNER JOIN _tensors AS t
    ON f.trace_id = t.trace_id
    AND f.span_id = t.frame_span_id
    AND f.run_id = t.run_id
  WHERE
    t.build IN (SELECT b.build FROM frame_build AS b)
    AND coalesce(t.subgraph_index, 0) = 0
    AND t.tensor_role IN ('input', 'layer', 'output')
),

input AS (
  SELECT
    t.trace_id,
    t.frame_span_id,
    t.inference_index,
    string_agg(CAST(t.hash AS VARCHAR), ' ' ORDER BY t.tensor_index) AS input_hash
  FROM tensor AS t
  WHERE t.tensor_role = 'input' AND t.layer_index IS NULL
  GROUP BY t.trace_id, t.frame_span_id, t.inference_index
)

SELECT
  t.model_name,
  t.layer_index,
  any_value(t.layer_name) AS layer_name,
  any_value(t.op) AS op,
  any_value(t.dtype) AS dtype,
  count(*) AS executions,
  avg(CAST(t.count AS DOUBLE)) AS elements,
  CAST(sum(t.nan_count) AS BIGINT) AS nan_count,
  CAST(sum(t.inf_count) AS BIGINT) AS inf_count,
  CAST(sum(t.zero_count) AS DOUBLE) / nullif(CAST(sum(t.count) AS DOUBLE), 0) AS zero_ratio,
  CAST(sum(t.sat_low_count) AS DOUBLE) / nullif(CAST(sum(t.count) AS DOUBLE), 0)
    AS sat_low_ratio,
  CAST(sum(t.sat_high_count) AS DOUBLE) / nullif(CAST(sum(t.count) AS DOUBLE), 0)
    AS sat_high_ratio,
  avg(CASE WHEN t.sat_high_count > 0 THEN 1.0 ELSE 0.0 END) AS high_ratio,
  avg(CASE WHEN t.max >= 0.995 THEN 1.0 ELSE 0.0 END) AS certain_ratio,
  CAST(min(t.min) AS DOUBLE) AS least,
  CAST(max(t.max) AS DOUBLE) AS greatest,
  count(DISTINCT t.hash) AS distinct_outputs,
  count(DISTINCT i.input_hash) AS distinct_inputs
FROM tensor AS t
LEFT JOIN input AS i
  ON t.trace_id = i.trace_id
  AND t.frame_span_id = i.frame_span_id
  AND t.inference_index IS NOT DISTINCT FROM i.inference_index
WHERE t.layer_index IS NOT NULL AND t.tensor_index = 0
GROUP BY t.model_name, t.model_sha256, t.layer_index
ORDER BY t.model_name, t.layer_index;
