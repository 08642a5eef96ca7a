-- Distributions of a build's tensors beside its reference's, as tensor_quantiles.
--
-- From the rollup that `exray grafana refresh` writes.
--
-- Arguments:
--   in_build: build of the edge.
--   reference: build compared with.
-- Columns:
--   tensor_role VARCHAR: raw, stage, input, layer, output or custom.
--   layer_index INTEGER: operator's index in the edge model, NULL outside layers.
--   op VARCHAR: operator.
--   tensor_name VARCHAR: the tensor's name on the edge.
--   edge_p01 DOUBLE: 1 % of the edge's elements are at most this, in the tensor's unit.
--   edge_p50 DOUBLE: the edge's median.
--   edge_p99 DOUBLE: 99 % of the edge's elements are at most this.
--   reference_p01 DOUBLE: the same of the reference.
--   reference_p50 DOUBLE: the reference's median.
--   reference_p99 DOUBLE: 99 % of the reference's elements are at most this.
--   overlap_ratio DOUBLE: share of elements that both have in the same bucket.
--   lower_bounds DOUBLE[]: buckets of the pooled histograms, ascending: what each is above.
--   upper_bounds DOUBLE[]: what each goes up to.
--   edge_ratios DOUBLE[]: share of the edge's elements in each.
--   reference_ratios DOUBLE[]: share of the reference's.
--   channels INTEGER[]: channels that both sides have, ascending.
--   edge_means DOUBLE[]: mean element of each on the edge.
--   reference_means DOUBLE[]: mean element of each on the reference.
CREATE OR REPLACE MACRO build_tensors(in_build := '', reference := '') AS TABLE
SELECT
  t.tensor_role,
  t.layer_index,
  t.op,
  t.tensor_name,
  t.edge_p01,
  t.edge_p50,
  t.edge_p99,
  t.reference_p01,
  t.reference_p50,
  t.reference_p99,
  t.overlap_ratio,
  t.lower_bounds,
  t.upper_bounds,
  t.edge_ratios,
  t.reference_ratios,
  t.channels,
  t.edge_means,
  t.reference_means
FROM tensor_build_stats AS t
WHERE
  t.build = in_build
  AND t.reference_build = reference
  AND t.tensor_role <> ''
  -- rows of the newest comparison, with the one that ends it
  AND t.recorded_ns = (
    SELECT max(x.recorded_ns)
    FROM _tensor_build_stats AS x
    WHERE x.build = in_build AND x.reference_build = reference AND x.tensor_role = ''
  )
ORDER BY t.layer_index NULLS FIRST, t.tensor_name;
