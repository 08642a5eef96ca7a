-- Every time that counts, one by one, in the order in which it was taken.
--
-- Only frames at level latency count where there are any, because summaries take time. What
-- is near in time is alike: resample stretches or runs, not rows.
--
-- Arguments:
--   selector: build, run id or run ids.
-- Columns:
--   run_id VARCHAR: run, hex.
--   frame_id VARCHAR: span of the frame, hex.
--   start_ns BIGINT: start of the frame, nanoseconds since 1970.
--   kind VARCHAR: inference, stage or layer.
--   name VARCHAR: the stage's or layer's name; inference.
--   layer_index INTEGER: operator's index in the model; NULL but for layers.
--   op VARCHAR: operator; NULL but for layers.
--   dur_ms DOUBLE: time, ms.
CREATE OR REPLACE MACRO latency_samples(selector := '') AS TABLE
WITH
frame AS MATERIALIZED (
  SELECT
    f.run_id,
    f.trace_id,
    f.span_id,
    f.start_ns
  FROM _frame_seen(selector) AS f
)

SELECT
  hex_id(f.run_id) AS run_id,
  hex_id(f.span_id) AS frame_id,
  f.start_ns,
  CASE WHEN s.name = 'inference' THEN 'inference' ELSE 'stage' END AS kind,
  s.name,
  CAST(NULL AS INTEGER) AS layer_index,
  CAST(NULL AS VARCHAR) AS op,
  ms(s.dur_ns) AS dur_ms
FROM _stage_spans(selector) AS s
INNER JOIN frame AS f ON s.trace_id = f.trace_id AND s.frame_span_id = f.span_id
UNION ALL
SELECT
  hex_id(f.run_id) AS run_id,
  hex_id(f.span_id) AS frame_id,
  f.start_ns,
  'layer' AS kind,
  l.layer_name AS name,
  l.layer_index,
  l.op,
  l.dur_ms
FROM _layer_timed(selector) AS l
INNER JOIN frame AS f ON l.trace_id = f.trace_id AND l.frame_span_id = f.span_id
ORDER BY start_ns ASC, kind ASC, layer_index ASC, name ASC;
