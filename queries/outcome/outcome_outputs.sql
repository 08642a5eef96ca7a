-- What a build answered to each input, with sketches of the model's first input and output.
--
-- For one input and model the newest frame counts.
--
-- Arguments:
--   selector: build, run id or run ids.
-- Columns:
--   role VARCHAR: edge or reference.
--   model_sha256 VARCHAR: SHA-256 of the model file, hex.
--   input_key BIGINT: the input.
--   input_id VARCHAR: what the caller named it.
--   top1 INTEGER: best class; NULL where the output names none.
--   count BIGINT: elements of the output; NULL where it was not summarised.
--   sketch FLOAT[]: its sketch, of 256 sums where it was kept, else of 64.
--   input_sketch FLOAT[]: the same of the model's input.
CREATE OR REPLACE MACRO outcome_outputs(selector := '') AS TABLE
WITH
newest AS MATERIALIZED (
  SELECT *
  FROM _frame_newest(selector)
),

tensor AS MATERIALIZED (
  SELECT
    n.trace_id,
    n.span_id,
    t.tensor_role,
    t.count,
    coalesce(t.sketch_256, t.sketch) AS sketch
  FROM newest AS n
  INNER JOIN _tensors AS t
    ON n.run_id = t.run_id
    AND n.trace_id = t.trace_id
    AND n.span_id = t.frame_span_id
  WHERE
    t.tensor_role IN ('input', 'output')
    AND t.tensor_index = 0
    AND t.build IN (SELECT DISTINCT b.build FROM newest AS b)
  QUALIFY
    row_number() OVER (
      PARTITION BY n.trace_id, n.span_id, t.tensor_role
      ORDER BY t.start_ns, t.span_id
    ) = 1
)

SELECT
  n.role,
  n.model_sha256,
  n.input_key,
  n.input_id,
  list_extract(n.prediction_ids, 1) AS top1,
  o.count,
  o.sketch,
  i.sketch AS input_sketch
FROM newest AS n
LEFT JOIN tensor AS o
  ON n.trace_id = o.trace_id AND n.span_id = o.span_id AND o.tensor_role = 'output'
LEFT JOIN tensor AS i
  ON n.trace_id = i.trace_id AND n.span_id = i.span_id AND i.tensor_role = 'input'
WHERE n.status <> 'error'
ORDER BY n.role, n.model_sha256, n.input_id;
