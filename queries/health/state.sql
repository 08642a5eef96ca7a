-- Inputs that a build saw more than once, and whether their outputs agree.
--
-- The same bytes into the same model must give the same bytes out, unless something is
-- carried over from the inputs between. Executions meet by input and by the hash of the
-- model's inputs, in one run, or in runs of one model on one device with one kernel family.
--
-- Arguments:
--   selector: build, run id or run ids.
-- Columns:
--   model_name VARCHAR: model.
--   input_id VARCHAR: what the caller named the input.
--   same_run BOOLEAN: whether both executions are of one run.
--   pairs BIGINT: pairs of executions with equal inputs.
--   differing BIGINT: those whose outputs differ.
--   nsr DOUBLE: largest squared difference / squared output; NULL where outputs have no sketch.
CREATE OR REPLACE MACRO state_repeats(selector := '') AS TABLE
WITH
frame AS MATERIALIZED (
  SELECT *
  FROM _frame_seen(selector) AS f
  WHERE f.measured AND f.status <> 'error' AND f.output_hash IS NOT NULL
),

-- Most inputs are seen once: only the others' tensors are read.
repeated AS MATERIALIZED (
  SELECT f.*
  FROM frame AS f
  QUALIFY count(*) OVER (PARTITION BY f.model_sha256, f.kernels, f.device, f.input_key) > 1
),

repeated_build AS MATERIALIZED (
  SELECT DISTINCT r.build
  FROM repeated AS r
),

tensor AS MATERIALIZED (
  SELECT
    r.trace_id,
    r.span_id,
    t.tensor_role,
    t.tensor_index,
    any_value(t.hash) AS hash,
    any_value(t.sum2) AS sum2,
    any_value(coalesce(t.sketch_256, t.sketch)) AS sketch
  FROM repeated AS r
  INNER JOIN _tensors AS t
    ON r.trace_id = t.trace_id AND r.span_id = t.frame_span_id AND r.run_id = t.run_id
  WHERE
    t.build IN (SELECT b.build FROM repeated_build AS b)
    AND t.tensor_role IN ('input', 'output')
    AND coalesce(t.inference_index, 0) = 0
  GROUP BY r.trace_id, r.span_id, t.tensor_role, t.tensor_index
),

input AS (
  SELECT
    t.trace_id,
    t.span_id,
    string_agg(CAST(t.hash AS VARCHAR), ' ' ORDER BY t.tensor_index) AS input_hash
  FROM tensor AS t
  WHERE t.tensor_role = 'input'
  GROUP BY t.trace_id, t.span_id
),

execution AS MATERIALIZED (
  SELECT
    r.*,
    i.input_hash
  FROM repeated AS r
  INNER JOIN input AS i ON r.trace_id = i.trace_id AND r.span_id = i.span_id
),

pair AS (
  SELECT
    a.model_name,
    a.model_sha256,
    a.input_id,
    a.run_id = b.run_id AS same_run,
    a.output_hash <> b.output_hash AS differs,
    finite_or_null(
      (
        SELECT max(sketch_sqdist(x.sketch, y.sketch) / nullif(x.sum2, 0))
        FROM tensor AS x
        INNER JOIN tensor AS y ON x.tensor_index = y.tensor_index
        WHERE
          x.tensor_role = 'output'
          AND y.tensor_role = 'output'
          AND x.trace_id = a.trace_id
          AND x.span_id = a.span_id
          AND y.trace_id = b.trace_id
          AND y.span_id = b.span_id
      )
    ) AS nsr
  FROM execution AS a
  INNER JOIN execution AS b
    ON a.model_sha256 = b.model_sha256
    AND a.kernels = b.kernels
    AND a.device = b.device
    AND a.input_key = b.input_key
    AND a.input_hash = b.input_hash
    AND (a.start_ns < b.start_ns OR (a.start_ns = b.start_ns AND a.span_id < b.span_id))
)

SELECT
  p.model_name,
  p.input_id,
  p.same_run,
  count(*) AS pairs,
  count(*) FILTER (WHERE p.differs) AS differing,
  max(CASE WHEN p.differs THEN p.nsr ELSE 0 END) AS nsr
FROM pair AS p
GROUP BY p.model_name, p.model_sha256, p.input_id, p.same_run
ORDER BY p.model_name, p.input_id, p.same_run;
