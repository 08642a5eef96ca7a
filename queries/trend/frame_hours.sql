-- Times of frames by hour: how many took how long.
--
-- From the rollup that `exray grafana refresh` writes; frames at level latency that did not fail.
--
-- Columns:
--   hour TIMESTAMP: the hour in which the frames began, UTC.
--   build VARCHAR: build that shipped.
--   role VARCHAR: edge or reference.
--   model_name VARCHAR: model.
--   kernels VARCHAR: kernel family.
--   device VARCHAR: device model, or the device's id where the model is not known.
--   dur_ms DOUBLE: how long they took, ms, off by at most 0.3 %.
--   frames BIGINT: how many.
CREATE OR REPLACE VIEW frame_hours AS
SELECT
  ts(t.hour_ns) AS hour,
  t.build,
  t.role,
  t.model_name,
  t.kernels,
  t.device,
  pow(CAST(2 AS DOUBLE), (t.bucket + 0.5) / 128) / 1e6 AS dur_ms,
  t.frames
-- raw rows: those that count are as old as the group's row of build_stats
FROM _build_times AS t
INNER JOIN build_stats AS s
  ON t.build = s.build
  AND t.role = s.role
  AND t.model_sha256 = s.model_sha256
  AND t.kernels = s.kernels
  AND t.device = s.device
  AND t.recorded_ns = s.recorded_ns
WHERE t.bucket >= 0;
