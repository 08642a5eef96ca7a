-- Time that a delegate spends on operators of its own, such as conversions and copies.
--
-- Arguments:
--   selector: build, run id or run ids.
-- Columns:
--   extra_ms DOUBLE: mean time of such operators in a frame, ms; NULL where none was told.
--   extra_ratio DOUBLE: the same as a share of the model's mean time.
CREATE OR REPLACE MACRO delegate_copy(selector := '') AS TABLE
WITH
extra AS (
  SELECT avg(m.value) / 1e6 AS extra_ms
  FROM metrics AS m
  INNER JOIN _run_selected(selector, '') AS s ON m.run_id = s.run_id
  WHERE m.name = 'exray.profiler.extra_ns'
),

model AS (
  SELECT weighted_mean(i.mean_ms, i.inferences) AS mean_ms
  FROM inference_latency(selector) AS i
)

SELECT
  x.extra_ms,
  x.extra_ms / nullif(y.mean_ms, 0) AS extra_ratio
FROM extra AS x
CROSS JOIN model AS y;
