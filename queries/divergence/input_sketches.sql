-- Sketches of the model's first input on both sides, the most different frames first.
--
-- What a search for the cause of another model input needs: what the edge's model saw, and
-- how it holds numbers. A frame in which a model ran more than once counts by its first run.
--
-- Arguments:
--   edge: build, run id or run ids of the edge.
--   reference: build, run id or run ids of the reference.
--   max_frames: paired frames taken at most.
-- Columns:
--   input_key BIGINT: the input.
--   input_id VARCHAR: what the caller named it.
--   nsr DOUBLE: squared error / squared reference; NULL where it cannot be known.
--   edge_count BIGINT: elements of the edge's model input.
--   edge_shape VARCHAR: its dimensions.
--   edge_dtype VARCHAR: its element type.
--   edge_layout VARCHAR: meaning of its dimensions.
--   edge_scale DOUBLE: its quantization scale; NULL where it is not quantized.
--   edge_zero_point INTEGER: its zero point.
--   edge_sketch DOUBLE[]: its sketch, folded to the length of the shorter of the two.
--   edge_channels VARCHAR: its per-channel statistics; NULL below level distribution.
--   reference_count BIGINT: elements of the reference's model input.
--   reference_shape VARCHAR: its dimensions.
--   reference_dtype VARCHAR: its element type.
--   reference_layout VARCHAR: meaning of its dimensions.
--   reference_scale DOUBLE: its quantization scale; NULL where it is not quantized.
--   reference_zero_point INTEGER: its zero point.
--   reference_sketch DOUBLE[]: its sketch, as long as the edge's.
--   reference_channels VARCHAR: its per-channel statistics.
CREATE OR REPLACE MACRO input_sketches(edge := '', reference := '', max_frames := 16) AS TABLE
WITH
measured AS MATERIALIZED (
  SELECT *
  FROM _frame_measured(edge, reference)
),

-- Both sides' frames in one list of values, for the scan to filter by.
sought AS MATERIALIZED (
  SELECT
    'edge' AS side,
    m.pair,
    m.input_key,
    m.input_id,
    m.edge_build AS build,
    m.edge_run_id AS run_id,
    m.edge_trace_id AS trace_id,
    m.edge_frame_id AS frame_span_id
  FROM measured AS m
  UNION ALL
  SELECT
    'reference' AS side,
    m.pair,
    m.input_key,
    m.input_id,
    m.reference_build AS build,
    m.reference_run_id AS run_id,
    m.reference_trace_id AS trace_id,
    m.reference_frame_id AS frame_span_id
  FROM measured AS m
),

seen AS MATERIALIZED (
  SELECT
    s.side,
    s.pair,
    s.input_key,
    s.input_id,
    t.count,
    t.shape,
    t.dtype,
    t.layout,
    t.scale,
    t.zero_point,
    t.sum2,
    t.sketch,
    t.sketch_256,
    t.channels
  FROM sought AS s
  INNER JOIN _tensors AS t
    ON s.run_id = t.run_id
    AND s.trace_id = t.trace_id
    AND s.frame_span_id = t.frame_span_id
  WHERE
    t.tensor_role = 'input'
    AND t.tensor_index = 0
    AND t.sketch IS NOT NULL
    AND t.nan_count + t.posinf_count + t.neginf_count = 0
    AND t.build IN (SELECT DISTINCT b.build FROM sought AS b)
  QUALIFY row_number() OVER (PARTITION BY s.side, s.pair ORDER BY t.start_ns, t.span_id) = 1
),

both_sides AS (
  SELECT
    e.input_key,
    e.input_id,
    e.count AS edge_count,
    e.shape AS edge_shape,
    e.dtype AS edge_dtype,
    e.layout AS edge_layout,
    e.scale AS edge_scale,
    e.zero_point AS edge_zero_point,
    e.channels AS edge_channels,
    r.count AS reference_count,
    r.shape AS reference_shape,
    r.dtype AS reference_dtype,
    r.layout AS reference_layout,
    r.scale AS reference_scale,
    r.zero_point AS reference_zero_point,
    r.channels AS reference_channels,
    r.sum2 AS reference_sum2,
    CASE
      WHEN e.sketch_256 IS NOT NULL AND r.sketch_256 IS NOT NULL THEN e.sketch_256
      ELSE e.sketch
    END AS edge_sketch,
    CASE
      WHEN e.sketch_256 IS NOT NULL AND r.sketch_256 IS NOT NULL THEN r.sketch_256
      ELSE r.sketch
    END AS reference_sketch
  FROM seen AS e
  INNER JOIN seen AS r ON e.pair = r.pair
  WHERE e.side = 'edge' AND r.side = 'reference'
),

folded AS MATERIALIZED (
  SELECT
    b.* EXCLUDE (edge_sketch, reference_sketch),
    sketch_fold(b.edge_sketch, least(len(b.edge_sketch), len(b.reference_sketch)))
      AS edge_sketch,
    sketch_fold(b.reference_sketch, least(len(b.edge_sketch), len(b.reference_sketch)))
      AS reference_sketch
  FROM both_sides AS b
),

compared AS (
  SELECT
    f.*,
    CASE
      WHEN f.edge_count = f.reference_count
        THEN _tensor_nsr(_sketch_sqdist(f.edge_sketch, f.reference_sketch), f.reference_sum2)
    END AS nsr
  FROM folded AS f
)

SELECT
  c.input_key,
  c.input_id,
  c.nsr,
  c.edge_count,
  c.edge_shape,
  c.edge_dtype,
  c.edge_layout,
  c.edge_scale,
  c.edge_zero_point,
  c.edge_sketch,
  c.edge_channels,
  c.reference_count,
  c.reference_shape,
  c.reference_dtype,
  c.reference_layout,
  c.reference_scale,
  c.reference_zero_point,
  c.reference_sketch,
  c.reference_channels
FROM compared AS c
QUALIFY row_number() OVER (ORDER BY c.nsr DESC NULLS LAST, c.input_key ASC) <= max_frames
ORDER BY c.nsr DESC NULLS LAST, c.input_key ASC;
