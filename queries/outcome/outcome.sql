-- The newest frame of each input with its best class and whether that is the label.
CREATE OR REPLACE MACRO _outcome_frames(selector := '', wanted_role := '') AS TABLE
SELECT
  f.role,
  f.model_name,
  f.model_sha256,
  f.kernels,
  f.device,
  f.input_key,
  f.input_id,
  f.status,
  f.label,
  list_extract(f.prediction_ids, 1) AS top1,
  _frame_right(f.label, f.prediction_ids) AS correct
FROM _frame_newest(selector, wanted_role) AS f;

-- How many inputs a build classified, and how many of them right.
--
-- For one input and model the newest frame counts.
--
-- Arguments:
--   selector: build, run id or run ids.
-- Columns:
--   role VARCHAR: edge or reference.
--   model_name VARCHAR: model.
--   kernels VARCHAR: kernel family.
--   device VARCHAR: device model, or the device's id where the model is not known.
--   frames BIGINT: inputs seen.
--   failed BIGINT: those whose frame ended in an error.
--   predicted BIGINT: those with a prediction.
--   judged BIGINT: those with a prediction and a class index as label.
--   correct BIGINT: those whose best class is the label.
--   top1_ratio DOUBLE: correct / judged; NULL where none was judged.
CREATE OR REPLACE MACRO outcome_accuracy(selector := '') AS TABLE
SELECT
  f.role,
  f.model_name,
  f.kernels,
  f.device,
  count(*) AS frames,
  count(*) FILTER (WHERE f.status = 'error') AS failed,
  count(f.top1) AS predicted,
  count(f.correct) AS judged,
  count(*) FILTER (WHERE f.correct) AS correct,
  avg(CAST(f.correct AS DOUBLE)) AS top1_ratio
FROM _outcome_frames(selector) AS f
GROUP BY f.role, f.model_name, f.model_sha256, f.kernels, f.device
ORDER BY f.role, f.model_name, f.kernels, f.device;

-- Paired inputs with both sides' best class; a label that one side lacks is the other's.
CREATE OR REPLACE MACRO _outcome_pairs(edge := '', reference := '') AS TABLE
SELECT
  e.model_name AS edge_model,
  r.model_name AS reference_model,
  e.model_sha256 AS edge_model_sha256,
  r.model_sha256 AS reference_model_sha256,
  e.input_key,
  e.input_id,
  coalesce(e.label, r.label) AS label,
  e.top1 AS edge_top1,
  r.top1 AS reference_top1,
  e.top1 = TRY_CAST(coalesce(e.label, r.label) AS INTEGER) AS edge_correct,
  r.top1 = TRY_CAST(coalesce(r.label, e.label) AS INTEGER) AS reference_correct
FROM _outcome_frames(edge, 'edge') AS e
INNER JOIN _outcome_frames(reference, 'reference') AS r ON e.input_key = r.input_key;

-- How edge and reference classified the inputs that both saw: the table of McNemar's test.
--
-- Arguments:
--   edge: build, run id or run ids of the edge.
--   reference: build, run id or run ids of the reference.
-- Columns:
--   edge_model VARCHAR: edge model.
--   reference_model VARCHAR: reference model.
--   paired BIGINT: inputs that both saw.
--   predicted BIGINT: those that both classified.
--   judged BIGINT: those with a class index as label besides.
--   both_correct BIGINT: judged inputs that both got right.
--   edge_only_correct BIGINT: judged inputs that only the edge got right.
--   reference_only_correct BIGINT: judged inputs that only the reference got right.
--   both_wrong BIGINT: judged inputs that neither got right.
--   top1_differs BIGINT: classified inputs whose best classes differ, label or not.
CREATE OR REPLACE MACRO outcome_compare(edge := '', reference := '') AS TABLE
SELECT
  p.edge_model,
  p.reference_model,
  count(*) AS paired,
  count(*) FILTER (WHERE p.edge_top1 IS NOT NULL AND p.reference_top1 IS NOT NULL)
    AS predicted,
  count(*) FILTER (WHERE p.edge_correct IS NOT NULL AND p.reference_correct IS NOT NULL)
    AS judged,
  count(*) FILTER (WHERE p.edge_correct AND p.reference_correct) AS both_correct,
  count(*) FILTER (WHERE p.edge_correct AND NOT p.reference_correct) AS edge_only_correct,
  count(*) FILTER (WHERE NOT p.edge_correct AND p.reference_correct)
    AS reference_only_correct,
  count(*) FILTER (WHERE NOT p.edge_correct AND NOT p.reference_correct) AS both_wrong,
  count(*) FILTER (WHERE p.edge_top1 <> p.reference_top1) AS top1_differs
