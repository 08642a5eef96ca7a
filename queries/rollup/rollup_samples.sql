-- Rows of build_answers for the wanted cohorts.
CREATE OR REPLACE VIEW _rollup_answer_rows AS
SELECT
  w.build,
  w.role,
  w.model_name,
  w.model_sha256,
  w.kernels,
  w.device,
  n.input_key,
  n.input_id,
  n.trace_id,
  n.span_id,
  n.start_ns,
  n.status = 'error' AS failed,
  n.label,
  list_extract(n.prediction_ids, 1) AS top1
FROM _rollup_newest() AS n
INNER JOIN _rollup_wanted AS w ON n.cohort = w.cohort
WHERE n.input_key IS NOT NULL
ORDER BY w.build, w.role, w.model_sha256, w.kernels, w.device, n.input_key;

-- Rows of build_times for the wanted cohorts, each with the row that says that it was made.
CREATE OR REPLACE VIEW _rollup_time_rows AS
WITH
timed AS (
  SELECT
    f.cohort,
    f.start_ns // 3600000000000 * 3600000000000 AS hour_ns,
    CAST(floor(128 * log2(CAST(greatest(f.dur_ns, 1) AS DOUBLE))) AS INTEGER) AS bucket
  FROM _rollup_seen AS f
  WHERE f.own AND f.level = 'latency' AND f.dur_ns IS NOT NULL AND f.status <> 'error'
),

counted AS (
  SELECT
    t.cohort,
    t.hour_ns,
    t.bucket,
    count(*) AS frames
  FROM timed AS t
  GROUP BY t.cohort, t.hour_ns, t.bucket
  UNION ALL
  SELECT
    m.cohort,
    0 AS hour_ns,
    -1 AS bucket,
    0 AS frames
  FROM _rollup_wanted AS m
)

SELECT
  w.build,
  w.role,
  w.model_name,
  w.model_sha256,
  w.kernels,
  w.device,
  c.hour_ns,
  c.bucket,
  c.frames
FROM counted AS c
INNER JOIN _rollup_wanted AS w ON c.cohort = w.cohort
ORDER BY w.build, w.role, w.model_sha256, w.kernels, w.device, c.hour_ns, c.bucket;
