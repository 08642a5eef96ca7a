-- Time of one execution of a model.
--
-- Quantiles are exact. Only frames at level latency count where there are any, because
-- summaries take time.
--
-- Arguments:
--   selector: build, run id or run ids.
-- Columns:
--   role VARCHAR: edge or reference.
--   model_name VARCHAR: model.
--   kernels VARCHAR: kernel family.
--   device VARCHAR: device model, or the device's id where the model is not known.
--   inferences BIGINT: executions counted.
--   mean_ms DOUBLE: mean, ms.
--   p50_ms DOUBLE: median, ms.
--   p99_ms DOUBLE: 99th percentile, ms.
--   max_ms DOUBLE: longest, ms.
--   inflated BOOLEAN: whether the times include summaries, for want of others.
CREATE OR REPLACE MACRO inference_latency(selector := '') AS TABLE
SELECT
  s.role,
  s.model_name,
  s.kernels,
  s.device,
  count(*) AS inferences,
  avg(ms(s.dur_ns)) AS mean_ms,
  quantile_cont(ms(s.dur_ns), 0.5) AS p50_ms,
  quantile_cont(ms(s.dur_ns), 0.99) AS p99_ms,
  max(ms(s.dur_ns)) AS max_ms,
  bool_or(s.inflated) AS inflated
FROM _stage_spans(selector) AS s
WHERE s.name = 'inference' AND s.span_run_id = s.run_id
GROUP BY s.role, s.model_name, s.model_sha256, s.kernels, s.device
ORDER BY s.role, s.model_name, s.kernels, s.device;
