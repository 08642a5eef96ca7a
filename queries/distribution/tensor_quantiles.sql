-- Quantiles of each tensor, and the pooled buckets that they are read from; see tensor_quantiles.
--
-- Sums of shares end a rounding error beside 1: the last bucket holds what is left. A
-- bucket without elements holds no quantile, though it has the sum of those before it.
CREATE OR REPLACE MACRO _tensor_quantiles(edge := '', reference := '') AS TABLE
WITH
cumulated AS (
  SELECT
    b.*,
    (b.lower_bound + b.upper_bound) / 2 AS middle,
    sum(b.edge_ratio) OVER place AS edge_up_to,
    sum(b.reference_ratio) OVER place AS reference_up_to
  FROM _tensor_buckets(edge, reference) AS b
  WINDOW place AS (
    PARTITION BY
      b.edge_model_sha256,
      b.reference_model_sha256,
      b.match_role,
      b.match_name,
      b.match_index
    ORDER BY b.lower_bound ASC, b.upper_bound ASC
  )
)

SELECT
  c.edge_model_sha256,
  c.reference_model_sha256,
  c.match_role,
  c.match_name,
  c.match_index,
  any_value(c.layer_index) AS layer_index,
  any_value(c.layer_name) AS layer_name,
  any_value(c.op) AS op,
  any_value(c.tensor_name) AS tensor_name,
  min(c.middle) FILTER (WHERE c.edge_ratio > 0 AND c.edge_up_to >= 0.01) AS edge_p01,
  min(c.middle) FILTER (WHERE c.edge_ratio > 0 AND c.edge_up_to >= 0.5) AS edge_p50,
  min(c.middle) FILTER (WHERE c.edge_ratio > 0 AND c.edge_up_to >= 0.99) AS edge_p99,
  min(c.middle) FILTER (WHERE c.reference_ratio > 0 AND c.reference_up_to >= 0.01)
    AS reference_p01,
  min(c.middle) FILTER (WHERE c.reference_ratio > 0 AND c.reference_up_to >= 0.5)
    AS reference_p50,
  min(c.middle) FILTER (WHERE c.reference_ratio > 0 AND c.reference_up_to >= 0.99)
    AS reference_p99,
  sum(least(c.edge_ratio, c.reference_ratio)) AS overlap_ratio,
  list(c.lower_bound ORDER BY c.lower_bound, c.upper_bound) AS lower_bounds,
  list(c.upper_bound ORDER BY c.lower_bound, c.upper_bound) AS upper_bounds,
  list(c.edge_ratio ORDER BY c.lower_bound, c.upper_bound) AS edge_ratios,
  list(c.reference_ratio ORDER BY c.lower_bound, c.upper_bound) AS reference_ratios
FROM cumulated AS c
GROUP BY
  c.edge_model_sha256,
  c.reference_model_sha256,
  c.match_role,
  c.match_name,
  c.match_index;

-- Quantiles of each tensor, edge beside reference, over paired frames.
--
-- Read from the pooled histograms: the middle of the bucket that holds the quantile, off by
-- at most half a bucket. Only frames at level distribution count, on both sides.
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
--   edge_p01 DOUBLE: 1 % of the edge's elements are at most this, in the tensor's unit.
--   edge_p50 DOUBLE: the edge's median.
--   edge_p99 DOUBLE: 99 % of the edge's elements are at most this.
--   reference_p01 DOUBLE: the same of the reference.
--   reference_p50 DOUBLE: the reference's median.
--   reference_p99 DOUBLE: 99 % of the reference's elements are at most this.
--   overlap_ratio DOUBLE: share of elements that both have in the same bucket; 1 for equal
--     distributions, 0 for such as have nothing in common.
CREATE OR REPLACE MACRO tensor_quantiles(edge := '', reference := '') AS TABLE
SELECT
  m.edge_model,
  m.reference_model,
  q.match_role AS tensor_role,
  q.layer_index,
  q.layer_name,
  q.op,
  q.tensor_name,
  q.edge_p01,
  q.edge_p50,
  q.edge_p99,
  q.reference_p01,
  q.reference_p50,
  q.reference_p99,
  q.overlap_ratio
FROM _tensor_quantiles(edge, reference) AS q
INNER JOIN _layer_models(edge, reference) AS m
  ON q.edge_model_sha256 = m.edge_model_sha256
  AND q.reference_model_sha256 = m.reference_model_sha256
ORDER BY m.edge_model, m.reference_model, q.match_role, q.match_index, q.match_name;
