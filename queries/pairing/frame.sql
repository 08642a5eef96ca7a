-- Frames in which the selected runs executed their model, one row per run and frame.
--
-- A frame belongs to the run of its first model. The runs of further models are found
-- through their inference spans. Reads the tables' raw rows and removes repeated ones
-- itself: a view's own removal would look at the whole lake before the run is known.
CREATE OR REPLACE MACRO _frame_seen(selector := '', wanted_role := '') AS TABLE
WITH
chosen AS MATERIALIZED (
  SELECT *
  FROM _run_selected(selector, wanted_role)
),

-- A semi join with few values becomes a filter on the files, which are sorted by build. So
-- it stands in every query of raw rows; as a condition of a larger join it would leave no
-- more than the least and the greatest build.
chosen_build AS MATERIALIZED (
  SELECT DISTINCT c.build
  FROM chosen AS c
),

-- A frame of another run, in which a chosen one executed its model besides.
joined AS (
  SELECT DISTINCT
    c.run_id,
    s.trace_id,
    s.frame_span_id AS span_id
  FROM chosen AS c
  INNER JOIN _spans AS s ON c.run_id = s.run_id
  WHERE
    s.name = 'inference'
    AND s.scope = 'exray'
    AND s.build IN (SELECT b.build FROM chosen_build AS b)
),

executed AS (
  SELECT
    f.run_id AS executing_run_id,
    f.*
  FROM _frames AS f
  WHERE f.build IN (SELECT b.build FROM chosen_build AS b)
  UNION ALL
  SELECT
    j.run_id AS executing_run_id,
    f.*
  FROM joined AS j
  INNER JOIN _frames AS f ON j.trace_id = f.trace_id AND j.span_id = f.span_id
  WHERE f.run_id <> j.run_id AND f.build IN (SELECT b.build FROM chosen_build AS b)
)

SELECT DISTINCT
  c.run_id,
  c.build,
  c.role,
  c.model_name,
  c.model_sha256,
  c.kernels,
  c.device,
  f.trace_id,
  f.span_id,
  f.input_key,
  f.input_id,
  f.start_ns,
  f.dur_ns,
  f.label,
  f.prediction_ids,
  f.output_hash,
  f.level,
  f.level IN ('summary', 'distribution', 'full') AS measured,
  coalesce(f.sample_rate, 1) AS sample_rate,
  f.status
FROM chosen AS c
INNER JOIN executed AS f ON c.run_id = f.executing_run_id;

-- The frame that counts for each input, model and role: the newest that did not fail, or
-- the newest of all where every one failed.
--
-- With measured_only, only frames at level summary or above stand for election: distances
-- need tensors, and a later run at level latency must not hide them.
CREATE OR REPLACE MACRO _frame_newest(
  selector := '', wanted_role := '', measured_only := FALSE
) AS TABLE
SELECT
  f.run_id,
  f.build,
  f.role,
  f.model_name,
  f.model_sha256,
  f.kernels,
  f.device,
  f.trace_id,
  f.span_id,
  f.input_key,
  f.input_id,
  f.label,
  f.prediction_ids,
  f.output_hash,
  f.level,
  f.sample_rate,
  f.status,
  bool_or(f.measured) OVER (
    PARTITION BY f.input_key, f.model_sha256, CASE WHEN wanted_role = '' THEN f.role END
  ) AS measured_once
FROM _frame_seen(selector, wanted_role) AS f
WHERE f.measured OR NOT measured_only
QUALIFY row_number() OVER (
  PARTITION BY f.input_key, f.model_sha256, CASE WHEN wanted_role = '' THEN f.role END
  ORDER BY (f.status = 'error') ASC, f.start_ns DESC, f.trace_id ASC, f.span_id ASC
) = 1;

-- Frames whose tensors can be compared: edge and reference of one input.
--
-- weight undoes the sampling. Sampling is consistent in the input, so a pair was as likely
-- as the rarer of its two frames. pair numbers them in an order that is the same wherever
-- this is evaluated, for it is a join key.
CREATE OR REPLACE MACRO _frame_measured(edge := '', reference := '') AS TABLE
SELECT
  row_number() OVER (ORDER BY e.input_key, e.model_sha256, r.model_sha256) AS pair,
  e.input_key,
  e.input_id,
  e.run_id AS edge_run_id,
  e.build AS edge_build,
  e.model_name AS edge_model,
  e.model_sha256 AS edge_model_sha256,
  e.trace_id AS edge_trace_id,
  e.span_id AS edge_frame_id,
  r.run_id AS reference_run_id,
  r.build AS reference_build,
  r.model_name AS reference_model,
  r.model_sha256 AS reference_model_sha256,
  r.trace_id AS reference_trace_id,
  r.span_id AS reference_frame_id,
  coalesce(1 / nullif(least(e.sample_rate, r.sample_rate), 0), 1) AS weight
