-- What stands in one row of build_stats: runs of one build, role, model, kernel family and
-- device model; see there for the numbers.
CREATE OR REPLACE VIEW _rollup_groups AS
WITH
frame AS MATERIALIZED (
  SELECT
    f.run_id,
    count(*) AS frames,
    count(*) FILTER (WHERE f.status = 'error') AS failed_frames,
    count(*) FILTER (WHERE f.level IN ('summary', 'distribution', 'full')) AS measured_frames,
    min(f.start_ns) AS first_ns,
    max(f.start_ns) AS last_ns
  FROM frames AS f
  GROUP BY f.run_id
)

SELECT
  r.build,
  r.role,
  r.model_name,
  r.model_sha256,
  r.kernels,
  coalesce(nullif(r.device_model, ''), r.device_id) AS device,
  any_value(r.model_precision) AS model_precision,
  -- runs of the second model of a frame have no frames of their own
  min(coalesce(f.first_ns, r.started_ns)) AS first_ns,
  max(coalesce(f.last_ns, r.started_ns)) AS last_ns,
  count(DISTINCT r.device_id) AS devices,
  coalesce(CAST(sum(f.frames) AS BIGINT), 0) AS frames,
  coalesce(CAST(sum(f.failed_frames) AS BIGINT), 0) AS failed_frames,
  coalesce(CAST(sum(f.measured_frames) AS BIGINT), 0) AS measured_frames
FROM runs AS r
LEFT JOIN frame AS f ON r.run_id = f.run_id
GROUP BY
  r.build,
  r.role,
  r.model_name,
  r.model_sha256,
  r.kernels,
  coalesce(nullif(r.device_model, ''), r.device_id);

-- The reference of each group of edge runs: of those that measured inputs in common with it,
-- one of the same model's name first, then the one with most such inputs, then one with the
-- same kernels, then the newest.
CREATE OR REPLACE VIEW _rollup_references AS
WITH
measured AS MATERIALIZED (
  SELECT DISTINCT
    r.build,
    r.role,
    r.model_name,
    r.model_sha256,
    r.kernels,
    coalesce(nullif(r.device_model, ''), r.device_id) AS device,
    f.input_key
  FROM frames AS f
  INNER JOIN runs AS r ON f.run_id = r.run_id
  WHERE f.level IN ('summary', 'distribution', 'full')
),

shared AS (
  SELECT
    e.build,
    e.model_name,
    e.model_sha256,
    e.kernels,
    e.device,
    r.build AS reference_build,
    r.model_name AS reference_model_name,
    r.model_sha256 AS reference_model_sha256,
    r.kernels AS reference_kernels,
    r.device AS reference_device,
    count(*) AS inputs
  FROM measured AS e
  INNER JOIN measured AS r ON e.input_key = r.input_key
  WHERE e.role = 'edge' AND r.role = 'reference'
  GROUP BY
    e.build,
    e.model_name,
    e.model_sha256,
    e.kernels,
    e.device,
    r.build,
    r.model_name,
    r.model_sha256,
    r.kernels,
    r.device
)

SELECT
  s.build,
  s.model_sha256,
  s.kernels,
  s.device,
  s.reference_build,
  s.reference_model_sha256,
  s.reference_kernels,
  s.reference_device,
  s.inputs
FROM shared AS s
INNER JOIN _rollup_groups AS g
  ON s.reference_build = g.build
  AND g.role = 'reference'
  AND s.reference_model_sha256 = g.model_sha256
  AND s.reference_kernels = g.kernels
  AND s.reference_device = g.device
QUALIFY row_number() OVER (
  PARTITION BY s.build, s.model_sha256, s.kernels, s.device
  ORDER BY
    (s.model_name = s.reference_model_name) DESC,
    s.inputs DESC,
    (s.kernels = s.reference_kernels) DESC,
    g.first_ns DESC,
    s.reference_build ASC,
    s.reference_device ASC
) = 1;

-- Groups whose row in build_stats is missing, or was written before what it says now.
CREATE OR REPLACE VIEW _rollup_stale AS
SELECT
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
  p.reference_build,
  p.reference_model_sha256,
  p.reference_kernels,
  p.reference_device,
  p.inputs AS paired_frames
FROM _rollup_groups AS g
LEFT JOIN _rollup_references AS p
  ON g.role = 'edge'
  AND g.build = p.build
  AND g.model_sha256 = p.model_sha256
  AND g.kernels = p.kernels
  AND g.device = p.device
LEFT JOIN build_stats AS s
  ON g.build = s.build
  AND g.role = s.role
  AND g.model_sha256 = s.model_sha256
  AND g.kernels = s.kernels
  AND g.device = s.device
WHERE
  s.build IS NULL
  OR g.frames <> s.frames
  OR g.last_ns <> s.last_ns
  OR p.reference_build IS DISTINCT FROM s.reference_build
  OR p.reference_kernels IS DISTINCT FROM s.reference_kernels
  OR p.inputs IS DISTINCT FROM s.paired_frames
ORDER BY g.build, g.role, g.model_name, g.kernels, g.device;
