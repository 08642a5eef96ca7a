-- Runs with the number of their cohort: those of one build, role, model, kernel family and
-- device model, which share a row of build_stats.
CREATE OR REPLACE VIEW _rollup_runs AS
SELECT
  r.run_id,
  r.build,
  r.role,
  r.model_name,
  r.model_sha256,
  r.model_precision,
  r.kernels,
  coalesce(nullif(r.device_model, ''), r.device_id) AS device,
  r.device_id,
  r.started_ns,
  dense_rank() OVER (
    ORDER BY
      r.build,
      r.role,
      r.model_sha256,
      r.kernels,
      coalesce(nullif(r.device_model, ''), r.device_id)
  ) AS cohort
FROM runs AS r;

-- What stands in a cohort's row of build_stats; see there for the numbers.
CREATE OR REPLACE VIEW _rollup_groups AS
WITH
-- Repeated rows are removed over few columns: the others are read cohort by cohort, when it
-- is known which are stale.
frame AS (
  SELECT DISTINCT
    f.run_id,
    f.trace_id,
    f.span_id,
    f.status,
    f.level,
    f.start_ns
  FROM _frames AS f
),

counted AS MATERIALIZED (
  SELECT
    f.run_id,
    count(*) AS frames,
    count(*) FILTER (WHERE f.status = 'error') AS failed_frames,
    count(*) FILTER (WHERE f.level IN ('summary', 'distribution', 'full')) AS measured_frames,
    min(f.start_ns) AS first_ns,
    max(f.start_ns) AS last_ns
  FROM frame AS f
  GROUP BY f.run_id
)

SELECT
  r.cohort,
  r.build,
  r.role,
  r.model_sha256,
  r.kernels,
  r.device,
  -- one file may have been recorded under two names
  arg_max(r.model_name, r.started_ns) AS model_name,
  arg_max(r.model_precision, r.started_ns) AS model_precision,
  -- runs of the second model of a frame have no frames of their own
  min(coalesce(c.first_ns, r.started_ns)) AS first_ns,
  max(coalesce(c.last_ns, r.started_ns)) AS last_ns,
  count(DISTINCT r.device_id) AS devices,
  coalesce(CAST(sum(c.frames) AS BIGINT), 0) AS frames,
  coalesce(CAST(sum(c.failed_frames) AS BIGINT), 0) AS failed_frames,
  coalesce(CAST(sum(c.measured_frames) AS BIGINT), 0) AS measured_frames
FROM _rollup_runs AS r
LEFT JOIN counted AS c ON r.run_id = c.run_id
GROUP BY r.cohort, r.build, r.role, r.model_sha256, r.kernels, r.device;

-- The reference of each cohort of edge runs: of those that measured inputs in common with it,
-- one of the same model's name first, then the one with most such inputs, then one with the
-- same kernels, then the newest.
CREATE OR REPLACE VIEW _rollup_references AS
WITH
cohort AS MATERIALIZED (
  SELECT *
  FROM _rollup_groups
),

measured AS MATERIALIZED (
  SELECT DISTINCT
    r.cohort,
    r.role,
    f.input_key
  FROM _frames AS f
  INNER JOIN _rollup_runs AS r ON f.run_id = r.run_id
  WHERE f.level IN ('summary', 'distribution', 'full')
),

shared AS (
  SELECT
    e.cohort,
    r.cohort AS reference_cohort,
    count(*) AS inputs
  FROM measured AS e
  INNER JOIN measured AS r ON e.input_key = r.input_key
  WHERE e.role = 'edge' AND r.role = 'reference'
  GROUP BY e.cohort, r.cohort
)

SELECT
  s.cohort,
  s.reference_cohort,
  s.inputs,
  e.build,
  e.model_sha256,
  r.build AS reference_build,
  r.model_sha256 AS reference_model_sha256,
  r.kernels AS reference_kernels,
  r.device AS reference_device
FROM shared AS s
INNER JOIN cohort AS e ON s.cohort = e.cohort
INNER JOIN cohort AS r ON s.reference_cohort = r.cohort
QUALIFY row_number() OVER (
  PARTITION BY s.cohort
  ORDER BY
    (e.model_name = r.model_name) DESC,
    s.inputs DESC,
    (e.kernels = r.kernels) DESC,
    r.first_ns DESC,
    r.build ASC,
    r.device ASC,
    r.cohort ASC
) = 1;

-- Cohorts whose row in build_stats is missing, is of an older version of exray, or was written
-- before what it says now.
CREATE OR REPLACE VIEW _rollup_stale AS
WITH
cohort AS MATERIALIZED (
  SELECT *
  FROM _rollup_groups
),

-- how many rows a cohort's frames have below them, roughly
model AS (
  SELECT
    g.model_sha256,
    count(*) AS layers
  FROM graphs AS g
  WHERE g.subgraph_index = 0
  GROUP BY g.model_sha256
)

SELECT
  g.cohort,
  g.build,
  g.role,
  g.model_name,
  g.model_sha256,
  g.kernels,
  g.device,
  g.model_precision,
  g.first_ns,
  g.last_ns,
  g.devices,
  g.frames,
  g.failed_frames,
  g.measured_frames,
  p.reference_cohort,
  p.reference_build,
  p.reference_model_sha256,
  p.reference_kernels,
  p.inputs AS paired_frames,
  g.frames * coalesce(m.layers, 100) AS work
FROM cohort AS g
LEFT JOIN model AS m ON g.model_sha256 = m.model_sha256
LEFT JOIN _rollup_references AS p ON g.cohort = p.cohort
LEFT JOIN build_stats AS s
  ON g.build = s.build
  AND g.role = s.role
  AND g.model_sha256 = s.model_sha256
  AND g.kernels = s.kernels
  AND g.device = s.device
-- an older version wrote no times
LEFT JOIN _build_times AS h
  ON h.bucket = -1
  AND g.build = h.build
  AND g.role = h.role
  AND g.model_sha256 = h.model_sha256
  AND g.kernels = h.kernels
  AND g.device = h.device
  AND s.recorded_ns = h.recorded_ns
WHERE
  h.build IS NULL
  OR g.frames <> s.frames
  OR g.last_ns <> s.last_ns
  OR p.reference_build IS DISTINCT FROM s.reference_build
  OR p.reference_kernels IS DISTINCT FROM s.reference_kernels
  OR p.inputs IS DISTINCT FROM s.paired_frames
ORDER BY g.build, g.role, g.model_name, g.kernels, g.device, g.model_sha256;
