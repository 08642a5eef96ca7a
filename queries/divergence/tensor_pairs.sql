-- Tensors of edge and reference side by side, with their distance; see _tensor_sides.
--
-- Distances are NULL where the element counts differ, where a side has no sketch, and
-- where an element of either tensor is not finite: such elements are counted instead.
-- Repeated rows of the lake are removed last, when a sketch has become a few numbers: they
-- repeat every number, so any one of them is right.
CREATE OR REPLACE MACRO _tensor_pairs(
  edge := '', reference := '', with_layers := TRUE, with_others := TRUE
) AS TABLE
WITH
tensor AS (
  SELECT *
  FROM _tensor_sides(edge, reference, with_layers, with_others)
),

sides AS (
  SELECT
    e.pair,
    e.weight,
    e.edge_model_sha256,
    e.reference_model_sha256,
    e.execution,
    e.match_role,
    e.match_name,
    e.match_index,
    e.layer_index,
    e.layer_name,
    e.op,
    r.layer_name AS reference_layer_name,
    e.tensor_name,
    r.tensor_name AS reference_tensor_name,
    e.dtype,
    r.dtype AS reference_dtype,
    e.shape,
    r.shape AS reference_shape,
    e.hash = r.hash AND e.dtype = r.dtype AS bytes_equal,
    e.scale,
    e.count,
    r.count AS reference_count,
    e.sum2,
    r.sum2 AS reference_sum2,
    e.min,
    r.min AS reference_min,
    e.max,
    r.max AS reference_max,
    e.nan_count,
    r.nan_count AS reference_nan_count,
    e.inf_count,
    r.inf_count AS reference_inf_count,
    e.zero_count,
    r.zero_count AS reference_zero_count,
    e.sat_low_count,
    e.sat_high_count,
    r.sat_low_count + r.sat_high_count AS reference_sat_count,
    e.nan_count + e.inf_count + r.nan_count + r.inf_count = 0 AS finite,
    e.count = r.count
    AND e.sketch_version = r.sketch_version
    AND isfinite(e.sum2)
    AND isfinite(r.sum2)
    AND e.nan_count + e.inf_count + r.nan_count + r.inf_count = 0 AS comparable,
    CAST(e.input_key & 15 AS INTEGER) AS family,
    CASE
      WHEN e.sketch_256 IS NOT NULL AND r.sketch_256 IS NOT NULL THEN e.sketch_256
      ELSE e.sketch
    END AS edge_sketch,
    CASE
      WHEN e.sketch_256 IS NOT NULL AND r.sketch_256 IS NOT NULL THEN r.sketch_256
      ELSE r.sketch
    END AS reference_sketch
  FROM tensor AS e
  INNER JOIN tensor AS r
    ON e.pair = r.pair
    AND e.execution = r.execution
    AND e.match_role = r.match_role
    AND e.match_name = r.match_name
    AND e.match_index = r.match_index
  WHERE e.side = 'edge' AND r.side = 'reference'
),

-- Where privacy has shortened one side's sketch, both are compared at its length. Materialized,
-- because each measure below reads it, and would be planned with all that is above it.
folded AS MATERIALIZED (
  SELECT
    s.* EXCLUDE (edge_sketch, reference_sketch),
    CASE
      WHEN len(s.edge_sketch) > len(s.reference_sketch)
        THEN sketch_fold(s.edge_sketch, len(s.reference_sketch))
      ELSE CAST(s.edge_sketch AS DOUBLE[])
    END AS edge_sketch,
    CASE
      WHEN len(s.reference_sketch) > len(s.edge_sketch)
        THEN sketch_fold(s.reference_sketch, len(s.edge_sketch))
      ELSE CAST(s.reference_sketch AS DOUBLE[])
    END AS reference_sketch
  FROM sides AS s
),

