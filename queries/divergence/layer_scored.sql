-- Every layer of the edge model with its numbers and those of its inputs; see
-- layer_divergence.
CREATE OR REPLACE MACRO _layer_scored(edge := '', reference := '') AS TABLE
WITH RECURSIVE
layer AS MATERIALIZED (
  SELECT *
  FROM _layer_pairs(edge, reference)
),

-- What computes no activations may have been recorded all the same; its distance means
-- nothing.
excluded AS (
  SELECT
    g.edge_model_sha256,
    g.layer_index
  FROM layer AS g
  WHERE g.excluded_reason IS NOT NULL
),

number AS MATERIALIZED (
  SELECT *
  FROM _tensor_numbers(edge, reference) AS n
  WHERE
    n.match_role = 'input'
    OR (
      n.match_role = 'layer'
      AND NOT EXISTS (
        SELECT 1
        FROM excluded AS x
        WHERE n.edge_model_sha256 = x.edge_model_sha256 AND n.layer_index = x.layer_index
      )
    )
),

-- What a drop may be measured against; -1 is the model input, as in graphs.parents.
measured AS MATERIALIZED (
  SELECT
    n.edge_model_sha256,
    n.reference_model_sha256,
    coalesce(n.layer_index, -1) AS source,
    avg(n.nsr) AS nsr
  FROM number AS n
  GROUP BY n.edge_model_sha256, n.reference_model_sha256, coalesce(n.layer_index, -1)
  HAVING avg(n.nsr) IS NOT NULL
),

-- From each layer to its inputs, and on through those that were not measured.
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
  LEFT JOIN measured AS m
    ON u.edge_model_sha256 = m.edge_model_sha256
    AND u.reference_model_sha256 = m.reference_model_sha256
    AND u.source = m.source
  WHERE m.source IS NULL
),

input AS (
  SELECT
    u.edge_model_sha256,
    u.reference_model_sha256,
    u.layer_index,
    avg(m.nsr) AS nsr,
    -- equal inputs have no finite SQNR to drop from; 40 dB is as good as any layer needs
    greatest(avg(m.nsr), 1e-4) AS floored_nsr
  FROM upstream AS u
  INNER JOIN measured AS m
    ON u.edge_model_sha256 = m.edge_model_sha256
    AND u.reference_model_sha256 = m.reference_model_sha256
    AND u.source = m.source
  GROUP BY u.edge_model_sha256, u.reference_model_sha256, u.layer_index
),

layer_number AS (
  SELECT *
  FROM number AS n
  WHERE n.match_role = 'layer'
)

-- full, because a model without graph rows has numbers all the same
SELECT
  coalesce(g.edge_model_sha256, n.edge_model_sha256) AS edge_model_sha256,
  coalesce(g.reference_model_sha256, n.reference_model_sha256) AS reference_model_sha256,
  coalesce(g.layer_index, n.layer_index) AS layer_index,
  coalesce(g.layer_name, n.layer_name) AS layer_name,
  coalesce(g.op, n.op) AS op,
  coalesce(g.reference_layer_index, n.match_index) AS reference_layer_index,
  coalesce(g.reference_layer_name, n.reference_layer_name) AS reference_layer_name,
  g.excluded_reason,
  g.reason AS unpaired_reason,
  i.nsr AS input_nsr,
  i.floored_nsr AS floored_input_nsr,
  n.frames,
  n.effective_frames,
  n.nonfinite_executions,
  n.resized,
  n.nsr,
  n.cosine,
  n.gain,
  n.rmse,
  n.rmse_scale,
  n.value_range,
  n.nan_count,
  n.inf_count,
  n.reference_nan_count,
  n.reference_inf_count,
  n.sat_low_count,
  n.sat_high_count,
  n.reference_sat_count,
  n.zero_count,
  n.reference_zero_count,
  n.elements,
  n.reference_elements
FROM layer AS g
FULL JOIN layer_number AS n
  ON g.edge_model_sha256 = n.edge_model_sha256
  AND g.reference_model_sha256 = n.reference_model_sha256
  AND g.layer_index = n.layer_index
LEFT JOIN input AS i
  ON g.edge_model_sha256 = i.edge_model_sha256
  AND g.reference_model_sha256 = i.reference_model_sha256
  AND g.layer_index = i.layer_index;
