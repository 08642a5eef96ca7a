-- Tensors of the paired frames that have a histogram or channels, repeated rows removed.
CREATE OR REPLACE MACRO _tensor_distributions(edge := '', reference := '') AS TABLE
SELECT
  s.side,
  s.edge_model_sha256,
  s.reference_model_sha256,
  s.match_role,
  s.match_name,
  s.match_index,
  s.pair,
  s.execution,
  any_value(s.layer_index) AS layer_index,
  any_value(s.layer_name) AS layer_name,
  any_value(s.op) AS op,
  any_value(s.tensor_name) AS tensor_name,
  any_value(s.weight) AS weight,
  any_value(s.histogram) AS histogram,
  any_value(s.channels) AS channels
FROM _tensor_sides(edge, reference) AS s
WHERE s.histogram IS NOT NULL OR s.channels IS NOT NULL
GROUP BY
  s.side,
  s.edge_model_sha256,
  s.reference_model_sha256,
  s.match_role,
  s.match_name,
  s.match_index,
  s.pair,
  s.execution;

-- Elements of both sides by bucket, over all paired frames; see tensor_histogram. A tensor of
-- one side alone, or a layer without counterpart, has nothing beside it and is left out.
--
-- Histograms are brought to the coarsest scale among those of a pair of tensors, which is
-- exact: two neighbours make one bucket of the next coarser scale.
CREATE OR REPLACE MACRO _tensor_buckets(edge := '', reference := '') AS TABLE
WITH
-- scale, zeros, offset and number of positive buckets, of negative ones, counts of both
read AS MATERIALIZED (
  SELECT
    d.*,
    float32_list(d.histogram) AS numbers
  FROM _tensor_distributions(edge, reference) AS d
  WHERE d.histogram LIKE 'eh1:%'
),

-- An empty list is a damaged text; an empty histogram is of any scale.
place AS (
  SELECT
    r.edge_model_sha256,
    r.reference_model_sha256,
    r.match_role,
    r.match_name,
    r.match_index,
    any_value(r.layer_index) FILTER (WHERE r.side = 'edge') AS edge_layer_index,
    any_value(r.layer_name) FILTER (WHERE r.side = 'edge') AS edge_layer_name,
    any_value(r.op) FILTER (WHERE r.side = 'edge') AS edge_op,
    any_value(r.tensor_name) FILTER (WHERE r.side = 'edge') AS edge_tensor_name,
    min(r.numbers[1]) FILTER (WHERE r.numbers[4] + r.numbers[6] > 0) AS scale
  FROM read AS r
  WHERE len(r.numbers) >= 6
  GROUP BY
    r.edge_model_sha256,
    r.reference_model_sha256,
    r.match_role,
    r.match_name,
    r.match_index
  HAVING count(DISTINCT r.side) = 2
),

sound AS MATERIALIZED (
  SELECT
    p.*,
    r.side,
    r.weight,
    r.numbers
  FROM place AS p
  INNER JOIN read AS r
    ON p.edge_model_sha256 = r.edge_model_sha256
    AND p.reference_model_sha256 = r.reference_model_sha256
    AND p.match_role = r.match_role
    AND p.match_name = r.match_name
    AND p.match_index = r.match_index
  WHERE len(r.numbers) >= 6
),

element AS (
  SELECT
    s.*,
    0 AS sign,
    CAST(0 AS BIGINT) AS bucket,
    s.numbers[2] AS elements
  FROM sound AS s
  WHERE s.numbers[2] > 0
  UNION ALL
  SELECT
    s.*,
    1 AS sign,
    CAST(
      floor((s.numbers[3] + i.position) / pow(CAST(2 AS DOUBLE), s.numbers[1] - s.scale)) AS BIGINT
    ) AS bucket,
    s.numbers[CAST(7 + i.position AS BIGINT)] AS elements
  FROM sound AS s
  CROSS JOIN range(0, 160) AS i (position)
  WHERE i.position < s.numbers[4]
  UNION ALL
  SELECT
    s.*,
    -1 AS sign,
    CAST(
      floor((s.numbers[5] + i.position) / pow(CAST(2 AS DOUBLE), s.numbers[1] - s.scale)) AS BIGINT
    ) AS bucket,
    s.numbers[CAST(7 + s.numbers[4] + i.position AS BIGINT)] AS elements
  FROM sound AS s
  CROSS JOIN range(0, 160) AS i (position)
  WHERE i.position < s.numbers[6]
),

pooled AS (
  SELECT
    e.edge_model_sha256,
    e.reference_model_sha256,
    e.match_role,
    e.match_name,
    e.match_index,
    e.sign,
    e.bucket,
    any_value(e.edge_layer_index) AS edge_layer_index,
    any_value(e.edge_layer_name) AS edge_layer_name,
    any_value(e.edge_op) AS edge_op,
    any_value(e.edge_tensor_name) AS edge_tensor_name,
    any_value(e.scale) AS scale,
    coalesce(sum(CAST(e.elements AS DOUBLE)) FILTER (WHERE e.side = 'edge'), 0) AS edge_count,
    coalesce(sum(CAST(e.elements AS DOUBLE)) FILTER (WHERE e.side = 'reference'), 0)
      AS reference_count,
    coalesce(sum(e.elements * e.weight) FILTER (WHERE e.side = 'edge'), 0) AS edge_weighted,
    coalesce(sum(e.elements * e.weight) FILTER (WHERE e.side = 'reference'), 0)
      AS reference_weighted
  FROM element AS e
  WHERE e.elements > 0
  GROUP BY
    e.edge_model_sha256,
    e.reference_model_sha256,
    e.match_role,
    e.match_name,
    e.match_index,
    e.sign,
    e.bucket
)

SELECT
  p.edge_model_sha256,
  p.reference_model_sha256,
  p.match_role,
  p.match_name,
  p.match_index,
  p.edge_layer_index AS layer_index,
  p.edge_layer_name AS layer_name,
  p.edge_op AS op,
  p.edge_tensor_name AS tensor_name,
  CASE p.sign
    WHEN 0 THEN CAST(0 AS DOUBLE)
    WHEN 1 THEN pow(CAST(2 AS DOUBLE), p.bucket * pow(CAST(2 AS DOUBLE), -p.scale))
    ELSE -pow(CAST(2 AS DOUBLE), (p.bucket + 1) * pow(CAST(2 AS DOUBLE), -p.scale))
  END AS lower_bound,
  CASE p.sign
    WHEN 0 THEN CAST(0 AS DOUBLE)
    WHEN 1 THEN pow(CAST(2 AS DOUBLE), (p.bucket + 1) * pow(CAST(2 AS DOUBLE), -p.scale))
    ELSE -pow(CAST(2 AS DOUBLE), p.bucket * pow(CAST(2 AS DOUBLE), -p.scale))
  END AS upper_bound,
  CAST(p.edge_count AS BIGINT) AS edge_count,
  CAST(p.reference_count AS BIGINT) AS reference_count,
  p.edge_weighted / nullif(sum(p.edge_weighted) OVER place, 0) AS edge_ratio,
  p.reference_weighted / nullif(sum(p.reference_weighted) OVER place, 0) AS reference_ratio
FROM pooled AS p
WINDOW place AS (
  PARTITION BY
    p.edge_model_sha256,
    p.reference_model_sha256,
    p.match_role,
    p.match_name,
    p.match_index
);
