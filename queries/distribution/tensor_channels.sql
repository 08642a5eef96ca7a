-- Statistics of each channel on both sides; see tensor_channels.
CREATE OR REPLACE MACRO _tensor_channels(edge := '', reference := '') AS TABLE
WITH
-- channels, elements of each, then sums, sums of squares, minima and maxima
read AS MATERIALIZED (
  SELECT
    d.*,
    float32_list(d.channels) AS numbers
  FROM _tensor_distributions(edge, reference) AS d
  WHERE d.channels LIKE 'ch1:%'
),

statistic AS (
  SELECT
    r.side,
    r.edge_model_sha256,
    r.reference_model_sha256,
    r.match_role,
    r.match_name,
    r.match_index,
    r.layer_index,
    r.layer_name,
    r.op,
    r.tensor_name,
    r.weight,
    CAST(r.numbers[1] AS INTEGER) AS channels,
    CAST(i.channel AS INTEGER) AS channel,
    -- channels that share the row
    r.numbers[2] * (CAST(r.numbers[1] - 1 - i.channel AS INTEGER) // 256 + 1) AS elements,
    r.numbers[CAST(3 + i.channel AS BIGINT)] AS total,
    r.numbers[CAST(3 + least(r.numbers[1], 256) + i.channel AS BIGINT)] AS total2,
    r.numbers[CAST(3 + 2 * least(r.numbers[1], 256) + i.channel AS BIGINT)] AS least_element,
    r.numbers[CAST(3 + 3 * least(r.numbers[1], 256) + i.channel AS BIGINT)] AS greatest_element
  FROM read AS r
  CROSS JOIN range(0, 256) AS i (channel)
  -- a damaged text has no numbers
  WHERE len(r.numbers) > 2 AND i.channel < r.numbers[1]
),

pooled AS MATERIALIZED (
  SELECT
    s.side,
    s.edge_model_sha256,
    s.reference_model_sha256,
    s.match_role,
    s.match_name,
    s.match_index,
    s.channel,
    any_value(s.layer_index) AS layer_index,
    any_value(s.layer_name) AS layer_name,
    any_value(s.op) AS op,
    any_value(s.tensor_name) AS tensor_name,
    max(s.channels) AS channels,
    sum(s.total * s.weight) / nullif(sum(s.elements * s.weight), 0) AS mean,
    sum(s.total2 * s.weight) / nullif(sum(s.elements * s.weight), 0) AS mean2,
    min(finite_or_null(s.least_element)) AS least_element,
    max(finite_or_null(s.greatest_element)) AS greatest_element
  FROM statistic AS s
  GROUP BY
    s.side,
    s.edge_model_sha256,
    s.reference_model_sha256,
    s.match_role,
    s.match_name,
    s.match_index,
    s.channel
)

SELECT
  e.edge_model_sha256,
  e.reference_model_sha256,
  e.match_role,
  e.match_name,
  e.match_index,
  e.layer_index,
  e.layer_name,
  e.op,
  e.tensor_name,
  e.channel,
  e.channels AS edge_channels,
  r.channels AS reference_channels,
  e.mean AS edge_mean,
  r.mean AS reference_mean,
  sqrt(greatest(e.mean2 - e.mean * e.mean, CAST(0 AS DOUBLE))) AS edge_std,
  sqrt(greatest(r.mean2 - r.mean * r.mean, CAST(0 AS DOUBLE))) AS reference_std,
  CAST(e.least_element AS DOUBLE) AS edge_min,
  CAST(r.least_element AS DOUBLE) AS reference_min,
  CAST(e.greatest_element AS DOUBLE) AS edge_max,
  CAST(r.greatest_element AS DOUBLE) AS reference_max
FROM pooled AS e
INNER JOIN pooled AS r
  ON e.edge_model_sha256 = r.edge_model_sha256
  AND e.reference_model_sha256 = r.reference_model_sha256
  AND e.match_role = r.match_role
  AND e.match_name = r.match_name
  AND e.match_index = r.match_index
  AND e.channel = r.channel
WHERE e.side = 'edge' AND r.side = 'reference';

-- Means and extremes of each channel of each tensor, edge beside reference.
--
-- Over paired frames, those at level distribution on both sides. Tensors in layout nhwc and
-- those of rank 2 have channels. Where there are more than 256 a row stands for the
-- channels of one number modulo 256. Elements that are not finite count as 0 in means.
-- Swapped colours show here and in no histogram.
--
-- Arguments:
--   edge: build, run id or run ids of the edge.
--   reference: build, run id or run ids of the reference.
-- Columns:
--   edge_model VARCHAR: edge model.
--   reference_model VARCHAR: reference model.
--   tensor_role VARCHAR: raw, stage, input, layer, output or custom.
--   layer_index INTEGER: operator's index in the edge model, NULL outside layers.
--   layer_name VARCHAR: its name as the converter wrote it.
--   op VARCHAR: operator.
--   tensor_name VARCHAR: the tensor's name on the edge.
--   channel INTEGER: channel, from 0; above 256 channels their number modulo 256.
--   edge_channels INTEGER: channels of the edge's tensor.
--   reference_channels INTEGER: channels of the reference's.
--   edge_mean DOUBLE: mean element of the edge, in the tensor's unit.
--   reference_mean DOUBLE: mean element of the reference.
--   edge_std DOUBLE: standard deviation of the edge's elements.
--   reference_std DOUBLE: standard deviation of the reference's.
--   edge_min DOUBLE: least element of the edge.
--   reference_min DOUBLE: least element of the reference.
--   edge_max DOUBLE: greatest element of the edge.
--   reference_max DOUBLE: greatest element of the reference.
CREATE OR REPLACE MACRO tensor_channels(edge := '', reference := '') AS TABLE
SELECT
  m.edge_model,
  m.reference_model,
  c.match_role AS tensor_role,
  c.layer_index,
  c.layer_name,
  c.op,
  c.tensor_name,
  c.channel,
  c.edge_channels,
  c.reference_channels,
  c.edge_mean,
  c.reference_mean,
  c.edge_std,
  c.reference_std,
  c.edge_min,
  c.reference_min,
  c.edge_max,
  c.reference_max
FROM _tensor_channels(edge, reference) AS c
INNER JOIN _layer_models(edge, reference) AS m
  ON c.edge_model_sha256 = m.edge_model_sha256
  AND c.reference_model_sha256 = m.reference_model_sha256
ORDER BY
  m.edge_model, m.reference_model, c.match_role, c.match_index, c.match_name, c.channel;