-- sketch_ones serves the affine fit, of model inputs only: each size it is asked for has
-- to be made first, and sizes of raw inputs are as many as inputs. Elsewhere it is asked for
-- a vector of nothing, never for NULL: DuckDB 2.0 reads the elements of a function's NULL
-- list as NULL elements, which list_inner_product refuses.
prepared AS (
  SELECT
    s.*,
    coalesce(s.comparable AND s.match_role = 'input', FALSE) AS fits,
    sketch_ones(
      CASE WHEN s.comparable AND s.match_role = 'input' THEN s.count ELSE 0 END,
      s.family,
      CAST(coalesce(len(s.edge_sketch), 64) AS INTEGER)
    ) AS ones
  FROM folded AS s
),

-- finite_or_null, because a float32 sketch of huge elements overflows.
measured AS (
  SELECT
    s.*,
    CASE
      WHEN s.comparable
        THEN finite_or_null(_sketch_sqdist(s.edge_sketch, s.reference_sketch))
    END AS sqdist,
    CASE
      WHEN s.comparable
        THEN finite_or_null(
          sketch_cosine(s.edge_sketch, s.sum2, s.reference_sketch, s.reference_sum2)
        )
    END AS cosine,
    CASE
      WHEN s.fits THEN finite_or_null(sketch_dot(s.edge_sketch, s.edge_sketch))
    END AS ee,
    CASE
      WHEN s.fits
        THEN finite_or_null(sketch_dot(s.edge_sketch, s.reference_sketch))
    END AS er,
    CASE
      WHEN s.fits
        THEN finite_or_null(sketch_dot(s.reference_sketch, s.reference_sketch))
    END AS rr,
    CASE WHEN s.fits THEN finite_or_null(sketch_dot(s.edge_sketch, s.ones)) END AS e1,
    CASE WHEN s.fits THEN finite_or_null(sketch_dot(s.reference_sketch, s.ones)) END AS r1,
    CASE WHEN s.fits THEN sketch_dot(s.ones, s.ones) END AS ones_dot
  FROM prepared AS s
)

SELECT
  m.pair,
  m.execution,
  m.match_role,
  m.match_name,
  m.match_index,
  m.layer_index,
  any_value(m.weight) AS weight,
  any_value(m.edge_model_sha256) AS edge_model_sha256,
  any_value(m.reference_model_sha256) AS reference_model_sha256,
  any_value(m.layer_name) AS layer_name,
  any_value(m.op) AS op,
  any_value(m.reference_layer_name) AS reference_layer_name,
  any_value(m.tensor_name) AS tensor_name,
  any_value(m.reference_tensor_name) AS reference_tensor_name,
  any_value(m.dtype) AS dtype,
  any_value(m.reference_dtype) AS reference_dtype,
  any_value(m.shape) AS shape,
  any_value(m.reference_shape) AS reference_shape,
  any_value(m.bytes_equal) AS bytes_equal,
  any_value(m.scale) AS scale,
  any_value(m.count) AS count,
  any_value(m.reference_count) AS reference_count,
  any_value(m.sum2) AS sum2,
  any_value(m.reference_sum2) AS reference_sum2,
  any_value(m.min) AS min,
  any_value(m.reference_min) AS reference_min,
  any_value(m.max) AS max,
  any_value(m.reference_max) AS reference_max,
  any_value(m.nan_count) AS nan_count,
  any_value(m.reference_nan_count) AS reference_nan_count,
  any_value(m.inf_count) AS inf_count,
  any_value(m.reference_inf_count) AS reference_inf_count,
  any_value(m.zero_count) AS zero_count,
  any_value(m.reference_zero_count) AS reference_zero_count,
  any_value(m.sat_low_count) AS sat_low_count,
  any_value(m.sat_high_count) AS sat_high_count,
  any_value(m.reference_sat_count) AS reference_sat_count,
  any_value(m.finite) AS finite,
  any_value(m.sqdist) AS sqdist,
  any_value(m.cosine) AS cosine,
  any_value(m.ee) AS ee,
  any_value(m.er) AS er,
  any_value(m.rr) AS rr,
  any_value(m.e1) AS e1,
  any_value(m.r1) AS r1,
  any_value(m.ones_dot) AS ones_dot,
  any_value(_tensor_nsr(m.sqdist, m.reference_sum2)) AS nsr
FROM measured AS m
GROUP BY m.pair, m.execution, m.match_role, m.match_name, m.match_index, m.layer_index;
