-- Frames with their times, as they came.
--
-- Columns:
--   started TIMESTAMP: when it began, UTC.
--   build VARCHAR: build that shipped.
--   role VARCHAR: edge or reference.
--   model_name VARCHAR: first model of the frame.
--   kernels VARCHAR: kernel family.
--   device VARCHAR: device model, or the device's id where the model is not known.
--   device_id VARCHAR: device.
--   trace_id VARCHAR: trace, hex.
--   frame_id VARCHAR: its span, hex.
--   input_id VARCHAR: what the caller named the input.
--   level VARCHAR: level it was recorded at.
--   weight DOUBLE: frames that this one stands for, after sampling.
--   dur_ms DOUBLE: how long it took, ms; NULL where not measured.
--   stage_ms DOUBLE: time in stages, ms.
--   model_ms DOUBLE: time in model executions, ms.
--   overhead_ms DOUBLE: time that recording took of it, ms.
--   label VARCHAR: true class index or name.
--   top1 INTEGER: best class.
--   correct BOOLEAN: whether that is the label; NULL where nobody can say.
--   status VARCHAR: unset, ok or error.
CREATE OR REPLACE VIEW frame_times AS
WITH
-- Repeated rows are removed here: the view frames would number all columns of all frames.
-- What is filtered by is grouped by, so that a filter comes before the grouping; columns that
-- nobody asks for are not read.
frame AS (
  SELECT
    f.run_id,
    f.build,
    f.role,
    f.model_name,
    f.start_ns,
    f.trace_id,
    f.span_id,
    f.level,
    any_value(f.input_id) AS input_id,
    any_value(f.sample_rate) AS sample_rate,
    any_value(f.dur_ns) AS dur_ns,
    any_value(f.stage_ns) AS stage_ns,
    any_value(f.model_ns) AS model_ns,
    any_value(f.overhead_ns) AS overhead_ns,
    any_value(f.label) AS label,
    any_value(f.prediction_ids) AS prediction_ids,
    any_value(f.status) AS status
  FROM _frames AS f
  GROUP BY
    f.run_id, f.build, f.role, f.model_name, f.start_ns, f.trace_id, f.span_id, f.level
)

SELECT
  ts(f.start_ns) AS started,
  f.build,
  f.role,
  f.model_name,
  r.kernels,
  coalesce(nullif(r.device_model, ''), r.device_id) AS device,
  r.device_id,
  hex_id(f.trace_id) AS trace_id,
  hex_id(f.span_id) AS frame_id,
  f.input_id,
  f.level,
  1 / nullif(f.sample_rate, 0) AS weight,
  ms(f.dur_ns) AS dur_ms,
  ms(f.stage_ns) AS stage_ms,
  ms(f.model_ns) AS model_ms,
  ms(f.overhead_ns) AS overhead_ms,
  f.label,
  list_extract(f.prediction_ids, 1) AS top1,
  _frame_right(f.label, f.prediction_ids) AS correct,
  f.status
FROM frame AS f
INNER JOIN runs AS r ON f.run_id = r.run_id;
