-- What a playback's task gave each input on both sides, such as the IoU of its mask.
--
-- Arguments:
--   edge: build, run id or run ids of the edge.
--   reference: build, run id or run ids of the reference.
-- Columns:
--   metric VARCHAR: the frame's metric, such as iou or ap.
--   input_key BIGINT: input.
--   input_id VARCHAR: what the caller named the input.
--   edge_value DOUBLE: the edge's, 0 to 1.
--   reference_value DOUBLE: the reference's, 0 to 1.
CREATE OR REPLACE MACRO task_scores(edge := '', reference := '') AS TABLE
WITH
scores AS (
  SELECT
    m.trace_id,
    m.frame_span_id,
    m.name,
    max(m.value) AS value
  FROM metrics AS m
  WHERE starts_with(m.name, 'task.')
  GROUP BY m.trace_id, m.frame_span_id, m.name
),

ours AS (
  SELECT
    f.input_key,
    f.input_id,
    s.name,
    s.value
  FROM _frame_newest(edge, 'edge') AS f
  INNER JOIN scores AS s ON f.trace_id = s.trace_id AND f.span_id = s.frame_span_id
),

theirs AS (
  SELECT
    f.input_key,
    s.name,
    s.value
  FROM _frame_newest(reference, 'reference') AS f
  INNER JOIN scores AS s ON f.trace_id = s.trace_id AND f.span_id = s.frame_span_id
)

SELECT
  substr(o.name, 6) AS metric,
  o.input_key,
  o.input_id,
  o.value AS edge_value,
  t.value AS reference_value
FROM ours AS o
INNER JOIN theirs AS t ON o.input_key = t.input_key AND o.name = t.name
ORDER BY metric, o.input_id, o.input_key;
