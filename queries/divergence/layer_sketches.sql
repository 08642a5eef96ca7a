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
    s.pair,
    s.side,
    -- distinct, because a repeated row of the lake is no second execution
    count(DISTINCT s.execution) AS executions,
    any_value(s.count) AS count,
    any_value(s.sum2) AS sum2,
    any_value(s.sketch) AS sketch
  FROM _tensor_sides(edge, reference, with_layers := FALSE) AS s
  WHERE s.match_role = 'input' AND s.match_index = 0
  GROUP BY s.pair, s.side
),

distance AS (
  SELECT
    e.pair,
    CASE
      WHEN e.count = r.count THEN _tensor_nsr(sketch_sqdist(e.sketch, r.sketch), r.sum2)
    END AS nsr
  FROM model_input AS e
  INNER JOIN model_input AS r ON e.pair = r.pair
  WHERE
    e.side = 'edge'
    AND r.side = 'reference'
    AND e.executions = 1
    AND r.executions = 1
),

chosen AS MATERIALIZED (
  SELECT
    m.*,
    sqnr_db(d.nsr) AS input_sqnr_db
  FROM distance AS d
  INNER JOIN measured AS m ON d.pair = m.pair
  QUALIFY row_number() OVER (ORDER BY d.nsr ASC NULLS LAST, d.pair ASC) <= max_frames
),

-- Both sides' few frames in one list of values, for the scan to filter by.
sought AS MATERIALIZED (
  SELECT
    'edge' AS side,
    c.pair,
    c.input_sqnr_db,
    c.edge_build AS build,
    c.edge_run_id AS run_id,
    c.edge_trace_id AS trace_id,
    c.edge_frame_id AS frame_span_id
  FROM chosen AS c
  UNION ALL
  SELECT
    'reference' AS side,
    c.pair,
    c.input_sqnr_db,
    c.reference_build AS build,
    c.reference_run_id AS run_id,
    c.reference_trace_id AS trace_id,
    c.reference_frame_id AS frame_span_id
  FROM chosen AS c
)

SELECT DISTINCT
  s.side,
  s.pair,
  s.input_sqnr_db,
  t.layer_index,
  t.count,
  t.sketch
FROM sought AS s
INNER JOIN _tensors AS t
  ON s.run_id = t.run_id
  AND s.trace_id = t.trace_id
  AND s.frame_span_id = t.frame_span_id
WHERE
  t.tensor_role = 'layer'
  AND t.tensor_index = 0
  AND coalesce(t.subgraph_index, 0) = 0
  AND t.build IN (SELECT DISTINCT b.build FROM sought AS b)
ORDER BY s.side, s.pair, t.layer_index;
