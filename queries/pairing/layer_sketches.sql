-- Sketches of every layer's first output in the paired frames whose inputs are nearest.
--
-- What aligning two models needs: outputs that both made of the same model input. A frame
-- in which the model ran more than once is left out, for its outputs are several.
--
-- Arguments:
--   edge: build, run id or run ids of the edge.
--   reference: build, run id or run ids of the reference.
--   max_frames: paired frames taken at most.
-- Columns:
--   side VARCHAR: edge or reference.
--   pair BIGINT: the paired frame.
--   input_sqnr_db DOUBLE: SQNR of the edge's model input against the reference's.
--   layer_index INTEGER: operator's index in its model.
--   count BIGINT: elements of the output.
--   sketch FLOAT[]: its sketch, 64 values.
CREATE OR REPLACE MACRO layer_sketches(edge := '', reference := '', max_frames := 16) AS TABLE
WITH
measured AS MATERIALIZED (
  SELECT *
  FROM _frame_measured(edge, reference)
),

model_input AS (
  SELECT
    m.pair,
    -- distinct, because a repeated row of the lake is no second execution
    count(DISTINCT e.span_id) AS edge_executions,
    count(DISTINCT r.span_id) AS reference_executions,
    min(
      CASE
        WHEN e.count = r.count AND r.sum2 > 0 THEN sketch_sqdist(e.sketch, r.sketch) / r.sum2
      END
    ) AS nsr
  FROM measured AS m
  INNER JOIN _tensors AS e
    ON m.edge_build = e.build
    AND m.edge_trace_id = e.trace_id
    AND m.edge_frame_id = e.frame_span_id
    AND m.edge_model_sha256 = e.model_sha256
  INNER JOIN _tensors AS r
    ON m.reference_build = r.build
    AND m.reference_trace_id = r.trace_id
    AND m.reference_frame_id = r.frame_span_id
    AND m.reference_model_sha256 = r.model_sha256
  WHERE
    e.tensor_role = 'input'
    AND r.tensor_role = 'input'
    AND e.tensor_index = 0
    AND r.tensor_index = 0
  GROUP BY m.pair
),

chosen AS MATERIALIZED (
  SELECT
    m.*,
    sqnr_db(i.nsr) AS input_sqnr_db
  FROM model_input AS i
  INNER JOIN measured AS m ON i.pair = m.pair
  WHERE i.edge_executions = 1 AND i.reference_executions = 1
  QUALIFY row_number() OVER (ORDER BY i.nsr ASC NULLS LAST, i.pair ASC) <= max_frames
)

SELECT DISTINCT
  'edge' AS side,
  c.pair,
  c.input_sqnr_db,
  t.layer_index,
  t.count,
  t.sketch
FROM chosen AS c
INNER JOIN _tensors AS t
  ON c.edge_build = t.build
  AND c.edge_trace_id = t.trace_id
  AND c.edge_frame_id = t.frame_span_id
  AND c.edge_model_sha256 = t.model_sha256
WHERE t.tensor_role = 'layer' AND t.tensor_index = 0 AND t.subgraph_index = 0
UNION ALL
SELECT DISTINCT
  'reference' AS side,
  c.pair,
  c.input_sqnr_db,
  t.layer_index,
  t.count,
  t.sketch
FROM chosen AS c
INNER JOIN _tensors AS t
  ON c.reference_build = t.build
  AND c.reference_trace_id = t.trace_id
  AND c.reference_frame_id = t.frame_span_id
  AND c.reference_model_sha256 = t.model_sha256
WHERE t.tensor_role = 'layer' AND t.tensor_index = 0 AND t.subgraph_index = 0
ORDER BY side, pair, layer_index;