FROM _outcome_pairs(edge, reference) AS p
GROUP BY
  p.edge_model, p.reference_model, p.edge_model_sha256, p.reference_model_sha256
ORDER BY p.edge_model, p.reference_model;

-- Inputs that edge and reference classified differently, those that became wrong first.
--
-- Arguments:
--   edge: build, run id or run ids of the edge.
--   reference: build, run id or run ids of the reference.
-- Columns:
--   edge_model VARCHAR: edge model.
--   reference_model VARCHAR: reference model.
--   input_id VARCHAR: what the caller named the input.
--   label VARCHAR: true class.
--   edge_top1 INTEGER: the edge's best class.
--   reference_top1 INTEGER: the reference's best class.
--   edge_correct BOOLEAN: whether the edge is right; NULL where nobody can say.
--   reference_correct BOOLEAN: whether the reference is right; NULL where nobody can say.
CREATE OR REPLACE MACRO outcome_flips(edge := '', reference := '') AS TABLE
SELECT
  p.edge_model,
  p.reference_model,
  p.input_id,
  p.label,
  p.edge_top1,
  p.reference_top1,
  p.edge_correct,
  p.reference_correct
FROM _outcome_pairs(edge, reference) AS p
WHERE p.edge_top1 <> p.reference_top1
ORDER BY
  p.edge_model,
  p.reference_model,
  CASE WHEN p.reference_correct THEN 0 WHEN p.edge_correct THEN 1 ELSE 2 END,
  p.input_id;

-- By how much the edge's best class is off, the commonest first.
--
-- Models whose lists of classes begin with or without a background class agree after a
-- shift of 1.
--
-- Arguments:
--   edge: build, run id or run ids of the edge.
--   reference: build, run id or run ids of the reference.
-- Columns:
--   against VARCHAR: reference or label.
--   shift INTEGER: the edge's best class minus the other.
--   frames BIGINT: inputs with that shift.
--   frames_ratio DOUBLE: their share of the inputs that both classified.
--   classes BIGINT: best classes of the edge that differ, of these inputs.
CREATE OR REPLACE MACRO outcome_shift(edge := '', reference := '') AS TABLE
WITH
shifted AS (
  SELECT
    'reference' AS against,
    p.edge_top1,
    p.edge_top1 - p.reference_top1 AS shift
  FROM _outcome_pairs(edge, reference) AS p
  UNION ALL
  SELECT
    'label' AS against,
    p.edge_top1,
    p.edge_top1 - TRY_CAST(p.label AS INTEGER) AS shift
  FROM _outcome_pairs(edge, reference) AS p
)

SELECT
  s.against,
  s.shift,
  count(*) AS frames,
  CAST(count(*) AS DOUBLE) / CAST(sum(count(*)) OVER (PARTITION BY s.against) AS DOUBLE)
    AS frames_ratio,
  count(DISTINCT s.edge_top1) AS classes
FROM shifted AS s
WHERE s.shift IS NOT NULL
GROUP BY s.against, s.shift
ORDER BY s.against ASC, frames DESC, s.shift ASC;
