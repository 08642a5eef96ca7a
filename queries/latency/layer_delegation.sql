-- Layers as a delegate took them, or left them to the processor.
--
-- Only frames at level latency tell: where tensors are recorded, each operator is a
-- partition of its own. A layer is delegated if the delegate's own profiler timed it; one that the
-- delegate took alone, in a partition of one operator, is timed from outside and counts as left.
--
-- Arguments:
--   selector: build, run id or run ids.
-- Columns:
--   layer_index INTEGER: operator's index in the model.
--   layer_name VARCHAR: its name as the converter wrote it.
--   op VARCHAR: operator.
--   delegated BOOLEAN: whether it ran inside a delegate.
--   time_ratio DOUBLE: share of the time of all measured layers.
--   delegate_partition BIGINT: number of its partition, from 1; NULL where not delegated.
CREATE OR REPLACE MACRO layer_delegation(selector := '') AS TABLE
WITH
layer AS (
  SELECT
    t.layer_index,
    any_value(t.layer_name) AS layer_name,
    any_value(t.op) AS op,
    bool_or(t.timing = 'xnnpack') AS delegated,
    sum(t.dur_ms * t.weight) AS total_ms
  FROM _layer_timed(selector) AS t
  LEFT JOIN graphs AS g
    ON t.model_sha256 = g.model_sha256
    AND t.layer_index = g.layer_index
    AND g.subgraph_index = 0
  WHERE t.level = 'latency' AND t.kernels = 'xnnpack' AND g.excluded_reason IS NULL
  GROUP BY t.layer_index
),

-- A partition goes on until an operator is left: how many were left before it names it.
numbered AS (
  SELECT
    y.*,
    sum(CAST(NOT y.delegated AS INTEGER)) OVER (
      ORDER BY y.layer_index ROWS UNBOUNDED PRECEDING
    ) AS left_before
  FROM layer AS y
)

SELECT
  n.layer_index,
  n.layer_name,
  n.op,
  n.delegated,
  n.total_ms / nullif(sum(n.total_ms) OVER (), 0) AS time_ratio,
  CASE
    WHEN n.delegated
      THEN dense_rank() OVER (PARTITION BY n.delegated ORDER BY n.left_before)
  END AS delegate_partition
FROM numbered AS n
ORDER BY n.layer_index;
