-- Model inputs, and with_layers the first outputs of layers, of the frames that count of the
-- wanted cohorts and their references; execution as in _tensor_sides.
--
-- layer_index is -1 for a model input, as in graphs.parents. A reference's tensors stand here
-- once, however many cohorts are compared with it.
CREATE OR REPLACE MACRO _rollup_tensors(with_layers := TRUE) AS TABLE
WITH
newest AS MATERIALIZED (
  SELECT *
  FROM _rollup_newest(measured_only := TRUE)
),

shared AS (
  SELECT
    e.cohort,
    r.cohort AS reference_cohort,
    e.input_key
  FROM _rollup_wanted AS w
  INNER JOIN newest AS e ON w.cohort = e.cohort
  INNER JOIN newest AS r ON w.reference_cohort = r.cohort AND e.input_key = r.input_key
),

paired AS (
  SELECT
    s.cohort,
    s.input_key
  FROM shared AS s
  UNION
  SELECT
    s.reference_cohort AS cohort,
    s.input_key
  FROM shared AS s
),

frame AS MATERIALIZED (
  SELECT n.*
  FROM newest AS n
  INNER JOIN paired AS p ON n.cohort = p.cohort AND n.input_key = p.input_key
),

-- As in _frame_seen, the filter on the files.
frame_build AS MATERIALIZED (
  SELECT DISTINCT r.build
  FROM frame AS f
  INNER JOIN _rollup_runs AS r ON f.run_id = r.run_id
),

-- As in _tensor_sides, what is counted.
carrier AS (
  SELECT DISTINCT
    f.cohort,
    f.input_key,
    coalesce(t.inference_index, -1) AS inference_index,
    CASE WHEN t.inference_index IS NULL THEN t.span_id ELSE t.frame_span_id END AS span_id,
    CASE WHEN t.inference_index IS NULL THEN t.start_ns END AS start_ns,
    CASE WHEN t.inference_index IS NULL THEN t.tensor_index END AS tensor_index,
    CASE WHEN t.inference_index IS NULL THEN t.layer_index END AS layer_index
  FROM frame AS f
  INNER JOIN _tensors AS t
    ON f.run_id = t.run_id AND f.trace_id = t.trace_id AND f.span_id = t.frame_span_id
  WHERE
    t.tensor_role IN ('input', 'layer', 'output')
    AND t.build IN (SELECT b.build FROM frame_build AS b)
),

counted AS MATERIALIZED (
  SELECT
    c.cohort,
    c.input_key,
    c.inference_index,
    c.span_id,
    f.run_id,
    f.trace_id,
    f.span_id AS frame_span_id,
    f.sample_rate,
    dense_rank() OVER (
      PARTITION BY c.cohort, c.input_key, c.tensor_index, c.layer_index
      ORDER BY c.inference_index, c.start_ns, c.span_id
    ) AS execution
  FROM carrier AS c
  INNER JOIN frame AS f ON c.cohort = f.cohort AND c.input_key = f.input_key
)

SELECT
  c.cohort,
  c.input_key,
  c.execution,
  c.sample_rate,
  coalesce(t.layer_index, -1) AS layer_index,
  t.tensor_index,
  t.layer_name,
  t.op,
  t.scale,
  t.count,
  t.sum2,
  t.min,
  t.max,
  t.nan_count + t.posinf_count + t.neginf_count AS nonfinite_count,
  t.sketch,
  t.sketch_256,
  t.sketch_version
FROM counted AS c
INNER JOIN _tensors AS t
  ON c.run_id = t.run_id
  AND c.trace_id = t.trace_id
  AND c.frame_span_id = t.frame_span_id
  AND c.inference_index = coalesce(t.inference_index, -1)
  AND c.span_id = CASE WHEN t.inference_index IS NULL THEN t.span_id ELSE t.frame_span_id END
WHERE
  t.build IN (SELECT b.build FROM frame_build AS b)
  AND (
    (
      with_layers
      AND t.layer_index IS NOT NULL
      AND t.tensor_role IN ('layer', 'output')
      AND t.tensor_index = 0
      AND coalesce(t.subgraph_index, 0) = 0
    )
    OR (t.layer_index IS NULL AND t.tensor_role = 'input')
  );

-- Distances of those tensors from the reference over all paired frames, as _tensor_numbers.
CREATE OR REPLACE MACRO _rollup_numbers(with_layers := TRUE) AS TABLE
WITH
tensor AS MATERIALIZED (
  SELECT *
  FROM _rollup_tensors(with_layers)
),

