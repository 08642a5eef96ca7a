-- Distance of edge and reference at every layer in every paired frame.
--
-- Layers without counterpart are not in it: see layer_divergence and layer_unpaired.
--
-- Arguments:
--   edge: build, run id or run ids of the edge.
--   reference: build, run id or run ids of the reference.
-- Columns:
--   edge_model VARCHAR: edge model.
--   reference_model VARCHAR: reference model.
--   input_key BIGINT: the frame's input.
--   input_id VARCHAR: what the caller named it.
--   edge_trace_id VARCHAR: trace of the edge frame, hex.
--   edge_frame_id VARCHAR: span of the edge frame, hex.
--   reference_trace_id VARCHAR: trace of the reference frame, hex.
--   reference_frame_id VARCHAR: span of the reference frame, hex.
--   execution BIGINT: how many times the layer had run in the frame, this time included.
--   layer_index INTEGER: operator's index in the edge model.
--   layer_name VARCHAR: its name as the converter wrote it.
--   op VARCHAR: operator.
--   reference_layer_index INTEGER: its counterpart.
--   reference_layer_name VARCHAR: the counterpart's name.
--   weight DOUBLE: frames that this one stands for, after sampling.
--   nsr DOUBLE: squared error / squared reference; NULL where it cannot be known.
--   sqnr_db DOUBLE: the same in dB, -20 to 140.
--   cosine DOUBLE: cosine, -1 to 1.
--   rmse DOUBLE: root mean square error, in the tensor's unit.
--   edge_nan_count BIGINT: elements of the edge that are not a number.
--   edge_inf_count BIGINT: infinite elements of the edge.
--   reference_nan_count BIGINT: elements of the reference that are not a number.
--   reference_inf_count BIGINT: infinite elements of the reference.
CREATE OR REPLACE MACRO layer_frame_divergence(edge := '', reference := '') AS TABLE
SELECT
  p.edge_model,
  p.reference_model,
  p.input_key,
  p.input_id,
  hex_id(p.edge_trace_id) AS edge_trace_id,
  hex_id(p.edge_frame_id) AS edge_frame_id,
  hex_id(p.reference_trace_id) AS reference_trace_id,
  hex_id(p.reference_frame_id) AS reference_frame_id,
  t.execution,
  t.layer_index,
  t.layer_name,
  t.op,
  t.match_index AS reference_layer_index,
  t.reference_layer_name,
  p.weight,
  t.nsr,
  sqnr_db(t.nsr) AS sqnr_db,
  t.cosine,
  sqrt(t.sqdist / nullif(t.count, 0)) AS rmse,
  t.nan_count AS edge_nan_count,
  t.inf_count AS edge_inf_count,
  t.reference_nan_count,
  t.reference_inf_count
FROM _tensor_pairs(edge, reference, with_others := FALSE) AS t
INNER JOIN _frame_measured(edge, reference) AS p ON t.pair = p.pair
ORDER BY p.edge_model, p.reference_model, p.input_id, t.execution, t.layer_index;
