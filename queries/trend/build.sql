-- Builds as they shipped, each role, model, kernel family and device model for itself.
--
-- From the rollup that `exray grafana refresh` writes. What a build is compared with is the
-- build before it of the same model's name, role, kernels and device model, and the reference
-- that measured most inputs in common with it.
--
-- Columns:
--   build VARCHAR: build that shipped.
--   role VARCHAR: edge or reference.
--   model_name VARCHAR: model file's name without its ending.
--   model_sha256 VARCHAR: SHA-256 of the model file, hex.
--   precision VARCHAR: type of most weights and activations.
--   kernels VARCHAR: kernel family.
--   device VARCHAR: device model, or the device's id where the model is not known.
--   started TIMESTAMP: first frame, UTC.
--   last_seen TIMESTAMP: last frame, UTC.
--   build_index BIGINT: number of the build among those of its group, from 1, oldest first.
--   newest BOOLEAN: whether no later build of its group is known.
--   devices BIGINT: devices that recorded frames.
--   frames BIGINT: frames recorded.
--   failed_frames BIGINT: those that ended in an error.
--   measured_frames BIGINT: those at level summary or above.
--   judged BIGINT: inputs with a prediction and a class index as label.
--   top1_ratio DOUBLE: share of those whose best class is the label; NULL without any.
--   previous_top1_ratio DOUBLE: the same of the build before.
--   top1_loss DOUBLE: what was lost against the build before, where that is more than two
--     standard errors of the difference, else 0; NULL where either is not known.
--   reference_top1_delta DOUBLE: accuracy less the reference's on the inputs of both.
--   mean_ms DOUBLE: mean time of a frame, ms.
--   p50_ms DOUBLE: median, ms.
--   p99_ms DOUBLE: 99th percentile, ms.
--   previous_p99_ms DOUBLE: the same of the build before, ms.
--   p99_ratio DOUBLE: p99_ms / previous_p99_ms.
--   inflated BOOLEAN: whether the times include summaries, for want of others.
--   overhead_ratio DOUBLE: time that recording took / time of all frames.
--   reference_build VARCHAR: the reference's build.
--   reference_kernels VARCHAR: its kernel family.
--   paired_frames BIGINT: inputs of which both sides recorded tensors.
--   input_sqnr_db DOUBLE: SQNR of the model input, dB.
--   nonfinite_count BIGINT: elements of layers' outputs that are NaN or infinite.
--   worst_layer VARCHAR: layer with the greatest loss_db, where that is above 0.
--   worst_loss_db DOUBLE: median SQNR of up to five builds before less this build's, at the
--     layer where that is greatest, dB; NULL for the first build.
--   output_sqnr_db DOUBLE: SQNR of the last layer measured, dB.
CREATE OR REPLACE VIEW build_trend AS
WITH
layer AS (
  SELECT
    l.build,
    l.role,
    l.model_sha256,
    l.kernels,
    l.device,
    CAST(sum(coalesce(l.nan_count, 0) + coalesce(l.inf_count, 0)) AS BIGINT)
      AS nonfinite_count,
    CASE WHEN max(l.loss_db) > 0 THEN arg_max(l.layer_name, l.loss_db) END AS worst_layer,
    max(l.loss_db) AS worst_loss_db,
    arg_max(l.sqnr_db, l.layer_index) FILTER (WHERE l.sqnr_db IS NOT NULL) AS output_sqnr_db
  FROM layer_trend AS l
  GROUP BY l.build, l.role, l.model_sha256, l.kernels, l.device
),

numbered AS (
  SELECT
    s.*,
    CAST(s.correct AS DOUBLE) / nullif(s.judged, 0) AS top1_ratio,
    row_number() OVER (
      PARTITION BY s.model_name, s.role, s.kernels, s.device ORDER BY s.first_ns, s.build
    ) AS build_index,
    lead(s.build) OVER (
      PARTITION BY s.model_name, s.role, s.kernels, s.device ORDER BY s.first_ns, s.build
    ) IS NULL AS newest,
    lag(CAST(s.correct AS DOUBLE) / nullif(s.judged, 0)) OVER (
      PARTITION BY s.model_name, s.role, s.kernels, s.device ORDER BY s.first_ns, s.build
    ) AS previous_top1_ratio,
    lag(s.judged) OVER (
      PARTITION BY s.model_name, s.role, s.kernels, s.device ORDER BY s.first_ns, s.build
    ) AS previous_judged,
    lag(s.p99_ms) OVER (
      PARTITION BY s.model_name, s.role, s.kernels, s.device ORDER BY s.first_ns, s.build
    ) AS previous_p99_ms
  FROM build_stats AS s
)

SELECT
  n.build,
  n.role,
  n.model_name,
  n.model_sha256,
  n.model_precision AS precision,
  n.kernels,
  n.device,
  ts(n.first_ns) AS started,
  ts(n.last_ns) AS last_seen,
  n.build_index,
  n.newest,
  n.devices,
  n.frames,
  n.failed_frames,
  n.measured_frames,
  n.judged,
  n.top1_ratio,
  n.previous_top1_ratio,
  CASE
    WHEN n.previous_top1_ratio - n.top1_ratio > 2 * sqrt(
      n.top1_ratio * (1 - n.top1_ratio) / nullif(n.judged, 0)
      + n.previous_top1_ratio * (1 - n.previous_top1_ratio) / nullif(n.previous_judged, 0)
    )
      THEN n.previous_top1_ratio - n.top1_ratio
    WHEN n.previous_top1_ratio IS NOT NULL AND n.top1_ratio IS NOT NULL THEN 0
  END AS top1_loss,
  CAST(n.edge_only_correct - n.reference_only_correct AS DOUBLE) / nullif(n.paired_judged, 0)
    AS reference_top1_delta,
  n.mean_ms,
  n.p50_ms,
  n.p99_ms,
  n.previous_p99_ms,
  n.p99_ms / nullif(n.previous_p99_ms, 0) AS p99_ratio,
  n.inflated,
  n.overhead_ratio,
  n.reference_build,
  n.reference_kernels,
  n.paired_frames,
  n.input_sqnr_db,
  coalesce(l.nonfinite_count, 0) AS nonfinite_count,
  l.worst_layer,
  l.worst_loss_db,
  l.output_sqnr_db
FROM numbered AS n
LEFT JOIN layer AS l
  ON n.build = l.build
  AND n.role = l.role
  AND n.model_sha256 = l.model_sha256
  AND n.kernels = l.kernels
  AND n.device = l.device;
