-- Statistics of the first output of each layer over all frames of the wanted cohorts.
CREATE OR REPLACE VIEW _rollup_outputs AS
WITH
seen AS MATERIALIZED (
  SELECT
    f.cohort,
    f.run_id,
    f.trace_id,
    f.span_id
  FROM _rollup_seen AS f
  INNER JOIN _rollup_wanted AS w ON f.cohort = w.cohort
),

-- As in _frame_seen, the filter on the files.
wanted_build AS MATERIALIZED (
  SELECT DISTINCT w.build
  FROM _rollup_wanted AS w
),

tensor AS (
  SELECT DISTINCT
    f.cohort,
    t.trace_id,
    t.span_id,
    t.layer_index,
    t.layer_name,
    t.op,
    t.scale,
    t.count,
    finite_or_null(t.sum) AS sum,
    finite_or_null(t.sum2) AS sum2,
    t.min,
    t.max,
    t.nan_count,
    t.posinf_count + t.neginf_count AS inf_count,
    t.zero_count,
    t.sat_low_count + t.sat_high_count AS sat_count
  FROM seen AS f
  INNER JOIN _tensors AS t
    ON f.run_id = t.run_id AND f.trace_id = t.trace_id AND f.span_id = t.frame_span_id
  WHERE
    t.layer_index IS NOT NULL
    AND t.tensor_index = 0
    AND t.tensor_role IN ('layer', 'output')
    AND coalesce(t.subgraph_index, 0) = 0
    AND t.build IN (SELECT b.build FROM wanted_build AS b)
)

SELECT
  t.cohort,
  t.layer_index,
  any_value(t.layer_name) AS layer_name,
  any_value(t.op) AS op,
  count(*) AS outputs,
  sum(t.sum) / nullif(sum(t.count) FILTER (WHERE t.sum IS NOT NULL), 0) AS mean,
  sqrt(
    greatest(
      CAST(0 AS DOUBLE),
      sum(t.sum2) / nullif(sum(t.count) FILTER (WHERE t.sum2 IS NOT NULL), 0)
      - pow(sum(t.sum) / nullif(sum(t.count) FILTER (WHERE t.sum IS NOT NULL), 0), 2)
    )
  ) AS std,
  min(t.min) AS min,
  max(t.max) AS max,
  CAST(sum(t.nan_count) AS BIGINT) AS nan_count,
  CAST(sum(t.inf_count) AS BIGINT) AS inf_count,
  CAST(sum(t.zero_count) AS DOUBLE) / nullif(sum(t.count), 0) AS zero_ratio,
  CAST(sum(t.sat_count) AS DOUBLE) / nullif(sum(t.count), 0) AS sat_ratio,
  CASE WHEN count(DISTINCT t.scale) = 1 THEN any_value(t.scale) END AS scale
FROM tensor AS t
GROUP BY t.cohort, t.layer_index;
