-- Numbers recorded for the selected runs, each once: host readings, sensors, scalars.
CREATE OR REPLACE MACRO _host_readings(selector := '', metric := '') AS TABLE
WITH
chosen AS MATERIALIZED (
  SELECT *
  FROM _run_selected(selector)
),

-- As in _frame_seen, the filter on the files.
chosen_build AS MATERIALIZED (
  SELECT DISTINCT c.build
  FROM chosen AS c
)

SELECT DISTINCT
  c.run_id,
  c.role,
  c.model_name,
  c.model_sha256,
  c.kernels,
  c.device,
  m.series_hash,
  m.time_ns,
  m.name,
  m.unit,
  m.value,
  m.attributes_json,
  m.trace_id,
  m.frame_span_id
FROM chosen AS c
INNER JOIN _metrics AS m ON c.run_id = m.run_id
WHERE
  (metric = '' OR m.name = metric)
  AND m.build IN (SELECT b.build FROM chosen_build AS b);

-- For each frame and each series between frames, when its last reading before the frame was.
--
-- Readings and frames of a run are put into one order of time, so that the last reading is a
-- running maximum; to compare every frame with every reading would take their product.
CREATE OR REPLACE MACRO _host_last(selector := '', metric := '') AS TABLE
WITH
reading AS MATERIALIZED (
  SELECT DISTINCT
    r.run_id,
    r.series_hash,
    r.time_ns
  FROM _host_readings(selector, metric) AS r
  WHERE r.frame_span_id IS NULL
),

series AS (
  SELECT DISTINCT
    r.run_id,
    r.series_hash
  FROM reading AS r
),

moment AS (
  SELECT
    r.run_id,
    r.series_hash,
    r.time_ns AS at_ns,
    r.time_ns AS reading_ns,
    CAST(NULL AS BLOB) AS trace_id,
    CAST(NULL AS BLOB) AS span_id
  FROM reading AS r
  UNION ALL
  SELECT
    s.run_id,
    s.series_hash,
    f.start_ns AS at_ns,
    CAST(NULL AS BIGINT) AS reading_ns,
    f.trace_id,
    f.span_id
  FROM series AS s
  INNER JOIN _frame_seen(selector) AS f ON s.run_id = f.run_id
),