edge AS (
  SELECT
    t.*,
    w.reference_cohort,
    CASE
      WHEN t.layer_index = -1 OR w.model_sha256 = w.reference_model_sha256 THEN t.layer_index
      ELSE a.reference_layer_index
    END AS reference_layer_index
  FROM _rollup_wanted AS w
  INNER JOIN tensor AS t ON w.cohort = t.cohort
  LEFT JOIN alignments AS a
    ON w.model_sha256 = a.edge_model_sha256
    AND w.reference_model_sha256 = a.reference_model_sha256
    AND t.layer_index = a.edge_layer_index
),

sides AS (
  SELECT
    e.cohort,
    e.input_key,
    e.execution,
    e.layer_index,
    e.tensor_index,
    e.reference_layer_index,
    e.layer_name,
    e.op,
    e.scale,
    coalesce(1 / nullif(least(e.sample_rate, r.sample_rate), 0), 1) AS weight,
    e.count,
    e.sum2,
    r.sum2 AS reference_sum2,
    e.min,
    r.min AS reference_min,
    e.max,
    r.max AS reference_max,
    e.nonfinite_count + r.nonfinite_count = 0 AS finite,
    e.count = r.count
    AND e.sketch_version = r.sketch_version
    AND isfinite(e.sum2)
    AND isfinite(r.sum2)
    AND e.nonfinite_count + r.nonfinite_count = 0 AS comparable,
    CASE
      WHEN e.sketch_256 IS NOT NULL AND r.sketch_256 IS NOT NULL THEN e.sketch_256
      ELSE e.sketch
    END AS edge_sketch,
    CASE
      WHEN e.sketch_256 IS NOT NULL AND r.sketch_256 IS NOT NULL THEN r.sketch_256
      ELSE r.sketch
    END AS reference_sketch
  FROM edge AS e
  INNER JOIN tensor AS r
    ON e.reference_cohort = r.cohort
    AND e.input_key = r.input_key
    AND e.execution = r.execution
    AND e.reference_layer_index = r.layer_index
    AND e.tensor_index = r.tensor_index
),

-- Where privacy has shortened one side's sketch, both are compared at its length. Materialized,
-- because each measure below reads it, and would be planned with all that is above it.
folded AS MATERIALIZED (
  SELECT
    s.* EXCLUDE (edge_sketch, reference_sketch),
    CASE
      WHEN len(s.edge_sketch) > len(s.reference_sketch)
        THEN sketch_fold(s.edge_sketch, len(s.reference_sketch))
      ELSE CAST(s.edge_sketch AS DOUBLE[])
    END AS edge_sketch,
    CASE
      WHEN len(s.reference_sketch) > len(s.edge_sketch)
        THEN sketch_fold(s.reference_sketch, len(s.edge_sketch))
      ELSE CAST(s.reference_sketch AS DOUBLE[])
    END AS reference_sketch
  FROM sides AS s
),

-- finite_or_null, because a float32 sketch of huge elements overflows.
measured AS (
  SELECT
    f.* EXCLUDE (edge_sketch, reference_sketch),
    CASE
      WHEN f.comparable
        THEN finite_or_null(_sketch_sqdist(f.edge_sketch, f.reference_sketch))
    END AS sqdist,
    CASE
      WHEN f.comparable
        THEN finite_or_null(
          sketch_cosine(f.edge_sketch, f.sum2, f.reference_sketch, f.reference_sum2)
        )
    END AS cosine
  FROM folded AS f
),

-- Repeated rows of the lake are removed here, where a sketch has become a few numbers.
once AS (
  SELECT DISTINCT
    m.*,
    _tensor_nsr(m.sqdist, m.reference_sum2) AS nsr,
    m.sqdist / nullif(m.count, 0) AS mse
  FROM measured AS m
),

number AS (
  SELECT
    o.cohort,
    o.layer_index,
    o.tensor_index,
    o.reference_layer_index,
    any_value(o.layer_name) AS layer_name,
    any_value(o.op) AS op,
    count(*) FILTER (WHERE o.execution = 1) AS frames,
    CASE WHEN bool_and(o.finite) THEN weighted_mean(o.nsr, o.weight) END AS nsr,
    CASE WHEN bool_and(o.finite) THEN weighted_mean(o.cosine, o.weight) END AS cosine,
    CASE WHEN bool_and(o.finite) THEN sqrt(weighted_mean(o.mse, o.weight)) END AS rmse,
    CASE
      WHEN bool_and(o.finite)
        THEN sqrt(weighted_mean(o.mse / nullif(o.scale * o.scale, 0), o.weight))
    END AS rmse_scale,
    greatest(max(o.max) - min(o.min), max(o.reference_max) - min(o.reference_min))
      AS value_range
  FROM once AS o
  GROUP BY o.cohort, o.layer_index, o.tensor_index, o.reference_layer_index
)

SELECT
  n.* EXCLUDE (rmse, value_range),
  CASE WHEN n.rmse = 0 THEN 0 ELSE n.rmse / nullif(n.value_range, 0) END AS nrmse
FROM number AS n;
