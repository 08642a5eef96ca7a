-- Time of each operator type over the layers of a model, the largest share first.
--
-- Only frames at level latency count where they show layers, because summaries take time. Each
-- counts as the frames that it stands for, 1 / sample rate.
--
-- Arguments:
--   selector: build, run id or run ids.
-- Columns:
--   role VARCHAR: edge or reference.
--   model_name VARCHAR: model.
--   kernels VARCHAR: kernel family.
--   device VARCHAR: device model, or the device's id where the model is not known.
--   op VARCHAR: operator.
--   layers BIGINT: layers of that type which were measured.
--   executions BIGINT: executions counted.
--   effective_frames DOUBLE: equally weighted frames that would say as much.
--   frame_ms DOUBLE: mean time per frame over all of them, ms.
--   time_ratio DOUBLE: share of the time of all measured layers.
--   inflated BOOLEAN: whether the times include summaries, for want of others.
CREATE OR REPLACE MACRO op_latency(selector := '') AS TABLE
WITH
timed AS MATERIALIZED (
  SELECT *
  FROM _layer_timed(selector)
),

-- a frame's layers weigh what the frame does
frame AS (
  SELECT
    t.role,
    t.model_sha256,
    t.kernels,
    t.device,
    any_value(t.weight) AS weight,
    sum(t.dur_ms) AS total_ms
  FROM timed AS t
  GROUP BY t.role, t.model_sha256, t.kernels, t.device, t.trace_id, t.frame_span_id
),

model AS (
  SELECT
    f.role,
    f.model_sha256,
    f.kernels,
    f.device,
    weighted_count(f.weight) AS effective_frames,
    sum(f.weight) AS frames,
    sum(f.total_ms * f.weight) AS total_ms
  FROM frame AS f
  GROUP BY f.role, f.model_sha256, f.kernels, f.device
)

SELECT
  t.role,
  t.model_name,
  t.kernels,
  t.device,
  t.op,
  count(DISTINCT t.layer_index) AS layers,
  count(*) AS executions,
  any_value(m.effective_frames) AS effective_frames,
  sum(t.dur_ms * t.weight) / any_value(m.frames) AS frame_ms,
  sum(t.dur_ms * t.weight) / nullif(any_value(m.total_ms), 0) AS time_ratio,
  bool_or(t.inflated) AS inflated
FROM timed AS t
INNER JOIN model AS m
  ON t.role = m.role
  AND t.model_sha256 = m.model_sha256
  AND t.kernels = m.kernels
  AND t.device = m.device
GROUP BY t.role, t.model_name, t.model_sha256, t.kernels, t.device, t.op
ORDER BY t.role ASC, t.model_name ASC, t.kernels ASC, t.device ASC, frame_ms DESC, t.op ASC;
