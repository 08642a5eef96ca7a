-- Cohorts to roll up: rows of _rollup_stale, which `exray grafana refresh` puts in its place,
-- some at a time. Without rows, for what is built on it is bound with all that is in it.
CREATE OR REPLACE VIEW _rollup_wanted AS
SELECT
  CAST(NULL AS BIGINT) AS cohort,
  CAST(NULL AS VARCHAR) AS build,
  CAST(NULL AS VARCHAR) AS role,
  CAST(NULL AS VARCHAR) AS model_name,
  CAST(NULL AS VARCHAR) AS model_sha256,
  CAST(NULL AS VARCHAR) AS kernels,
  CAST(NULL AS VARCHAR) AS device,
  CAST(NULL AS VARCHAR) AS model_precision,
  CAST(NULL AS BIGINT) AS first_ns,
  CAST(NULL AS BIGINT) AS last_ns,
  CAST(NULL AS BIGINT) AS devices,
  CAST(NULL AS BIGINT) AS frames,
  CAST(NULL AS BIGINT) AS failed_frames,
  CAST(NULL AS BIGINT) AS measured_frames,
  CAST(NULL AS BIGINT) AS reference_cohort,
  CAST(NULL AS VARCHAR) AS reference_build,
  CAST(NULL AS VARCHAR) AS reference_model_sha256,
  CAST(NULL AS VARCHAR) AS reference_kernels,
  CAST(NULL AS BIGINT) AS paired_frames,
  CAST(NULL AS BIGINT) AS work
WHERE FALSE;

-- Pairs of models that differ among the wanted cohorts and their references, each with two
-- runs that measured the same inputs, as many as there are.
CREATE OR REPLACE VIEW _rollup_models AS
WITH
pair AS MATERIALIZED (
  SELECT
    w.cohort,
    w.reference_cohort,
    w.model_sha256,
    w.reference_model_sha256
  FROM _rollup_wanted AS w
  WHERE w.model_sha256 <> w.reference_model_sha256
  QUALIFY row_number() OVER (
    PARTITION BY w.model_sha256, w.reference_model_sha256
    ORDER BY w.paired_frames DESC, w.cohort ASC
  ) = 1
),

member AS (
  SELECT p.cohort
  FROM pair AS p
  UNION
  SELECT p.reference_cohort AS cohort
  FROM pair AS p
),

measured AS MATERIALIZED (
  SELECT DISTINCT
    r.cohort,
    r.run_id,
    f.input_key
  FROM member AS m
  INNER JOIN _rollup_runs AS r ON m.cohort = r.cohort
  INNER JOIN _frames AS f ON r.run_id = f.run_id
  WHERE f.level IN ('summary', 'distribution', 'full')
),

shared AS (
  SELECT
    p.cohort,
    e.run_id,
    r.run_id AS reference_run_id,
    count(*) AS inputs
  FROM pair AS p
  INNER JOIN measured AS e ON p.cohort = e.cohort
  INNER JOIN measured AS r ON p.reference_cohort = r.cohort AND e.input_key = r.input_key
  GROUP BY p.cohort, e.run_id, r.run_id
)

SELECT
  hex_id(s.run_id) AS edge_run_id,
  hex_id(s.reference_run_id) AS reference_run_id
FROM shared AS s
QUALIFY row_number() OVER (
  PARTITION BY s.cohort ORDER BY s.inputs DESC, s.run_id DESC, s.reference_run_id DESC
) = 1;
