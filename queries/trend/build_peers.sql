-- Builds of one kind: those with the role, model's name, kernels and device model of the
-- selected one, itself included, the oldest first.
--
-- Arguments:
--   selector: build, run id or run ids.
-- Columns:
--   build VARCHAR: build that shipped.
--   run_ids VARCHAR: its runs of that kind, hex, separated by commas, the oldest first.
--   started TIMESTAMP: start of the first of them, UTC.
--   selected BOOLEAN: whether it is the selected one.
CREATE OR REPLACE MACRO build_peers(selector := '') AS TABLE
WITH
chosen AS MATERIALIZED (
  SELECT
    s.build,
    s.role,
    s.model_name,
    s.kernels,
    s.device
  FROM _run_selected(selector) AS s
),

kind AS (
  SELECT DISTINCT
    c.role,
    c.model_name,
    c.kernels,
    c.device
  FROM chosen AS c
)

SELECT
  r.build,
  string_agg(hex_id(r.run_id), ',' ORDER BY r.started_ns, r.run_id) AS run_ids,
  ts(min(r.started_ns)) AS started,
  r.build IN (SELECT c.build FROM chosen AS c) AS selected
FROM runs AS r
INNER JOIN kind AS k
  ON r.role = k.role
  AND r.model_name = k.model_name
  AND r.kernels = k.kernels
  AND coalesce(nullif(r.device_model, ''), r.device_id) = k.device
GROUP BY r.build
ORDER BY min(r.started_ns), r.build;
