-- Every layer of the edge model and how far it is from the reference over paired frames.
--
-- Layers without counterpart and layers never measured are listed with NULL distances and
-- the reason. Distances are estimated from sketches: the standard error is 0.8 dB for one
-- frame and falls with their number. Means are weighted by 1 / sample rate. drop_db
-- compares a layer with the nearest measured layers before it, the model input included.
--
-- Arguments:
--   edge: build, run id or run ids of the edge.
--   reference: build, run id or run ids of the reference.
-- Columns:
--   edge_model VARCHAR: edge model.
--   reference_model VARCHAR: reference model.
--   layer_index INTEGER: operator's index in the edge model.
--   layer_name VARCHAR: its name as the converter wrote it.
--   op VARCHAR: operator.
--   reference_layer_index INTEGER: its counterpart, NULL where it has none.
--   reference_layer_name VARCHAR: the counterpart's name.
--   frames BIGINT: paired frames in which both sides recorded the layer.
--   effective_frames DOUBLE: equally weighted frames that would say as much.
--   nsr DOUBLE: mean of squared error / squared reference; NULL where it cannot be known.
--   sqnr_db DOUBLE: the same in dB, -20 to 140.
--   input_nsr DOUBLE: mean nsr of the layer's inputs.
--   drop_db DOUBLE: SQNR of the layer's inputs minus its own; positive is a loss.
--   rank_drop_db DOUBLE: the same with inputs taken as no better than 40 dB, for ranking.
--   cosine DOUBLE: mean cosine, -1 to 1.
--   gain DOUBLE: factor that makes the reference most like the edge, dimensionless.
--   rmse DOUBLE: root mean square error, in the tensor's unit.
--   nrmse DOUBLE: rmse / the larger range of the two over all frames, dimensionless.
--   rmse_scale DOUBLE: rmse / quantization step, 0.289 is ideal; NULL where not quantized.
--   nonfinite_executions BIGINT: executions with NaN or infinite elements on either side.
--   edge_nan_count BIGINT: elements of the edge that are not a number.
--   edge_inf_count BIGINT: infinite elements of the edge.
--   reference_nan_count BIGINT: elements of the reference that are not a number.
--   reference_inf_count BIGINT: infinite elements of the reference.
--   edge_sat_low_count BIGINT: integers of the edge at their type's low end.
--   edge_sat_high_count BIGINT: integers of the edge at their type's high end.
--   edge_sat_ratio DOUBLE: share of the edge's elements at either end.
--   reference_sat_ratio DOUBLE: share of the reference's elements at either end.
--   edge_zero_ratio DOUBLE: share of the edge's elements that are zero.
--   reference_zero_ratio DOUBLE: share of the reference's elements that are zero.
--   reason VARCHAR: why nsr is NULL; NULL where it is not.
CREATE OR REPLACE MACRO layer_divergence(edge := '', reference := '') AS TABLE
SELECT
  m.edge_model,
  m.reference_model,
  s.layer_index,
  s.layer_name,
  s.op,
  s.reference_layer_index,
  s.reference_layer_name,
  coalesce(s.frames, 0) AS frames,
  s.effective_frames,
  s.nsr,
  sqnr_db(s.nsr) AS sqnr_db,
  s.input_nsr,
  sqnr_db(s.input_nsr) - sqnr_db(s.nsr) AS drop_db,
  sqnr_db(s.floored_input_nsr) - sqnr_db(s.nsr) AS rank_drop_db,
  s.cosine,
  s.gain,
  s.rmse,
  CASE WHEN s.rmse = 0 THEN 0 ELSE s.rmse / nullif(s.value_range, 0) END AS nrmse,
  s.rmse_scale,
  coalesce(s.nonfinite_executions, 0) AS nonfinite_executions,
  s.nan_count AS edge_nan_count,
  s.inf_count AS edge_inf_count,
  s.reference_nan_count,
  s.reference_inf_count,
  s.sat_low_count AS edge_sat_low_count,
  s.sat_high_count AS edge_sat_high_count,
  (s.sat_low_count + s.sat_high_count) / s.elements AS edge_sat_ratio,
  s.reference_sat_count / s.reference_elements AS reference_sat_ratio,
  s.zero_count / s.elements AS edge_zero_ratio,
  s.reference_zero_count / s.reference_elements AS reference_zero_ratio,
  CASE
    WHEN s.nsr IS NOT NULL THEN NULL
    WHEN s.excluded_reason IS NOT NULL THEN s.excluded_reason
    WHEN s.reference_layer_index IS NULL THEN s.unpaired_reason
    WHEN s.frames IS NULL THEN 'no paired frame recorded it on both sides'
    WHEN s.nonfinite_executions > 0 THEN 'elements that are not finite'
    WHEN s.resized > 0 THEN 'element counts differ'
    ELSE 'no sketch to compare'
  END AS reason
FROM _layer_scored(edge, reference) AS s
INNER JOIN _layer_models(edge, reference) AS m
  ON s.edge_model_sha256 = m.edge_model_sha256
  AND s.reference_model_sha256 = m.reference_model_sha256
ORDER BY m.edge_model, m.reference_model, s.layer_index;
