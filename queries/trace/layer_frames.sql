-- Summaries of one layer's first output in each frame of a build.
CREATE OR REPLACE MACRO _layer_outputs(in_build := '', wanted_role := '', layer := -1) AS TABLE
SELECT DISTINCT
  t.run_id,
  t.model_sha256,
  t.trace_id,
  t.frame_span_id,
  t.span_id,
  t.input_key,
  coalesce(t.inference_index, 0) AS inference_index,
  t.start_ns,
  t.layer_name,
  t.op,
  t.count,
  t.sum,
  t.sum2,
  t.min,
  t.max,
  t.nan_count + t.posinf_count + t.neginf_count AS nonfinite_count,
  t.zero_count,
  t.sat_low_count + t.sat_high_count AS sat_count,
  t.scale,
  t.sketch
FROM _tensors AS t
WHERE
  t.build = in_build
  AND (wanted_role = '' OR t.role = wanted_role)
  AND t.layer_index = layer
  AND t.tensor_index = 0
  AND t.tensor_role IN ('layer', 'output')
  AND coalesce(t.subgraph_index, 0) = 0;

-- One layer in every measured frame of a build, and its distance from the reference's frame of
-- the same input, the greatest first.
--
-- The reference's layer is the one of the same index in the same model file, else the one that
-- alignments name. Where the reference saw an input more than once, its newest frame counts.
--
-- Arguments:
--   in_build: build of the edge.
--   reference: build of the reference; without any there are no distances.
--   layer: operator's index in the edge model.
-- Columns:
--   started TIMESTAMP: when the frame began, UTC.
--   trace_id VARCHAR: the frame's trace, hex.
--   frame_id VARCHAR: its span, hex.
--   input_id VARCHAR: what the caller named the input.
--   model_name VARCHAR: model.
--   kernels VARCHAR: kernel family.
--   device VARCHAR: device model, or the device's id where the model is not known.
--   layer_name VARCHAR: the layer's name as the converter wrote it.
--   op VARCHAR: operator.
--   mean DOUBLE: mean of the output's finite elements, in the tensor's unit.
--   std DOUBLE: their standard deviation.
--   min DOUBLE: least finite element.
--   max DOUBLE: greatest finite element.
--   nonfinite_count BIGINT: elements that are NaN or infinite.
--   zero_ratio DOUBLE: share of elements that are zero.
--   sat_ratio DOUBLE: share of elements at either end of their integer type.
--   scale DOUBLE: quantization scale.
--   sqnr_db DOUBLE: SQNR against the reference, dB; NULL where it cannot be known.
CREATE OR REPLACE MACRO layer_frames(in_build := '', reference := '', layer := -1) AS TABLE
WITH
edge AS MATERIALIZED (
  SELECT *
  FROM _layer_outputs(in_build, '', layer)
),

model AS (
  SELECT DISTINCT e.model_sha256
  FROM edge AS e
),

reference_model AS (
  SELECT DISTINCT u.model_sha256
  FROM runs AS u
  WHERE u.build = reference
),

-- few models, so that the sketches of one layer alone are read below
answer AS MATERIALIZED (
  SELECT
    m.model_sha256,
    r.model_sha256 AS reference_model_sha256,
    CASE
      WHEN m.model_sha256 = r.model_sha256 THEN CAST(layer AS INTEGER)
      ELSE a.reference_layer_index
    END AS reference_layer_index
  FROM model AS m
  CROSS JOIN reference_model AS r
  LEFT JOIN alignments AS a
    ON
      m.model_sha256 = a.edge_model_sha256
      AND r.model_sha256 = a.reference_model_sha256
      AND a.edge_layer_index = CAST(layer AS INTEGER)
),

wanted AS MATERIALIZED (
  SELECT DISTINCT w.reference_layer_index
  FROM answer AS w
),

counterpart AS (
  SELECT
    t.model_sha256,
    t.layer_index,
    t.input_key,
    coalesce(t.inference_index, 0) AS inference_index,
    t.count,
    t.sum2,
    t.nan_count + t.posinf_count + t.neginf_count AS nonfinite_count,
    t.sketch
  FROM _tensors AS t
  WHERE
    t.build = reference
    AND t.tensor_index = 0
    AND t.tensor_role IN ('layer', 'output')
    AND coalesce(t.subgraph_index, 0) = 0
    AND t.layer_index IN (SELECT w.reference_layer_index FROM wanted AS w)
  QUALIFY row_number() OVER (
    PARTITION BY t.model_sha256, t.layer_index, t.input_key, coalesce(t.inference_index, 0)
    ORDER BY t.start_ns DESC, t.span_id ASC
  ) = 1
),

distance AS (
  SELECT
    e.span_id,
    min(
      sqnr_db(
        CASE
          WHEN e.nonfinite_count + c.nonfinite_count = 0 AND e.count = c.count
            THEN _tensor_nsr(_sketch_sqdist(e.sketch, c.sketch), c.sum2)
        END
      )
    ) AS sqnr_db
  FROM edge AS e
  INNER JOIN answer AS a ON e.model_sha256 = a.model_sha256
  INNER JOIN counterpart AS c
    ON
      a.reference_model_sha256 = c.model_sha256
      AND a.reference_layer_index = c.layer_index
      AND e.input_key = c.input_key
      AND e.inference_index = c.inference_index
  GROUP BY e.span_id
),

frame AS (
  SELECT DISTINCT
    x.trace_id,
    x.span_id,
    x.input_id,
    x.start_ns
  FROM _frames AS x
  -- those at level latency have no outputs
  WHERE x.build = in_build AND x.level <> 'latency'
)

SELECT
  ts(f.start_ns) AS started,
  hex_id(e.trace_id) AS trace_id,
  hex_id(e.frame_span_id) AS frame_id,
  f.input_id,
  r.model_name,
  r.kernels,
  coalesce(nullif(r.device_model, ''), r.device_id) AS device,
  e.layer_name,
  e.op,
  finite_or_null(e.sum / nullif(e.count, 0)) AS mean,
  finite_or_null(
    sqrt(
      greatest(
        CAST(0 AS DOUBLE),
        e.sum2 / nullif(e.count, 0) - pow(e.sum / nullif(e.count, 0), 2)
      )
    )
  ) AS std,
  e.min,
  e.max,
  e.nonfinite_count,
  CAST(e.zero_count AS DOUBLE) / nullif(e.count, 0) AS zero_ratio,
  CAST(e.sat_count AS DOUBLE) / nullif(e.count, 0) AS sat_ratio,
  e.scale,
  d.sqnr_db
FROM edge AS e
INNER JOIN frame AS f ON e.trace_id = f.trace_id AND e.frame_span_id = f.span_id
INNER JOIN runs AS r ON e.run_id = r.run_id
LEFT JOIN distance AS d ON e.span_id = d.span_id
ORDER BY d.sqnr_db ASC NULLS LAST, f.start_ns ASC, e.span_id ASC;
