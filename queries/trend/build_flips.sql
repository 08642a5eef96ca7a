-- The frame of each input that counts for a build's model, as _outcome_frames, from the rollup.
CREATE OR REPLACE MACRO _build_newest_answers(in_build := '', wanted_role := '') AS TABLE
WITH
cohort AS MATERIALIZED (
  SELECT
    s.role,
    s.model_sha256,
    s.kernels,
    s.device,
    s.recorded_ns
  FROM build_stats AS s
  WHERE s.build = in_build
),

chosen AS (
  SELECT *
  FROM cohort AS c
  WHERE c.role = wanted_role OR wanted_role NOT IN (SELECT x.role FROM cohort AS x)
),

-- raw rows: those that count are as old as the group's row of build_stats
answer AS (
  SELECT
    a.model_sha256,
    a.input_key,
    arg_min(
      struct_pack(
        model_name := a.model_name, input_id := a.input_id, label := a.label, top1 := a.top1
      ),
      struct_pack(
        failed := a.failed, age_ns := -a.start_ns, trace_id := a.trace_id, span_id := a.span_id
      )
    ) AS newest
  FROM _build_answers AS a
  INNER JOIN chosen AS c
    ON a.role = c.role
    AND a.model_sha256 = c.model_sha256
    AND a.kernels = c.kernels
    AND a.device = c.device
    AND a.recorded_ns = c.recorded_ns
  WHERE a.build = in_build
  GROUP BY a.model_sha256, a.input_key
)

SELECT
  w.model_sha256,
  w.input_key,
  w.newest.model_name,
  w.newest.input_id,
  w.newest.label,
  w.newest.top1
FROM answer AS w;

-- Inputs that two builds classified differently, as outcome_flips, from the rollup that
-- `exray grafana refresh` writes.
--
-- Arguments:
--   in_build: build of the edge.
--   reference: build compared with.
-- Columns:
--   edge_model VARCHAR: edge model.
--   reference_model VARCHAR: reference model.
--   input_id VARCHAR: what the caller named the input.
--   label VARCHAR: true class.
--   edge_top1 INTEGER: the edge's best class.
--   reference_top1 INTEGER: the reference's best class.
--   edge_correct BOOLEAN: whether the edge is right; NULL where nobody can say.
--   reference_correct BOOLEAN: whether the reference is right; NULL where nobody can say.
CREATE OR REPLACE MACRO build_flips(in_build := '', reference := '') AS TABLE
SELECT
  e.model_name AS edge_model,
  r.model_name AS reference_model,
  e.input_id,
  coalesce(e.label, r.label) AS label,
  e.top1 AS edge_top1,
  r.top1 AS reference_top1,
  e.top1 = TRY_CAST(coalesce(e.label, r.label) AS INTEGER) AS edge_correct,
  r.top1 = TRY_CAST(coalesce(r.label, e.label) AS INTEGER) AS reference_correct
FROM _build_newest_answers(in_build, 'edge') AS e
INNER JOIN _build_newest_answers(reference, 'reference') AS r ON e.input_key = r.input_key
WHERE e.top1 <> r.top1
ORDER BY e.model_name, r.model_name, e.input_id;
