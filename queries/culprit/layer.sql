-- Layers with what the rules below need; a layer that lost finite values is at the scale's end.
CREATE OR REPLACE MACRO _culprit_scored(edge := '', reference := '') AS TABLE
SELECT
  s.edge_model_sha256,
  s.reference_model_sha256,
  s.layer_index,
  s.layer_name,
  s.op,
  s.reference_layer_index,
  s.frames,
  CASE
    WHEN s.nan_count + s.inf_count > s.reference_nan_count + s.reference_inf_count
      THEN CAST(-20 AS DOUBLE)
    ELSE sqnr_db(s.nsr)
  END AS sqnr_db,
  sqnr_db(s.input_nsr) AS input_sqnr_db,
  sqnr_db(s.floored_input_nsr) AS floored_input_sqnr_db
FROM _layer_scored(edge, reference) AS s
-- what a softmax makes of its input says nothing of its own error
WHERE upper(s.op) <> 'SOFTMAX';

-- Whether edge and baseline were measured on the same inputs.
CREATE OR REPLACE MACRO _culprit_inputs(edge := '', reference := '', baseline := '') AS TABLE
WITH
ours AS (
  SELECT DISTINCT p.input_key
  FROM _frame_measured(edge, reference) AS p
),

theirs AS (
  SELECT DISTINCT p.input_key
  FROM _frame_measured(baseline, reference) AS p
)

SELECT
  count(o.input_key) > 0
  AND count(o.input_key) = count(*)
  AND count(t.input_key) = count(*) AS same_inputs
FROM ours AS o
FULL JOIN theirs AS t ON o.input_key = t.input_key;

-- Layers in the order in which they are suspected of the difference, the likeliest first.
--
-- With a baseline, a previous build against the same reference, a layer fails that is
-- worse than there by the threshold: 1 dB where both were measured on the same inputs, 3 dB
-- where not, and 30 dB is good enough for any. The suspects are the failing layers whose
-- inputs pass, in graph order; the others follow by how much more they lose against their
-- inputs than the baseline's.
-- Without a baseline nothing fails, and layers are ranked by what they lose against their
-- inputs; the true culprit is then among the first three more often than first.
--
-- Arguments:
--   edge: build, run id or run ids of the edge.
--   reference: build, run id or run ids of the reference.
--   baseline: build, run id or run ids of the previous build; '' for none.
--   threshold_db: dB by which a failing layer is worse than the baseline's; NULL for 1 or 3.
-- Columns:
--   edge_model VARCHAR: edge model.
--   reference_model VARCHAR: reference model.
--   suspicion BIGINT: place in the order, from 1.
--   layer_index INTEGER: operator's index in the edge model.
--   layer_name VARCHAR: its name as the converter wrote it.
--   op VARCHAR: operator.
--   frames BIGINT: paired frames in which both sides recorded the layer.
--   sqnr_db DOUBLE: against the reference; -20 where the edge alone is not finite.
--   drop_db DOUBLE: SQNR of the layer's inputs minus its own.
--   rank_drop_db DOUBLE: the same with inputs taken as no better than 40 dB, for ranking.
--   baseline_sqnr_db DOUBLE: the baseline's at the same layer; NULL without one.
--   worse_db DOUBLE: the baseline's SQNR minus the edge's.
--   extra_drop_db DOUBLE: what the layer loses against its inputs beyond what it loses in
--     the baseline.
--   threshold_db DOUBLE: what worse_db is held against; NULL without a baseline.
--   same_inputs BOOLEAN: whether edge and baseline saw the same inputs; NULL without one.
--   fails BOOLEAN: whether the layer is worse than the baseline's by the threshold.
--   inputs_pass BOOLEAN: whether no layer fails that it reads; past those not measured.
CREATE OR REPLACE MACRO layer_culprits(
  edge := '', reference := '', baseline := '', threshold_db := NULL
) AS TABLE
WITH RECURSIVE
ours AS MATERIALIZED (
  SELECT *
  FROM _culprit_scored(edge, reference) AS s
  WHERE s.sqnr_db IS NOT NULL
),

theirs AS MATERIALIZED (
  SELECT *
  FROM _culprit_scored(baseline, reference) AS s
  WHERE baseline <> '' AND s.sqnr_db IS NOT NULL
),

inputs AS MATERIALIZED (
  SELECT i.same_inputs
  FROM _culprit_inputs(edge, reference, baseline) AS i
  WHERE baseline <> ''
),

