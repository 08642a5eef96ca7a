-- Time of one execution of a model.
--
-- Only frames at level latency count where there are any, because summaries take time. Each
-- counts as the frames that it stands for, 1 / sample rate; quantiles are values that occur.
--
-- Arguments:
--   selector: build, run id or run ids.
-- Columns:
--   role VARCHAR: edge or reference.
--   model_name VARCHAR: model.
--   kernels VARCHAR: kernel family.
--   device VARCHAR: device model, or the device's id where the model is not known.
--   inferences BIGINT: executions counted.
--   effective_inferences DOUBLE: equally weighted executions that would say as much.
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
  weighted_count(s.weight) AS effective_inferences,
  weighted_mean(ms(s.dur_ns), s.weight) AS mean_ms,
  weighted_quantile(ms(s.dur_ns), s.upto, s.total, 0.5) AS p50_ms,
  weighted_quantile(ms(s.dur_ns), s.upto, s.total, 0.99) AS p99_ms,
  max(ms(s.dur_ns)) AS max_ms,
  bool_or(s.inflated) AS inflated
FROM _stage_spans(selector) AS s
WHERE s.name = 'inference'
GROUP BY s.role, s.model_name, s.model_sha256, s.kernels, s.device
ORDER BY s.role, s.model_name, s.kernels, s.device;
