-- Every span of one trace: frame, stages, inferences, layers, and the application's own.
--
-- Arguments:
--   trace: the trace's id, hex.
--   in_build: build that recorded it; files of others need not be read.
-- Columns:
--   trace_id VARCHAR: trace, hex.
--   span_id VARCHAR: span, hex.
--   parent_span_id VARCHAR: span above it in this trace, NULL for the topmost.
--   kind VARCHAR: frame, span or layer.
--   name VARCHAR: layer's, stage's or span's name; the input's id for a frame.
--   model_name VARCHAR: model.
--   build VARCHAR: build that shipped.
--   started TIMESTAMP: when it began, UTC.
--   start_ms DOUBLE: when it began, ms since 1970 UTC.
--   dur_ms DOUBLE: how long it took, ms; 0 where not measured.
--   layer_index INTEGER: operator's index in the model, NULL outside a layer.
--   op VARCHAR: operator.
--   timing VARCHAR: how a layer's time was measured.
--   status VARCHAR: unset, ok or error.
--   output_shape VARCHAR: shape of the array that it was seen to make.
--   output_dtype VARCHAR: its element type.
--   output_min DOUBLE: its least finite element.
--   output_max DOUBLE: its greatest finite element.
--   nonfinite_count BIGINT: its elements that are NaN or infinite.
--   sat_ratio DOUBLE: share of its elements at either end of their integer type.
CREATE OR REPLACE MACRO trace_spans(trace := '', in_build := '') AS TABLE
WITH
span AS MATERIALIZED (
  SELECT DISTINCT
    f.trace_id,
    f.span_id,
    f.parent_span_id,
    'frame' AS kind,
    f.input_id AS name,
    f.model_name,
    f.build,
    f.start_ns,
    f.dur_ns,
    CAST(NULL AS INTEGER) AS layer_index,
    CAST(NULL AS VARCHAR) AS op,
    CAST(NULL AS VARCHAR) AS timing,
    f.status
  FROM _frames AS f
  WHERE f.build = in_build AND f.trace_id = try(unhex(trace))
  UNION ALL
  SELECT DISTINCT
    s.trace_id,
    s.span_id,
    s.parent_span_id,
    'span' AS kind,
    s.name,
    s.model_name,
    s.build,
    s.start_ns,
    s.dur_ns,
    CAST(NULL AS INTEGER) AS layer_index,
    CAST(NULL AS VARCHAR) AS op,
    CAST(NULL AS VARCHAR) AS timing,
    s.status
  FROM _spans AS s
  WHERE s.build = in_build AND s.trace_id = try(unhex(trace))
  UNION ALL
  SELECT DISTINCT
    l.trace_id,
    l.span_id,
    l.parent_span_id,
    'layer' AS kind,
    l.layer_name AS name,
    l.model_name,
    l.build,
    l.start_ns,
    l.dur_ns,
    l.layer_index,
    l.op,
    l.timing,
    'unset' AS status
  FROM _layer_spans AS l
  WHERE l.build = in_build AND l.trace_id = try(unhex(trace))
),

-- the span's own array; further outputs of a layer stand in spans of their own
output AS (
  SELECT
    t.span_id,
    any_value(t.shape) AS shape,
    any_value(t.dtype) AS dtype,
    any_value(t.min) AS min,
    any_value(t.max) AS max,
    any_value(t.nan_count + t.posinf_count + t.neginf_count) AS nonfinite_count,
    any_value(CAST(t.sat_low_count + t.sat_high_count AS DOUBLE) / nullif(t.count, 0))
      AS sat_ratio
  FROM _tensors AS t
  WHERE t.build = in_build AND t.trace_id = try(unhex(trace))
  GROUP BY t.span_id
)

SELECT
  hex_id(s.trace_id) AS trace_id,
  hex_id(s.span_id) AS span_id,
  -- the application's span above the frame need not be in the lake
  CASE
    WHEN s.parent_span_id IN (SELECT p.span_id FROM span AS p) THEN hex_id(s.parent_span_id)
  END AS parent_span_id,
  s.kind,
  s.name,
  s.model_name,
  s.build,
  ts(s.start_ns) AS started,
  CAST(s.start_ns AS DOUBLE) / 1e6 AS start_ms,
  coalesce(ms(s.dur_ns), 0) AS dur_ms,
  s.layer_index,
  s.op,
  s.timing,
  s.status,
  o.shape AS output_shape,
  o.dtype AS output_dtype,
  o.min AS output_min,
  o.max AS output_max,
  o.nonfinite_count,
  o.sat_ratio
FROM span AS s
LEFT JOIN output AS o ON s.span_id = o.span_id
ORDER BY s.start_ns ASC, s.layer_index ASC NULLS FIRST, s.span_id ASC;
