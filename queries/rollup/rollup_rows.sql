-- Rows of build_stats for the wanted cohorts.
CREATE OR REPLACE VIEW _rollup_build_rows AS
WITH
-- Frames at level latency and summarised ones are two samples of all frames, so either
-- speaks for the time of all; what recording took is the sum over both.
took AS (
  SELECT
    f.cohort,
    sum(f.overhead_ns) AS overhead_ns
  FROM _rollup_seen AS f
  WHERE f.own
  GROUP BY f.cohort
),

fed AS (
  SELECT
    n.cohort,
    min(sqnr_db(n.nsr)) AS input_sqnr_db
  FROM _rollup_numbers(with_layers := FALSE) AS n
  GROUP BY n.cohort
)

SELECT
  w.build,
  w.role,
  w.model_name,
  w.model_sha256,
  w.kernels,
  w.device,
  w.model_precision,
  w.first_ns,
  w.last_ns,
  w.devices,
  w.frames,
  w.failed_frames,
  w.measured_frames,
  a.judged,
  a.correct,
  t.mean_ms,
  t.p50_ms,
  t.p99_ms,
  t.inflated,
  CAST(k.overhead_ns AS DOUBLE) / nullif(t.dur_ns, 0) AS overhead_ratio,
  w.reference_build,
  w.reference_kernels,
  w.paired_frames,
  a.paired_judged,
  a.edge_only_correct,
  a.reference_only_correct,
  d.input_sqnr_db
FROM _rollup_wanted AS w
LEFT JOIN _rollup_answers AS a ON w.cohort = a.cohort
LEFT JOIN _rollup_frame_times AS t ON w.cohort = t.cohort
LEFT JOIN took AS k ON w.cohort = k.cohort
LEFT JOIN fed AS d ON w.cohort = d.cohort;

-- Distance of each layer of the wanted cohorts from its counterpart, with that of its inputs,
-- as _layer_scored.
CREATE OR REPLACE VIEW _rollup_distances AS
WITH RECURSIVE
model AS (
  SELECT DISTINCT w.model_sha256
  FROM _rollup_wanted AS w
),

layer AS MATERIALIZED (
  SELECT
    g.model_sha256,
    g.layer_index,
    g.parents,
    g.excluded_reason
  FROM model AS m
  INNER JOIN graphs AS g ON m.model_sha256 = g.model_sha256
  WHERE g.subgraph_index = 0
),

-- What computes no activations may have been recorded all the same; its distance means
-- nothing.
number AS MATERIALIZED (
  SELECT
    n.*,
    w.model_sha256
  FROM _rollup_numbers() AS n
  INNER JOIN _rollup_wanted AS w ON n.cohort = w.cohort
  LEFT JOIN layer AS y ON w.model_sha256 = y.model_sha256 AND n.layer_index = y.layer_index
  WHERE y.excluded_reason IS NULL
),

-- What a drop may be measured against.
measured AS MATERIALIZED (
  SELECT
    n.cohort,
    n.layer_index AS source,
    avg(n.nsr) AS nsr
  FROM number AS n
  GROUP BY n.cohort, n.layer_index
  HAVING avg(n.nsr) IS NOT NULL
),

-- From each layer to its inputs, and on through those that were not measured.
upstream AS (
  SELECT
    n.cohort,
    n.model_sha256,
    n.layer_index,
    unnest(y.parents) AS source
  FROM number AS n
  INNER JOIN layer AS y ON n.model_sha256 = y.model_sha256 AND n.layer_index = y.layer_index
  UNION
  SELECT
    u.cohort,
    u.model_sha256,
    u.layer_index,
    unnest(y.parents) AS source
  FROM upstream AS u
  INNER JOIN layer AS y ON u.model_sha256 = y.model_sha256 AND u.source = y.layer_index
  LEFT JOIN measured AS m ON u.cohort = m.cohort AND u.source = m.source
  WHERE m.source IS NULL
),

input AS (
  SELECT
    u.cohort,
    u.layer_index,
    avg(m.nsr) AS nsr
  FROM upstream AS u
  INNER JOIN measured AS m ON u.cohort = m.cohort AND u.source = m.source
  GROUP BY u.cohort, u.layer_index
)

SELECT
  n.cohort,
  n.layer_index,
  n.layer_name,
  n.op,
  n.reference_layer_index,
  n.frames,
  n.nsr,
  sqnr_db(n.nsr) AS sqnr_db,
  sqnr_db(i.nsr) - sqnr_db(n.nsr) AS drop_db,
  n.cosine,
  n.nrmse,
  n.rmse_scale
FROM number AS n
LEFT JOIN input AS i ON n.cohort = i.cohort AND n.layer_index = i.layer_index
WHERE n.layer_index >= 0 AND n.frames > 0;

-- Rows of layer_build_stats for the wanted cohorts.
CREATE OR REPLACE VIEW _rollup_layer_rows AS
WITH
timed AS MATERIALIZED (
  SELECT *
  FROM _rollup_layer_times
),

output AS MATERIALIZED (
  SELECT *
  FROM _rollup_outputs
),

distant AS MATERIALIZED (
  SELECT *
  FROM _rollup_distances
),

known AS (
  SELECT
    k.cohort,
    k.layer_index,
    any_value(k.layer_name) AS layer_name,
    any_value(k.op) AS op
  FROM (
    SELECT t.cohort, t.layer_index, t.layer_name, t.op FROM timed AS t
    UNION ALL
    SELECT o.cohort, o.layer_index, o.layer_name, o.op FROM output AS o
    UNION ALL
    SELECT d.cohort, d.layer_index, d.layer_name, d.op FROM distant AS d
  ) AS k
  WHERE k.layer_index IS NOT NULL
  GROUP BY k.cohort, k.layer_index
)

SELECT
  w.build,
  w.role,
  w.model_name,
  w.model_sha256,
  w.kernels,
  w.device,
  k.layer_index,
  coalesce(k.layer_name, '') AS layer_name,
  coalesce(k.op, '') AS op,
  t.timing,
  t.executions,
  t.mean_ms,
  t.p50_ms,
  t.p99_ms,
  t.time_ratio,
  t.inflated,
  o.outputs,
  o.mean,
  o.std,
  o.min,
  o.max,
  o.nan_count,
  o.inf_count,
  o.zero_ratio,
  o.sat_ratio,
  o.scale,
  w.reference_build,
  d.reference_layer_index,
  d.frames,
  d.nsr,
  d.sqnr_db,
  d.drop_db,
  d.cosine,
  d.nrmse,
  d.rmse_scale
FROM known AS k
INNER JOIN _rollup_wanted AS w ON k.cohort = w.cohort
LEFT JOIN timed AS t ON k.cohort = t.cohort AND k.layer_index = t.layer_index
LEFT JOIN output AS o ON k.cohort = o.cohort AND k.layer_index = o.layer_index
LEFT JOIN distant AS d ON k.cohort = d.cohort AND k.layer_index = d.layer_index
ORDER BY w.build, w.role, w.model_sha256, w.kernels, w.device, k.layer_index;