-- Two builds need not be one file: their layers meet in the reference's.
scored AS (
  SELECT
    o.*,
    t.sqnr_db AS baseline_sqnr_db,
    t.sqnr_db - o.sqnr_db AS worse_db,
    (o.floored_input_sqnr_db - o.sqnr_db) - (t.floored_input_sqnr_db - t.sqnr_db)
      AS extra_drop_db,
    i.same_inputs,
    CASE
      WHEN baseline <> ''
        THEN coalesce(CAST(threshold_db AS DOUBLE), CASE WHEN i.same_inputs THEN 1 ELSE 3 END)
    END AS needed_db
  FROM ours AS o
  LEFT JOIN inputs AS i ON TRUE
  LEFT JOIN theirs AS t
    ON o.reference_layer_index = t.reference_layer_index AND o.op = t.op
  QUALIFY
    row_number() OVER (
      PARTITION BY o.edge_model_sha256, o.reference_model_sha256, o.layer_index
      ORDER BY
        CAST(o.layer_name = t.layer_name AS INTEGER) DESC NULLS LAST,
        abs(o.layer_index - t.layer_index) ASC NULLS LAST
    ) = 1
),

judged AS MATERIALIZED (
  SELECT
    s.*,
    -- what agrees to 30 dB is as good as any layer needs, however equal the baseline's is
    coalesce(s.worse_db >= s.needed_db AND s.sqnr_db <= 30, FALSE) AS fails
  FROM scored AS s
),

layer AS MATERIALIZED (
  SELECT *
  FROM _layer_pairs(edge, reference)
),

-- From each layer to its inputs, and on through those that were not judged.
upstream AS (
  SELECT
    g.edge_model_sha256,
    g.reference_model_sha256,
    g.layer_index,
    unnest(g.parents) AS source
  FROM layer AS g
  UNION
  SELECT
    u.edge_model_sha256,
    u.reference_model_sha256,
    u.layer_index,
    unnest(g.parents) AS source
  FROM upstream AS u
  INNER JOIN layer AS g
    ON u.edge_model_sha256 = g.edge_model_sha256
    AND u.reference_model_sha256 = g.reference_model_sha256
    AND u.source = g.layer_index
  LEFT JOIN judged AS j
    ON u.edge_model_sha256 = j.edge_model_sha256
    AND u.reference_model_sha256 = j.reference_model_sha256
    AND u.source = j.layer_index
  WHERE j.layer_index IS NULL
),

blamed AS (
  SELECT DISTINCT
    u.edge_model_sha256,
    u.reference_model_sha256,
    u.layer_index
  FROM upstream AS u
  INNER JOIN judged AS j
    ON u.edge_model_sha256 = j.edge_model_sha256
    AND u.reference_model_sha256 = j.reference_model_sha256
    AND u.source = j.layer_index
  WHERE j.fails
),

told AS (
  SELECT
    j.*,
    b.layer_index IS NULL AS inputs_pass
  FROM judged AS j
  LEFT JOIN blamed AS b
    ON j.edge_model_sha256 = b.edge_model_sha256
    AND j.reference_model_sha256 = b.reference_model_sha256
    AND j.layer_index = b.layer_index
)

SELECT
  m.edge_model,
  m.reference_model,
  row_number() OVER (
    PARTITION BY m.edge_model_sha256, m.reference_model_sha256
    ORDER BY
      CAST(t.fails AND t.inputs_pass AS INTEGER) DESC,
      CASE WHEN t.fails AND t.inputs_pass THEN t.layer_index END ASC,
      t.extra_drop_db DESC NULLS LAST,
      t.floored_input_sqnr_db - t.sqnr_db DESC NULLS LAST,
      t.layer_index ASC
  ) AS suspicion,
  t.layer_index,
  t.layer_name,
  t.op,
  coalesce(t.frames, 0) AS frames,
  t.sqnr_db,
  t.input_sqnr_db - t.sqnr_db AS drop_db,
  t.floored_input_sqnr_db - t.sqnr_db AS rank_drop_db,
  t.baseline_sqnr_db,
  t.worse_db,
  t.extra_drop_db,
  CAST(t.needed_db AS DOUBLE) AS threshold_db,
  t.same_inputs,
  t.fails,
  t.inputs_pass
FROM told AS t
INNER JOIN _layer_models(edge, reference) AS m
  ON t.edge_model_sha256 = m.edge_model_sha256
  AND t.reference_model_sha256 = m.reference_model_sha256
ORDER BY m.edge_model, m.reference_model, suspicion;
