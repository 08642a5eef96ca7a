-- Devices and when each was last heard of, the longest silent first.
--
-- Columns:
--   device_id VARCHAR: device.
--   device VARCHAR: device model, or the device's id where the model is not known.
--   build VARCHAR: build of its newest run.
--   model_name VARCHAR: model of its newest run.
--   kernels VARCHAR: kernel family of its newest run.
--   last_seen TIMESTAMP: start of its newest frame, or of its newest run without frames, UTC.
CREATE OR REPLACE VIEW device_list AS
WITH
-- raw rows: a repeated one changes no maximum
last AS (
  SELECT
    f.run_id,
    max(f.start_ns) AS last_ns
  FROM _frames AS f
  GROUP BY f.run_id
)

SELECT
  r.device_id,
  arg_max(
    coalesce(nullif(r.device_model, ''), r.device_id), coalesce(l.last_ns, r.started_ns)
  ) AS device,
  arg_max(r.build, coalesce(l.last_ns, r.started_ns)) AS build,
  arg_max(r.model_name, coalesce(l.last_ns, r.started_ns)) AS model_name,
  arg_max(r.kernels, coalesce(l.last_ns, r.started_ns)) AS kernels,
  ts(max(coalesce(l.last_ns, r.started_ns))) AS last_seen
FROM runs AS r
LEFT JOIN last AS l ON r.run_id = l.run_id
WHERE r.role = 'edge'
GROUP BY r.device_id
ORDER BY max(coalesce(l.last_ns, r.started_ns)), r.device_id;
