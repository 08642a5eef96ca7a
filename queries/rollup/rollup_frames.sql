-- Frames in which the wanted cohorts or their references executed their model, as _frame_seen.
CREATE OR REPLACE VIEW _rollup_seen AS
WITH
member AS (
  SELECT w.cohort
  FROM _rollup_wanted AS w
  UNION
  SELECT w.reference_cohort AS cohort
  FROM _rollup_wanted AS w
),

chosen AS MATERIALIZED (
  SELECT
    r.cohort,
    r.run_id,
    r.build
  FROM member AS m
  INNER JOIN _rollup_runs AS r ON m.cohort = r.cohort
),

-- As in _frame_seen, the filter on the files.
chosen_build AS MATERIALIZED (
  SELECT DISTINCT c.build
  FROM chosen AS c
),

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
  c.cohort,
  c.run_id,
  f.trace_id,
  f.span_id,
  f.run_id = c.run_id AS own,
  f.input_key,
  f.input_id,
  f.start_ns,
  f.dur_ns,
  f.overhead_ns,
  f.label,
  f.prediction_ids,
  f.level,
  coalesce(f.sample_rate, 1) AS sample_rate,
  f.status
FROM chosen AS c
INNER JOIN executed AS f ON c.run_id = f.executing_run_id;

-- The frame that counts for each input of a cohort, as _frame_newest.
CREATE OR REPLACE MACRO _rollup_newest(measured_only := FALSE) AS TABLE
SELECT
  f.cohort,
  f.run_id,
  f.trace_id,
  f.span_id,
  f.input_key,
  f.input_id,
  f.start_ns,
  f.label,
  f.prediction_ids,
  f.sample_rate,
  f.status
FROM _rollup_seen AS f
WHERE NOT measured_only OR f.level IN ('summary', 'distribution', 'full')
QUALIFY row_number() OVER (
  PARTITION BY f.cohort, f.input_key
  ORDER BY (f.status = 'error') ASC, f.start_ns DESC, f.trace_id ASC, f.span_id ASC
) = 1;

-- Times of the wanted cohorts' frames, as frame_latency.
CREATE OR REPLACE VIEW _rollup_frame_times AS
WITH
marked AS (
  SELECT
    f.cohort,
    f.level,
    f.dur_ns,
    1 / f.sample_rate AS weight,
    bool_or(f.level = 'latency') OVER (PARTITION BY f.cohort) AS has_latency
  FROM _rollup_seen AS f
  WHERE f.status <> 'error' AND f.sample_rate > 0
),

placed AS (
  SELECT
    m.cohort,
    m.dur_ns,
    m.weight,
    NOT m.has_latency AS inflated,
    sum(m.weight) OVER (
      PARTITION BY m.cohort ORDER BY m.dur_ns, m.weight ROWS UNBOUNDED PRECEDING
    ) AS upto,
    sum(m.weight) OVER (PARTITION BY m.cohort) AS total
  FROM marked AS m
  WHERE (m.level = 'latency' OR NOT m.has_latency) AND m.dur_ns IS NOT NULL
)

SELECT
  p.cohort,
  weighted_mean(ms(p.dur_ns), p.weight) AS mean_ms,
  weighted_quantile(ms(p.dur_ns), p.upto, p.total, 0.5) AS p50_ms,
  weighted_quantile(ms(p.dur_ns), p.upto, p.total, 0.99) AS p99_ms,
  bool_or(p.inflated) AS inflated,
  sum(p.dur_ns * p.weight) AS dur_ns
FROM placed AS p
GROUP BY p.cohort;

-- How often the wanted cohorts were right, alone and beside their references, as
-- outcome_accuracy and outcome_compare.
CREATE OR REPLACE VIEW _rollup_answers AS
WITH
newest AS MATERIALIZED (
  SELECT
    n.cohort,
    n.input_key,
    n.label,
    list_extract(n.prediction_ids, 1) AS top1,
    _frame_right(n.label, n.prediction_ids) AS correct
  FROM _rollup_newest() AS n
),

alone AS (
  SELECT
    n.cohort,
    count(n.correct) AS judged,
    count(*) FILTER (WHERE n.correct) AS correct
  FROM newest AS n
  GROUP BY n.cohort
),

-- a label that one side lacks is the other's
both_sides AS (
  SELECT
    w.cohort,
    e.top1 = TRY_CAST(coalesce(e.label, r.label) AS INTEGER) AS edge_correct,
    r.top1 = TRY_CAST(coalesce(r.label, e.label) AS INTEGER) AS reference_correct
  FROM _rollup_wanted AS w
  INNER JOIN newest AS e ON w.cohort = e.cohort
  INNER JOIN newest AS r ON w.reference_cohort = r.cohort AND e.input_key = r.input_key
),

paired AS (
  SELECT
    b.cohort,
    count(*) FILTER (WHERE b.edge_correct IS NOT NULL AND b.reference_correct IS NOT NULL)
      AS judged,
    count(*) FILTER (WHERE b.edge_correct AND NOT b.reference_correct) AS edge_only_correct,
    count(*) FILTER (WHERE NOT b.edge_correct AND b.reference_correct)
      AS reference_only_correct
  FROM both_sides AS b
  GROUP BY b.cohort
)

SELECT
  w.cohort,
  coalesce(a.judged, 0) AS judged,
  coalesce(a.correct, 0) AS correct,
  p.judged AS paired_judged,
  p.edge_only_correct,
  p.reference_only_correct
FROM _rollup_wanted AS w
LEFT JOIN alone AS a ON w.cohort = a.cohort
LEFT JOIN paired AS p ON w.cohort = p.cohort;