-- RANGE, not ROWS: a reading of the very nanosecond counts, on whichever side it was sorted.
ordered AS (
  SELECT
    m.run_id,
    m.series_hash,
    m.trace_id,
    m.span_id,
    m.at_ns AS start_ns,
    max(m.reading_ns) OVER (
      PARTITION BY m.run_id, m.series_hash
      ORDER BY m.at_ns
      RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS time_ns
  FROM moment AS m
)

SELECT
  o.run_id,
  o.series_hash,
  o.trace_id,
  o.span_id,
  o.start_ns,
  o.time_ns
FROM ordered AS o
WHERE o.span_id IS NOT NULL AND o.time_ns IS NOT NULL;

-- What the host and its sensors said of each frame: the last reading before it began.
--
-- A number recorded within a frame is that frame's alone, and comes before one of the same
-- name, unit and attributes from between the frames. Frames without any reading do not show.
--
-- Arguments:
--   selector: build, run id or run ids.
--   metric: name of the metric, such as hw.temperature; empty for all.
--   max_age_s: oldest reading that still counts, s.
-- Columns:
--   role VARCHAR: edge or reference.
--   input_id VARCHAR: what the caller named the input.
--   frame_trace_id VARCHAR: trace of the frame, hex.
--   frame_id VARCHAR: its span, hex.
--   started TIMESTAMP: when it began, UTC.
--   dur_ms DOUBLE: how long it took, ms; NULL where not measured.
--   metric VARCHAR: name of the metric.
--   attributes VARCHAR: which core, sensor, place, as JSON; NULL without any.
--   unit VARCHAR: UCUM unit.
--   value DOUBLE: the reading, in that unit.
--   in_frame BOOLEAN: whether it was recorded within the frame.
--   age_s DOUBLE: from the reading to the frame's start, s; negative within the frame.
CREATE OR REPLACE MACRO host_frame(selector := '', metric := '', max_age_s := 60) AS TABLE
WITH
reading AS MATERIALIZED (
  SELECT *
  FROM _host_readings(selector, metric)
),

-- One of several models in it does not make a frame another.
frame AS (
  SELECT DISTINCT
    f.role,
    f.trace_id,
    f.span_id,
    f.input_id,
    f.start_ns,
    f.dur_ns
  FROM _frame_seen(selector) AS f
),

said AS (
  SELECT
    n.trace_id,
    n.span_id,
    r.name,
    r.attributes_json,
    r.unit,
    r.value,
    r.time_ns,
    FALSE AS in_frame
  FROM _host_last(selector, metric) AS n
  INNER JOIN reading AS r
    ON
      n.run_id = r.run_id
      AND n.series_hash = r.series_hash
      AND n.time_ns = r.time_ns
      AND r.frame_span_id IS NULL
  WHERE CAST(n.start_ns - n.time_ns AS DOUBLE) / 1e9 <= max_age_s
  UNION ALL
  SELECT
    r.trace_id,
    r.frame_span_id AS span_id,
    r.name,
    r.attributes_json,
    r.unit,
    r.value,
    r.time_ns,
    TRUE AS in_frame
  FROM reading AS r
  WHERE r.frame_span_id IS NOT NULL
)

SELECT
  f.role,
  f.input_id,
  hex_id(f.trace_id) AS frame_trace_id,
  hex_id(f.span_id) AS frame_id,
  ts(f.start_ns) AS started,
  ms(f.dur_ns) AS dur_ms,
  s.name AS metric,
  s.attributes_json AS attributes,
  s.unit,
  s.value,
  s.in_frame,
  CAST(f.start_ns - s.time_ns AS DOUBLE) / 1e9 AS age_s
FROM frame AS f
INNER JOIN said AS s ON f.trace_id = s.trace_id AND f.span_id = s.span_id
QUALIFY row_number() OVER (
  PARTITION BY f.trace_id, f.span_id, s.name, s.unit, s.attributes_json
  ORDER BY s.in_frame DESC, s.time_ns DESC, s.value ASC
) = 1
ORDER BY f.role ASC, f.start_ns ASC, f.span_id ASC, s.name ASC, s.attributes_json ASC;

-- Least, mean and greatest of what the host and its sensors said during a build's runs.
--
-- A value that is not finite is no reading.
--
-- Arguments:
--   selector: build, run id or run ids.
--   metric: name of the metric, such as hw.temperature; empty for all.
-- Columns:
--   role VARCHAR: edge or reference.
--   model_name VARCHAR: model.
--   kernels VARCHAR: kernel family.
--   device VARCHAR: device model, or the device's id where the model is not known.
--   metric VARCHAR: name of the metric.
--   attributes VARCHAR: which core, sensor, place, as JSON; NULL without any.
--   unit VARCHAR: UCUM unit.
--   readings BIGINT: how often it was read.
--   min_value DOUBLE: least, in that unit.
--   mean_value DOUBLE: mean over the readings, in that unit.
--   max_value DOUBLE: greatest, in that unit.
CREATE OR REPLACE MACRO host_summary(selector := '', metric := '') AS TABLE
SELECT
  r.role,
  r.model_name,
  r.kernels,
  r.device,
  r.name AS metric,
  r.attributes_json AS attributes,
  r.unit,
  count(finite_or_null(r.value)) AS readings,
  min(finite_or_null(r.value)) AS min_value,
  avg(finite_or_null(r.value)) AS mean_value,
  max(finite_or_null(r.value)) AS max_value
FROM _host_readings(selector, metric) AS r
LEFT JOIN (
  SELECT DISTINCT
    f.trace_id,
    f.span_id
  FROM _frame_seen(selector) AS f
) AS f ON r.trace_id = f.trace_id AND r.frame_span_id = f.span_id
-- What was recorded in a frame counts with it: an unfinished set is invisible.
WHERE r.frame_span_id IS NULL OR f.span_id IS NOT NULL
GROUP BY
  r.role,
  r.model_name,
  r.model_sha256,
  r.kernels,
  r.device,
  r.name,
  r.attributes_json,
  r.unit
ORDER BY r.role, r.model_name, r.kernels, r.device, r.name, r.attributes_json, r.unit;
