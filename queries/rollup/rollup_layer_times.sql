-- Times of the layers of the wanted cohorts, as layer_latency; where a layer was timed in
-- two ways, the way that was used most.
CREATE OR REPLACE VIEW _rollup_layer_times AS
WITH
whole AS MATERIALIZED (
  SELECT
    f.cohort,
    f.run_id,
    f.trace_id,
    f.span_id,
    f.level = 'latency' AS is_latency,
    1 / f.sample_rate AS weight
  FROM _rollup_seen AS f
  INNER JOIN _rollup_wanted AS w ON f.cohort = w.cohort
  WHERE f.status <> 'error' AND f.sample_rate > 0
),

-- As in _frame_seen, the filter on the files.
wanted_build AS MATERIALIZED (
  SELECT DISTINCT w.build
  FROM _rollup_wanted AS w
),

execution AS MATERIALIZED (
  SELECT DISTINCT
    f.cohort,
    f.is_latency,
    f.weight,
    l.trace_id,
    l.span_id,
    l.layer_index,
    l.layer_name,
    l.op,
    l.timing,
    l.dur_ns
  FROM whole AS f
  INNER JOIN _layer_spans AS l
    ON f.run_id = l.run_id
    AND f.trace_id = l.trace_id
    AND f.span_id = l.frame_span_id
  WHERE
    l.dur_ns IS NOT NULL
    AND coalesce(l.subgraph_index, 0) = 0
    AND l.build IN (SELECT b.build FROM wanted_build AS b)
),

-- Aggregated and joined, where the library's own has windows: there are many rows, and what
-- goes through a window is sorted.
level AS (
  SELECT
    e.cohort,
    bool_or(e.is_latency) AS has_latency
  FROM execution AS e
  GROUP BY e.cohort
),

layer AS MATERIALIZED (
  SELECT
    e.cohort,
    e.layer_index,
    e.timing,
    any_value(e.layer_name) AS layer_name,
    any_value(e.op) AS op,
    count(*) AS executions,
    sum(e.weight) AS total,
    sum(ms(e.dur_ns) * e.weight) AS total_ms,
    weighted_mean(ms(e.dur_ns), e.weight) AS mean_ms,
    bool_or(NOT v.has_latency AND e.timing <> 'probe') AS inflated
  FROM execution AS e
  INNER JOIN level AS v ON e.cohort = v.cohort
  WHERE e.is_latency OR NOT v.has_latency
  GROUP BY e.cohort, e.layer_index, e.timing
),

placed AS (
  SELECT
    e.cohort,
    e.layer_index,
    e.timing,
    e.dur_ns,
    sum(e.weight) OVER (
      PARTITION BY e.cohort, e.layer_index, e.timing
      ORDER BY e.dur_ns, e.weight ROWS UNBOUNDED PRECEDING
    ) AS upto
  FROM execution AS e
  INNER JOIN level AS v ON e.cohort = v.cohort
  WHERE e.is_latency OR NOT v.has_latency
),

quantile AS (
  SELECT
    p.cohort,
    p.layer_index,
    p.timing,
    weighted_quantile(ms(p.dur_ns), p.upto, y.total, 0.5) AS p50_ms,
    weighted_quantile(ms(p.dur_ns), p.upto, y.total, 0.99) AS p99_ms
  FROM placed AS p
  INNER JOIN layer AS y
    ON p.cohort = y.cohort AND p.layer_index = y.layer_index AND p.timing = y.timing
  GROUP BY p.cohort, p.layer_index, p.timing
)

SELECT
  y.cohort,
  y.layer_index,
  y.timing,
  y.layer_name,
  y.op,
  y.executions,
  y.mean_ms,
  q.p50_ms,
  q.p99_ms,
  y.total_ms / nullif(sum(y.total_ms) OVER (PARTITION BY y.cohort), 0) AS time_ratio,
  y.inflated
FROM layer AS y
INNER JOIN quantile AS q
  ON y.cohort = q.cohort AND y.layer_index = q.layer_index AND y.timing = q.timing
QUALIFY row_number() OVER (
  PARTITION BY y.cohort, y.layer_index ORDER BY y.executions DESC, y.timing ASC
) = 1;
