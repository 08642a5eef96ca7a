-- Tensors outside layers with the best affine map of the reference onto the edge.
--
-- A reference that hardly varies fits any gain: NULL.
CREATE OR REPLACE MACRO _input_fits(edge := '', reference := '') AS TABLE
WITH
number AS (
  SELECT *
  FROM _tensor_numbers(edge, reference, with_layers := FALSE) AS t
  WHERE t.match_role IN ('raw', 'stage', 'input', 'custom')
),

solved AS (
  SELECT
    n.*,
    CASE
      WHEN n.rr * n.ones - n.r1 * n.r1 > 1e-9 * n.rr * n.ones
        THEN (n.er * n.ones - n.e1 * n.r1) / (n.rr * n.ones - n.r1 * n.r1)
    END AS fit_gain
  FROM number AS n
)

SELECT
  s.*,
  (s.e1 - s.fit_gain * s.r1) / s.ones AS offset_value,
  (s.ee - s.fit_gain * s.er - (s.e1 - s.fit_gain * s.r1) / s.ones * s.e1) / nullif(s.ee, 0)
    AS unexplained
FROM solved AS s;

-- Where edge and reference already differ before the model's first layer.
--
-- A row for each model input, raw input, output of a stage and recorded array that both
-- sides have. Model inputs and raw inputs meet by position, the others by name. gain and
-- offset say which affine map of the reference comes nearest to the edge, and affine_db
-- what is left after it: a wrong value range shows as a high affine_db at a low sqnr_db.
-- They are computed for model inputs only, whose size is the same in all frames.
--
-- Arguments:
--   edge: build, run id or run ids of the edge.
--   reference: build, run id or run ids of the reference.
-- Columns:
--   edge_model VARCHAR: edge model.
--   reference_model VARCHAR: reference model.
--   tensor_role VARCHAR: raw, stage, input or custom.
--   tensor_name VARCHAR: its name on the edge.
--   reference_tensor_name VARCHAR: its name on the reference.
--   tensor_index INTEGER: position among the tensors of its span.
--   frames BIGINT: paired frames that have the tensor on both sides.
--   effective_frames DOUBLE: equally weighted frames that would say as much.
--   equal_frames BIGINT: frames in which the tensors are equal byte for byte.
--   nonfinite_executions BIGINT: executions with NaN or infinite elements on either side.
--   nsr DOUBLE: mean of squared error / squared reference; NULL where it cannot be known.
--   sqnr_db DOUBLE: the same in dB, -20 to 140.
--   cosine DOUBLE: mean cosine, -1 to 1.
--   gain DOUBLE: factor of the best affine map, dimensionless.
--   offset_value DOUBLE: its constant, in the tensor's unit.
--   affine_db DOUBLE: squared edge / squared error left after the best affine map, in dB.
--   nrmse DOUBLE: root mean square error / the larger range of the two, dimensionless.
--   rmse_scale DOUBLE: root mean square error / the edge's quantization step; NULL where it
--     is not quantized.
--   edge_min DOUBLE: least element on the edge.
--   edge_max DOUBLE: greatest element on the edge.
--   reference_min DOUBLE: least element on the reference.
--   reference_max DOUBLE: greatest element on the reference.
--   edge_dtype VARCHAR: element type on the edge.
--   reference_dtype VARCHAR: element type on the reference.
--   edge_shape VARCHAR: a frame's dimensions on the edge.
--   reference_shape VARCHAR: a frame's dimensions on the reference.
--   reason VARCHAR: why nsr is NULL; NULL where it is not.
CREATE OR REPLACE MACRO input_divergence(edge := '', reference := '') AS TABLE
SELECT
  m.edge_model,
  m.reference_model,
  f.match_role AS tensor_role,
  f.tensor_name,
  f.reference_tensor_name,
  f.match_index AS tensor_index,
  f.frames,
  f.effective_frames,
  f.equal_frames,
  f.nonfinite_executions,
  f.nsr,
  sqnr_db(f.nsr) AS sqnr_db,
  f.cosine,
  f.fit_gain AS gain,
  f.offset_value,
  sqnr_db(f.unexplained) AS affine_db,
  CASE WHEN f.rmse = 0 THEN 0 ELSE f.rmse / nullif(f.value_range, 0) END AS nrmse,
  f.rmse_scale,
  f.min AS edge_min,
  f.max AS edge_max,
  f.reference_min,
  f.reference_max,
  f.dtype AS edge_dtype,
  f.reference_dtype,
  f.shape AS edge_shape,
  f.reference_shape,
  CASE
    WHEN f.nsr IS NOT NULL THEN NULL
    WHEN f.nonfinite_executions > 0 THEN 'elements that are not finite'
    WHEN f.resized > 0 THEN 'element counts differ'
    ELSE 'no sketch to compare'
  END AS reason
FROM _input_fits(edge, reference) AS f
INNER JOIN _layer_models(edge, reference) AS m
  ON f.edge_model_sha256 = m.edge_model_sha256
  AND f.reference_model_sha256 = m.reference_model_sha256
ORDER BY
  m.edge_model,
  m.reference_model,
  CASE f.match_role
    WHEN 'raw' THEN 0 WHEN 'stage' THEN 1 WHEN 'input' THEN 2 ELSE 3
  END,
  f.match_name,
  f.match_index;
