-- Elements of each tensor by their size, edge beside reference, over paired frames.
--
-- Only frames at level distribution count, on both sides. A bucket holds what is above its
-- lower bound and at most its upper one, for negative elements the other way round; zeros
-- have a bucket from 0 to 0. Elements that are not finite are in none.
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
--   lower_bound DOUBLE: in the tensor's unit.
--   upper_bound DOUBLE: in the tensor's unit.
--   edge_count BIGINT: elements of the edge.
--   reference_count BIGINT: elements of the reference.
--   edge_ratio DOUBLE: share of the edge's finite elements, frames weighted by 1 / rate.
--   reference_ratio DOUBLE: share of the reference's.
CREATE OR REPLACE MACRO tensor_histogram(edge := '', reference := '') AS TABLE
SELECT
  m.edge_model,
  m.reference_model,
  b.match_role AS tensor_role,
  b.layer_index,
  b.layer_name,
  b.op,
  b.tensor_name,
  b.lower_bound,
  b.upper_bound,
  b.edge_count,
  b.reference_count,
  b.edge_ratio,
  b.reference_ratio
FROM _tensor_buckets(edge, reference) AS b
INNER JOIN _layer_models(edge, reference) AS m
  ON b.edge_model_sha256 = m.edge_model_sha256
  AND b.reference_model_sha256 = m.reference_model_sha256
ORDER BY
  m.edge_model, m.reference_model, b.match_role, b.match_index, b.match_name, b.lower_bound;
