-- Builds and references of which both recorded distributions of the same inputs, where they have
-- not been compared since either was rolled up.
CREATE OR REPLACE VIEW _rollup_stale_pairs AS
WITH
rolled AS MATERIALIZED (
  SELECT
    s.build,
    bool_or(s.role = 'reference') AS is_reference,
    max(s.recorded_ns) AS recorded_ns
  FROM build_stats AS s
  GROUP BY s.build
),

chosen AS (
  SELECT DISTINCT
    s.build,
    s.reference_build
  FROM build_stats AS s
),

seen AS MATERIALIZED (
  SELECT DISTINCT
    f.build,
    f.input_key
  FROM _frames AS f
  WHERE f.level IN ('distribution', 'full')
),

shared AS (
  SELECT DISTINCT
    e.build,
    r.build AS reference_build
  FROM seen AS e
  INNER JOIN seen AS r ON e.input_key = r.input_key
  INNER JOIN rolled AS o ON r.build = o.build
  LEFT JOIN chosen AS c ON e.build = c.build AND r.build = c.reference_build
  WHERE o.is_reference OR c.build IS NOT NULL
),

done AS (
  SELECT
    t.build,
    t.reference_build,
    max(t.recorded_ns) AS recorded_ns
  FROM _tensor_build_stats AS t
  WHERE t.tensor_role = ''
  GROUP BY t.build, t.reference_build
)

SELECT
  p.build,
  p.reference_build
FROM shared AS p
INNER JOIN rolled AS e ON p.build = e.build
INNER JOIN rolled AS r ON p.reference_build = r.build
LEFT JOIN done AS d ON p.build = d.build AND p.reference_build = d.reference_build
WHERE d.build IS NULL OR d.recorded_ns < greatest(e.recorded_ns, r.recorded_ns)
ORDER BY p.build, p.reference_build;

-- Rows of tensor_build_stats for a build and its reference, as tensor_quantiles,
-- tensor_histogram and tensor_channels have them.
CREATE OR REPLACE MACRO _rollup_tensor_rows(in_build := '', reference := '') AS TABLE
WITH
quantile AS MATERIALIZED (
  SELECT *
  FROM _tensor_quantiles(in_build, reference)
),

channel AS MATERIALIZED (
  SELECT
    c.edge_model_sha256,
    c.reference_model_sha256,
    c.match_role,
    c.match_name,
    c.match_index,
    any_value(c.layer_index) AS layer_index,
    any_value(c.op) AS op,
    any_value(c.tensor_name) AS tensor_name,
    list(c.channel ORDER BY c.channel) AS channels,
    list(c.edge_mean ORDER BY c.channel) AS edge_means,
    list(c.reference_mean ORDER BY c.channel) AS reference_means
  FROM _tensor_channels(in_build, reference) AS c
  GROUP BY
    c.edge_model_sha256,
    c.reference_model_sha256,
    c.match_role,
    c.match_name,
    c.match_index
)

SELECT
  in_build AS build,
  reference AS reference_build,
  coalesce(q.edge_model_sha256, c.edge_model_sha256) AS edge_model_sha256,
  coalesce(q.reference_model_sha256, c.reference_model_sha256) AS reference_model_sha256,
  coalesce(q.match_role, c.match_role) AS tensor_role,
  coalesce(q.match_name, c.match_name) AS match_name,
  coalesce(q.match_index, c.match_index) AS match_index,
  coalesce(q.layer_index, c.layer_index) AS layer_index,
  coalesce(q.op, c.op) AS op,
  coalesce(q.tensor_name, c.tensor_name) AS tensor_name,
  q.edge_p01,
  q.edge_p50,
  q.edge_p99,
  q.reference_p01,
  q.reference_p50,
  q.reference_p99,
  q.overlap_ratio,
  q.lower_bounds,
  q.upper_bounds,
  q.edge_ratios,
  q.reference_ratios,
  c.channels,
  c.edge_means,
  c.reference_means
FROM quantile AS q
FULL JOIN channel AS c
  ON q.edge_model_sha256 = c.edge_model_sha256
  AND q.reference_model_sha256 = c.reference_model_sha256
  AND q.match_role = c.match_role
  AND q.match_name = c.match_name
  AND q.match_index = c.match_index
UNION ALL
SELECT
  in_build AS build,
  reference AS reference_build,
  '' AS edge_model_sha256,
  '' AS reference_model_sha256,
  '' AS tensor_role,
  '' AS match_name,
  -1 AS match_index,
  NULL AS layer_index,
  NULL AS op,
  NULL AS tensor_name,
  NULL AS edge_p01,
  NULL AS edge_p50,
  NULL AS edge_p99,
  NULL AS reference_p01,
  NULL AS reference_p50,
  NULL AS reference_p99,
  NULL AS overlap_ratio,
  NULL AS lower_bounds,
  NULL AS upper_bounds,
  NULL AS edge_ratios,
  NULL AS reference_ratios,
  NULL AS channels,
  NULL AS edge_means,
  NULL AS reference_means;