FROM _frame_newest(edge, 'edge', measured_only := TRUE) AS e
INNER JOIN _frame_newest(reference, 'reference', measured_only := TRUE) AS r
  ON e.input_key = r.input_key;

-- Frames of edge and reference joined by their input; those without counterpart too.
--
-- For one input and model the newest frame counts. Paired frames come first.
--
-- Arguments:
--   edge: build, run id or run ids of the edge.
--   reference: build, run id or run ids of the reference.
-- Columns:
--   input_key BIGINT: the input.
--   input_id VARCHAR: what the caller named it.
--   paired BOOLEAN: whether both sides saw it.
--   measured BOOLEAN: whether both sides also recorded tensors of it, in these or older frames.
--   edge_model VARCHAR: model of the edge frame.
--   edge_run_id VARCHAR: its run, hex.
--   edge_trace_id VARCHAR: its trace, hex.
--   edge_frame_id VARCHAR: its span, hex.
--   edge_level VARCHAR: level it was recorded at.
--   edge_status VARCHAR: unset, ok or error.
--   reference_model VARCHAR: model of the reference frame.
--   reference_run_id VARCHAR: its run, hex.
--   reference_trace_id VARCHAR: its trace, hex.
--   reference_frame_id VARCHAR: its span, hex.
--   reference_level VARCHAR: level it was recorded at.
--   reference_status VARCHAR: unset, ok or error.
CREATE OR REPLACE MACRO frame_pairs(edge := '', reference := '') AS TABLE
SELECT
  coalesce(e.input_key, r.input_key) AS input_key,
  coalesce(e.input_id, r.input_id) AS input_id,
  e.span_id IS NOT NULL AND r.span_id IS NOT NULL AS paired,
  coalesce(e.measured_once AND r.measured_once, FALSE) AS measured,
  e.model_name AS edge_model,
  hex_id(e.run_id) AS edge_run_id,
  hex_id(e.trace_id) AS edge_trace_id,
  hex_id(e.span_id) AS edge_frame_id,
  e.level AS edge_level,
  e.status AS edge_status,
  r.model_name AS reference_model,
  hex_id(r.run_id) AS reference_run_id,
  hex_id(r.trace_id) AS reference_trace_id,
  hex_id(r.span_id) AS reference_frame_id,
  r.level AS reference_level,
  r.status AS reference_status
FROM _frame_newest(edge, 'edge') AS e
FULL JOIN _frame_newest(reference, 'reference') AS r ON e.input_key = r.input_key
ORDER BY paired DESC, input_id ASC, edge_model ASC, reference_model ASC;

-- How many frames of edge and reference found each other.
--
-- Arguments:
--   edge: build, run id or run ids of the edge.
--   reference: build, run id or run ids of the reference.
-- Columns:
--   inputs BIGINT: inputs that either side saw.
--   paired BIGINT: inputs that both sides saw.
--   measured BIGINT: inputs of which both sides recorded tensors.
--   edge_only BIGINT: inputs that only the edge saw.
--   reference_only BIGINT: inputs that only the reference saw.
--   edge_kernels VARCHAR: kernel families of the edge's frames.
--   reference_kernels VARCHAR: kernel families of the reference's frames.
CREATE OR REPLACE MACRO frame_coverage(edge := '', reference := '') AS TABLE
WITH
both_sides AS (
  SELECT
    coalesce(e.input_key, r.input_key) AS input_key,
    e.input_key IS NOT NULL AS on_edge,
    r.input_key IS NOT NULL AS on_reference,
    coalesce(e.measured_once AND r.measured_once, FALSE) AS measured,
    e.kernels AS edge_kernels,
    r.kernels AS reference_kernels
  FROM _frame_newest(edge, 'edge') AS e
  FULL JOIN _frame_newest(reference, 'reference') AS r ON e.input_key = r.input_key
)

SELECT
  count(DISTINCT b.input_key) AS inputs,
  count(DISTINCT b.input_key) FILTER (WHERE b.on_edge AND b.on_reference) AS paired,
  count(DISTINCT b.input_key) FILTER (WHERE b.measured) AS measured,
  count(DISTINCT b.input_key) FILTER (WHERE NOT b.on_reference) AS edge_only,
  count(DISTINCT b.input_key) FILTER (WHERE NOT b.on_edge) AS reference_only,
  string_agg(DISTINCT b.edge_kernels, ', ' ORDER BY b.edge_kernels) AS edge_kernels,
  string_agg(DISTINCT b.reference_kernels, ', ' ORDER BY b.reference_kernels)
    AS reference_kernels
FROM both_sides AS b;
