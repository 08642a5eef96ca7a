-- Runs that a selector names.
--
-- A selector is a build, or run ids (32 hex digits) separated by commas, or the beginning
-- of one run's id; the first reading that names anything counts, and a beginning that
-- several runs share names none. A build means all its runs; where it holds both roles,
-- the wanted one counts.
CREATE OR REPLACE MACRO _run_selected(selector := '', wanted_role := '') AS TABLE
WITH
matched AS (
  SELECT
    r.run_id,
    r.build,
    r.role,
    r.model_name,
    r.model_sha256,
    r.kernels,
    coalesce(nullif(r.device_model, ''), r.device_id) AS device,
    CASE
      WHEN r.build = selector THEN 1
      WHEN list_contains(
        string_split(lower(replace(replace(selector, '-', ''), ' ', '')), ','), hex_id(r.run_id)
      ) THEN 2
      WHEN selector <> '' AND starts_with(hex_id(r.run_id), lower(replace(selector, '-', '')))
        THEN 3
    END AS reading
  FROM runs AS r
),

counted AS (
  SELECT
    reading,
    count(*) AS named,
    count(*) FILTER (WHERE role = wanted_role) AS in_role
  FROM matched
  WHERE reading IS NOT NULL
  GROUP BY reading
)

SELECT
  m.run_id,
  m.build,
  m.role,
  m.model_name,
  m.model_sha256,
  m.kernels,
  m.device
FROM matched AS m
INNER JOIN counted AS c ON m.reading = c.reading
WHERE
  m.reading = (SELECT min(n.reading) FROM counted AS n)
  AND (m.reading <> 1 OR c.in_role = 0 OR m.role = wanted_role)
  AND (m.reading <> 3 OR c.named = 1);

-- Runs, newest first, with what each recorded.
--
-- Columns:
--   run_id VARCHAR: run, hex.
--   build VARCHAR: build that shipped.
--   role VARCHAR: edge or reference.
--   model_name VARCHAR: model file's name without its ending.
--   model_sha256 VARCHAR: SHA-256 of the model file, hex.
--   precision VARCHAR: type of most weights and activations.
--   runtime VARCHAR: litert, litert-compiled, tf.lite, keras or onnxruntime.
--   kernels VARCHAR: kernel family.
--   device VARCHAR: device model, or the device's id where the model is not known.
--   frames BIGINT: frames recorded, as first model of the frame.
--   failed_frames BIGINT: those among them that ended in an error.
--   measured_frames BIGINT: those at level summary or above.
--   started TIMESTAMP: first invocation, UTC.
--   duration_s DOUBLE: from the first frame's start to the last one's end, s.
--   labelled_frames BIGINT: frames with a prediction and a class index as label.
--   top1_ratio DOUBLE: share of those whose best class is the label; NULL without any.
CREATE OR REPLACE VIEW run_list AS
WITH
counted AS (
  SELECT
    f.run_id,
    count(*) AS frames,
    count(*) FILTER (WHERE f.status = 'error') AS failed_frames,
    count(*) FILTER (WHERE f.level IN ('summary', 'distribution', 'full')) AS measured_frames,
    min(f.start_ns) AS first_ns,
    max(f.start_ns + coalesce(f.dur_ns, 0)) AS last_ns,
    count(_frame_right(f.label, f.prediction_ids)) AS labelled_frames,
    avg(CAST(_frame_right(f.label, f.prediction_ids) AS DOUBLE)) AS top1_ratio
  FROM frames AS f
  GROUP BY f.run_id
)

SELECT
  hex_id(r.run_id) AS run_id,
  r.build,
  r.role,
  r.model_name,
  r.model_sha256,
  r.model_precision AS precision,
  r.runtime_name AS runtime,
  r.kernels,
  coalesce(nullif(r.device_model, ''), r.device_id) AS device,
  coalesce(c.frames, 0) AS frames,
  coalesce(c.failed_frames, 0) AS failed_frames,
  coalesce(c.measured_frames, 0) AS measured_frames,
  ts(r.started_ns) AS started,
  CAST(c.last_ns - c.first_ns AS DOUBLE) / 1e9 AS duration_s,
  coalesce(c.labelled_frames, 0) AS labelled_frames,
  c.top1_ratio
FROM runs AS r
LEFT JOIN counted AS c ON r.run_id = c.run_id
ORDER BY r.started_ns DESC, r.run_id DESC;
