-- Numbers of each tensor over all paired frames; see layer_divergence, input_divergence.
--
-- One frame with an element that is not finite takes the tensor's distances away: a mean
-- over the other frames would be a number about other inputs than its neighbours'. ee, er,
-- rr, e1, r1 and ones are the sums of an affine fit: inner products of the edge, the
-- reference and a tensor of ones, each frame scaled by its reference's energy, as in nsr.
CREATE OR REPLACE MACRO _tensor_numbers(
  edge := '', reference := '', with_layers := TRUE, with_others := TRUE
) AS TABLE
WITH
tensor AS (
  SELECT
    p.*,
    p.weight / nullif(p.reference_sum2, 0) AS fit_weight,
    p.sqdist / nullif(p.count, 0) AS mse,
    -- <edge, reference> from the exact norms and the distance: sketches' own inner product
    -- would be far off where the two are nearly equal
    (p.sum2 / nullif(p.reference_sum2, 0) + 1 - p.nsr) / 2 AS gain
  FROM _tensor_pairs(edge, reference, with_layers, with_others) AS p
)

SELECT
  t.edge_model_sha256,
  t.reference_model_sha256,
  t.match_role,
  t.match_name,
  t.match_index,
  t.layer_index,
  any_value(t.layer_name) AS layer_name,
  any_value(t.op) AS op,
  any_value(t.reference_layer_name) AS reference_layer_name,
  any_value(t.tensor_name) AS tensor_name,
  any_value(t.reference_tensor_name) AS reference_tensor_name,
  any_value(t.dtype) AS dtype,
  any_value(t.reference_dtype) AS reference_dtype,
  any_value(t.shape) AS shape,
  any_value(t.reference_shape) AS reference_shape,
  count(*) FILTER (WHERE t.execution = 1) AS frames,
  weighted_count(t.weight) AS effective_frames,
  count(*) FILTER (WHERE t.execution = 1 AND t.bytes_equal) AS equal_frames,
  count(*) FILTER (WHERE NOT t.finite) AS nonfinite_executions,
  count(*) FILTER (WHERE t.count <> t.reference_count) AS resized,
  CASE WHEN bool_and(t.finite) THEN weighted_mean(t.nsr, t.weight) END AS nsr,
  CASE WHEN bool_and(t.finite) THEN weighted_mean(t.cosine, t.weight) END AS cosine,
  CASE WHEN bool_and(t.finite) THEN weighted_mean(t.gain, t.weight) END AS gain,
  CASE WHEN bool_and(t.finite) THEN sqrt(weighted_mean(t.mse, t.weight)) END AS rmse,
  CASE
    WHEN bool_and(t.finite)
      THEN sqrt(weighted_mean(t.mse / nullif(t.scale * t.scale, 0), t.weight))
  END AS rmse_scale,
  CASE WHEN bool_and(t.finite) THEN sum(t.fit_weight * t.ee) END AS ee,
  CASE WHEN bool_and(t.finite) THEN sum(t.fit_weight * t.er) END AS er,
  CASE WHEN bool_and(t.finite) THEN sum(t.fit_weight * t.rr) END AS rr,
  CASE WHEN bool_and(t.finite) THEN sum(t.fit_weight * t.e1) END AS e1,
  CASE WHEN bool_and(t.finite) THEN sum(t.fit_weight * t.r1) END AS r1,
  CASE WHEN bool_and(t.finite) THEN sum(t.fit_weight * t.ones_dot) END AS ones,
  min(t.min) AS min,
  max(t.max) AS max,
  min(t.reference_min) AS reference_min,
  max(t.reference_max) AS reference_max,
  greatest(max(t.max) - min(t.min), max(t.reference_max) - min(t.reference_min))
    AS value_range,
  CAST(sum(t.nan_count) AS BIGINT) AS nan_count,
  CAST(sum(t.inf_count) AS BIGINT) AS inf_count,
  CAST(sum(t.reference_nan_count) AS BIGINT) AS reference_nan_count,
  CAST(sum(t.reference_inf_count) AS BIGINT) AS reference_inf_count,
  CAST(sum(t.sat_low_count) AS BIGINT) AS sat_low_count,
  CAST(sum(t.sat_high_count) AS BIGINT) AS sat_high_count,
  CAST(sum(t.reference_sat_count) AS BIGINT) AS reference_sat_count,
  CAST(sum(t.zero_count) AS BIGINT) AS zero_count,
  CAST(sum(t.reference_zero_count) AS BIGINT) AS reference_zero_count,
  CAST(nullif(sum(t.count), 0) AS DOUBLE) AS elements,
  CAST(nullif(sum(t.reference_count), 0) AS DOUBLE) AS reference_elements
FROM tensor AS t
GROUP BY
  t.edge_model_sha256,
  t.reference_model_sha256,
  t.match_role,
  t.match_name,
  t.match_index,
  t.layer_index;
