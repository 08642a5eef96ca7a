-- Models that the selected edge and reference runs executed, each with each.
CREATE OR REPLACE MACRO _layer_models(edge := '', reference := '') AS TABLE
SELECT DISTINCT
  e.model_name AS edge_model,
  e.model_sha256 AS edge_model_sha256,
  r.model_name AS reference_model,
  r.model_sha256 AS reference_model_sha256
FROM _run_selected(edge, 'edge') AS e
CROSS JOIN _run_selected(reference, 'reference') AS r;

-- Layer pairs with the hashes of their models; see layer_pairs.
CREATE OR REPLACE MACRO _layer_pairs(edge := '', reference := '') AS TABLE
WITH
answered AS (
  SELECT
    m.*,
    g.layer_index,
    g.layer_name,
    g.op,
    g.parents,
    g.excluded_reason,
    CASE
      WHEN g.excluded_reason IS NOT NULL THEN NULL
      WHEN m.edge_model_sha256 = m.reference_model_sha256 THEN g.layer_index
      ELSE a.reference_layer_index
    END AS reference_layer_index,
    CASE
      WHEN g.excluded_reason IS NOT NULL THEN 'none'
      WHEN m.edge_model_sha256 = m.reference_model_sha256 THEN 'same_model'
      ELSE a.method
    END AS method,
    a.distance,
    a.runner_up,
    coalesce(a.reason, 'the two models have not been aligned') AS alignment_reason
  FROM _layer_models(edge, reference) AS m
  INNER JOIN graphs AS g ON m.edge_model_sha256 = g.model_sha256 AND g.subgraph_index = 0
  LEFT JOIN alignments AS a
    ON m.edge_model_sha256 = a.edge_model_sha256
    AND m.reference_model_sha256 = a.reference_model_sha256
    AND g.layer_index = a.edge_layer_index
)

SELECT
  w.edge_model,
  w.edge_model_sha256,
  w.reference_model,
  w.reference_model_sha256,
  w.layer_index,
  w.layer_name,
  w.op,
  w.parents,
  w.excluded_reason,
  w.reference_layer_index,
  h.layer_name AS reference_layer_name,
  h.op AS reference_op,
  w.method,
  w.distance,
  w.runner_up,
  CASE
    WHEN w.reference_layer_index IS NULL THEN coalesce(w.excluded_reason, w.alignment_reason)
  END AS reason
FROM answered AS w
LEFT JOIN graphs AS h
  ON w.reference_model_sha256 = h.model_sha256
  AND w.reference_layer_index = h.layer_index
  AND h.subgraph_index = 0;

-- Each layer of the edge model and the reference layer it answers to.
--
-- Layers of one model file answer to themselves. Other pairs are looked up in the table
-- alignments, which holds one row per edge layer.
--
-- Arguments:
--   edge: build, run id or run ids of the edge.
--   reference: build, run id or run ids of the reference.
-- Columns:
--   edge_model VARCHAR: edge model.
--   reference_model VARCHAR: reference model.
--   layer_index INTEGER: operator's index in the edge model.
--   layer_name VARCHAR: its name as the converter wrote it.
--   op VARCHAR: operator.
--   reference_layer_index INTEGER: its counterpart, NULL where it has none.
--   reference_layer_name VARCHAR: the counterpart's name.
--   reference_op VARCHAR: the counterpart's operator.
--   method VARCHAR: same_model, name, overlap, sketch, structure or none; NULL where never aligned.
--   distance DOUBLE: normalised sketch distance of the pair, NULL where not measured.
--   runner_up DOUBLE: distance of the next best candidate.
--   reason VARCHAR: why the layer has no counterpart, NULL where it has.
CREATE OR REPLACE MACRO layer_pairs(edge := '', reference := '') AS TABLE
SELECT
  p.edge_model,
  p.reference_model,
  p.layer_index,
  p.layer_name,
  p.op,
  p.reference_layer_index,
  p.reference_layer_name,
  p.reference_op,
  p.method,
  p.distance,
  p.runner_up,
  p.reason
FROM _layer_pairs(edge, reference) AS p
ORDER BY p.edge_model, p.reference_model, p.layer_index;

-- Layers of either model that answer to none of the other.
--
-- Arguments:
--   edge: build, run id or run ids of the edge.
--   reference: build, run id or run ids of the reference.
-- Columns:
--   side VARCHAR: edge or reference.
--   model VARCHAR: the layer's model.
--   other_model VARCHAR: the model in which nothing answers to it.
--   layer_index INTEGER: operator's index in its model.
--   layer_name VARCHAR: its name as the converter wrote it.
--   op VARCHAR: operator.
--   excluded BOOLEAN: whether it computes no activations, so that nothing could answer.
--   reason VARCHAR: why it has no counterpart.
CREATE OR REPLACE MACRO layer_unpaired(edge := '', reference := '') AS TABLE
WITH
paired AS MATERIALIZED (
  SELECT *
  FROM _layer_pairs(edge, reference)
)

SELECT
  'edge' AS side,
  p.edge_model AS model,
  p.reference_model AS other_model,
  p.layer_index,
  p.layer_name,
  p.op,
  p.excluded_reason IS NOT NULL AS excluded,
  p.reason
FROM paired AS p
WHERE p.reference_layer_index IS NULL
UNION ALL
SELECT
  'reference' AS side,
  m.reference_model AS model,
  m.edge_model AS other_model,
  g.layer_index,
  g.layer_name,
  g.op,
  g.excluded_reason IS NOT NULL AS excluded,
  coalesce(g.excluded_reason, 'no edge layer answers to it') AS reason
FROM _layer_models(edge, reference) AS m
INNER JOIN graphs AS g ON m.reference_model_sha256 = g.model_sha256
LEFT JOIN paired AS p
  ON m.edge_model_sha256 = p.edge_model_sha256
  AND m.reference_model_sha256 = p.reference_model_sha256
  AND g.layer_index = p.reference_layer_index
WHERE g.subgraph_index = 0 AND p.layer_index IS NULL
ORDER BY side, model, other_model, layer_index;
