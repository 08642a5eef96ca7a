-- Every layer of every build with its numbers, and how they stand against the builds before.
--
-- From the rollup that `exray grafana refresh` writes. The builds before are those of the same
-- model's name, role, kernels and device model; layers meet by name, for the model file is
-- another one in each build.
--
-- Columns:
--   build VARCHAR: build that shipped.
--   role VARCHAR: edge or reference.
--   model_name VARCHAR: model file's name without its ending.
--   model_sha256 VARCHAR: SHA-256 of the model file, hex.
--   kernels VARCHAR: kernel family.
--   device VARCHAR: device model, or the device's id where the model is not known.
--   started TIMESTAMP: first frame of the build, UTC.
--   layer_index INTEGER: operator's index in the model.
--   layer_name VARCHAR: its name as the converter wrote it.
--   op VARCHAR: operator.
--   timing VARCHAR: how times were measured; NULL where they were not.
--   executions BIGINT: executions timed.
--   mean_ms DOUBLE: mean time of an execution, ms.
--   p50_ms DOUBLE: median, ms.
--   p99_ms DOUBLE: 99th percentile, ms.
--   time_ratio DOUBLE: share of the time of all measured layers.
--   inflated BOOLEAN: whether the times include summaries, for want of others.
--   outputs BIGINT: outputs summarised.
--   mean DOUBLE: mean of their finite elements, in the tensor's unit.
--   std DOUBLE: standard deviation of their finite elements.
--   min DOUBLE: least finite element.
--   max DOUBLE: greatest finite element.
--   nan_count BIGINT: elements that are not a number.
--   inf_count BIGINT: infinite elements.
--   zero_ratio DOUBLE: share of elements that are zero.
--   sat_ratio DOUBLE: share of elements at either end of their integer type.
--   scale DOUBLE: quantization scale; NULL where none, one per channel, or several.
--   reference_build VARCHAR: build compared with.
--   reference_layer_index INTEGER: the layer's counterpart there.
--   frames BIGINT: paired frames in which both sides recorded the layer.
--   sqnr_db DOUBLE: SQNR against the reference, dB.
--   drop_db DOUBLE: SQNR of the layer's inputs minus its own; positive is a loss, dB.
--   cosine DOUBLE: mean cosine, -1 to 1.
--   nrmse DOUBLE: root mean square error / the larger range of the two.
--   rmse_scale DOUBLE: root mean square error / quantization step.
--   builds_before BIGINT: builds before that measured the layer, at most five.
--   usual_sqnr_db DOUBLE: median of their SQNR, dB.
--   loss_db DOUBLE: usual_sqnr_db less sqnr_db; positive is a loss.
--   usual_p50_ms DOUBLE: median of their p50_ms, ms.
--   p50_ratio DOUBLE: p50_ms / usual_p50_ms.
CREATE OR REPLACE VIEW layer_trend AS
WITH
placed AS (
  SELECT
    l.*,
    b.first_ns,
    count(l.sqnr_db) OVER before AS builds_before,
    median(l.sqnr_db) OVER before AS usual_sqnr_db,
    median(l.p50_ms) OVER before AS usual_p50_ms
  FROM layer_build_stats AS l
  INNER JOIN build_stats AS b
    ON l.build = b.build
    AND l.role = b.role
    AND l.model_sha256 = b.model_sha256
    AND l.kernels = b.kernels
    AND l.device = b.device
  WINDOW before AS (
    PARTITION BY l.model_name, l.role, l.kernels, l.device, l.layer_name
    ORDER BY b.first_ns, l.build
    ROWS BETWEEN 5 PRECEDING AND 1 PRECEDING
  )
)

SELECT
  p.build,
  p.role,
  p.model_name,
  p.model_sha256,
  p.kernels,
  p.device,
  ts(p.first_ns) AS started,
  p.layer_index,
  p.layer_name,
  p.op,
  p.timing,
  p.executions,
  p.mean_ms,
  p.p50_ms,
  p.p99_ms,
  p.time_ratio,
  p.inflated,
  p.outputs,
  p.mean,
  p.std,
  p.min,
  p.max,
  p.nan_count,
  p.inf_count,
  p.zero_ratio,
  p.sat_ratio,
  p.scale,
  p.reference_build,
  p.reference_layer_index,
  p.frames,
  p.sqnr_db,
  p.drop_db,
  p.cosine,
  p.nrmse,
  p.rmse_scale,
  p.builds_before,
  p.usual_sqnr_db,
  p.usual_sqnr_db - p.sqnr_db AS loss_db,
  p.usual_p50_ms,
  p.p50_ms / nullif(p.usual_p50_ms, 0) AS p50_ratio
FROM placed AS p;
