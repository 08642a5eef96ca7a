-- Energy of a tensor's error relative to the reference's.
--
-- A reference of only zeros has no energy to compare with: an edge of only zeros equals
-- it, any other counts as 100, the end of the decibel scale, so that one dead frame
-- cannot outweigh all others.
CREATE OR REPLACE MACRO _tensor_nsr(sqdist, reference_sum2) AS
CASE
  WHEN reference_sum2 > 0 THEN sqdist / reference_sum2
  WHEN sqdist = 0 THEN CAST(0 AS DOUBLE)
  WHEN sqdist > 0 THEN CAST(100 AS DOUBLE)
END;

-- Tensors of both sides of all paired frames: with_layers the first outputs of layers,
-- with_others what stands outside layers.
--
-- match_* is the same on both sides for tensors to compare. Layers meet by the index of
-- the reference's layer; the model's inputs and raw inputs by position, because runtimes
-- name them differently; outputs of stages and custom arrays by name. execution counts how
-- often a tensor was seen before in its frame, from 1: a model may run more than once.
CREATE OR REPLACE MACRO _tensor_sides(
  edge := '', reference := '', with_layers := TRUE, with_others := TRUE
) AS TABLE
WITH
measured AS MATERIALIZED (
  SELECT *
  FROM _frame_measured(edge, reference)
),

wanted AS MATERIALIZED (
  SELECT
    'edge' AS side,
    m.*,
    m.edge_build AS build,
    m.edge_run_id AS run_id,
    m.edge_trace_id AS trace_id,
    m.edge_frame_id AS frame_span_id
  FROM measured AS m
  UNION ALL
  SELECT
    'reference' AS side,
    m.*,
    m.reference_build AS build,
    m.reference_run_id AS run_id,
    m.reference_trace_id AS trace_id,
    m.reference_frame_id AS frame_span_id
  FROM measured AS m
),

-- As in _frame_seen, the filter on the files.
wanted_build AS MATERIALIZED (
  SELECT DISTINCT w.build
  FROM wanted AS w
),

-- What is counted: an inference as a whole, or where there is none each tensor by itself.
-- Nearly all rows collapse into their inference; numbering them would cost more than the
-- distances do.
carrier AS (
  SELECT DISTINCT
    w.side,
    w.pair,
    coalesce(t.inference_index, -1) AS inference_index,
    CASE WHEN t.inference_index IS NULL THEN t.span_id ELSE t.frame_span_id END AS span_id,
    CASE WHEN t.inference_index IS NULL THEN t.start_ns END AS start_ns,
    CASE WHEN t.inference_index IS NULL THEN t.tensor_role END AS tensor_role,
    CASE WHEN t.inference_index IS NULL THEN t.tensor_name END AS tensor_name,
    CASE WHEN t.inference_index IS NULL THEN t.tensor_index END AS tensor_index,
    CASE WHEN t.inference_index IS NULL THEN t.layer_index END AS layer_index
  FROM wanted AS w
  INNER JOIN _tensors AS t
    ON w.trace_id = t.trace_id
    AND w.frame_span_id = t.frame_span_id
    AND (w.run_id = t.run_id OR t.tensor_role IN ('raw', 'stage', 'custom'))
  WHERE t.build IN (SELECT b.build FROM wanted_build AS b)
),

counted AS MATERIALIZED (
  SELECT
    w.side,
    w.pair,
    w.weight,
    w.edge_model_sha256,
    w.reference_model_sha256,
    w.build,
    w.trace_id,
    w.frame_span_id,
    c.inference_index,
    c.span_id,
    dense_rank() OVER (
      PARTITION BY
        c.side, c.pair, c.tensor_role, c.tensor_name, c.tensor_index, c.layer_index
      ORDER BY c.inference_index, c.start_ns, c.span_id
    ) AS execution
  FROM carrier AS c
  INNER JOIN wanted AS w ON c.side = w.side AND c.pair = w.pair
)

SELECT
  c.side,
  c.pair,
  c.weight,
  c.edge_model_sha256,
  c.reference_model_sha256,
  c.execution,
  CASE WHEN t.layer_index IS NULL THEN t.tensor_role ELSE 'layer' END AS match_role,
  CASE WHEN t.tensor_role IN ('stage', 'custom') THEN t.tensor_name ELSE '' END AS match_name,
  CASE
    WHEN t.layer_index IS NULL THEN t.tensor_index
    WHEN c.side = 'reference' OR c.edge_model_sha256 = c.reference_model_sha256
      THEN t.layer_index
    ELSE a.reference_layer_index
  END AS match_index,
  t.layer_index,
  t.layer_name,
  t.op,
  t.tensor_name,
  t.input_key,
  t.dtype,
  t.shape,
  t.scale,
  t.count,
  t.sum2,
  t.min,
  t.max,
  t.nan_count,
  t.posinf_count + t.neginf_count AS inf_count,
  t.zero_count,
  t.sat_low_count,
  t.sat_high_count,
  t.hash,
  t.sketch,
  t.sketch_256,
  t.sketch_version,
  t.histogram,
  t.channels
FROM counted AS c
INNER JOIN _tensors AS t
  ON c.trace_id = t.trace_id
  AND c.frame_span_id = t.frame_span_id
  AND c.inference_index = coalesce(t.inference_index, -1)
  AND c.span_id = CASE WHEN t.inference_index IS NULL THEN t.span_id ELSE t.frame_span_id END
LEFT JOIN alignments AS a
  ON c.side = 'edge'
  AND c.edge_model_sha256 = a.edge_model_sha256
  AND c.reference_model_sha256 = a.reference_model_sha256
  AND t.layer_index = a.edge_layer_index
WHERE
  t.build IN (SELECT b.build FROM wanted_build AS b)
  AND (
    (
      with_layers
      AND t.layer_index IS NOT NULL
      AND t.tensor_role IN ('layer', 'output')
      AND t.tensor_index = 0
      AND coalesce(t.subgraph_index, 0) = 0
    )
    OR (with_others AND t.layer_index IS NULL)
  );
