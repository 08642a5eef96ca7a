-- What conversion, quantization and kernels each do to every layer: three joins, one table.
--
-- An int8 build against the model as trained differs in three ways at once. The two builds
-- between them take these apart: the same file on other kernels, and the float .tflite file.
-- A build that is not there is '': its steps are NULL. Compare each pair once before, so that
-- their layers are aligned.
--
-- Arguments:
--   edge: build, run id or run ids of the edge, int8.
--   other_kernels: the same file on the kernels that the float file ran on.
--   float_file: the float .tflite file.
--   reference: the model as trained.
-- Columns:
--   layer_index INTEGER: operator's index in the edge model.
--   layer_name VARCHAR: its name as the converter wrote it.
--   op VARCHAR: operator.
--   total_sqnr_db DOUBLE: edge against reference.
--   kernel_sqnr_db DOUBLE: edge against the same file on other kernels.
--   quantization_sqnr_db DOUBLE: that file, or the edge where there is none, against the
--     float file.
--   conversion_sqnr_db DOUBLE: float file against reference.
--   largest VARCHAR: kernel, quantization or conversion: the step that adds most error.
CREATE OR REPLACE MACRO layer_decomposition(
  edge := '', other_kernels := '', float_file := '', reference := ''
) AS TABLE
WITH
total AS MATERIALIZED (
  SELECT *
  FROM layer_divergence(edge, reference)
),

kernel AS (
  SELECT k.*
  FROM layer_divergence(edge, other_kernels) AS k
  WHERE other_kernels <> ''
),

quantization AS MATERIALIZED (
  SELECT q.*
  FROM layer_divergence(CASE WHEN other_kernels <> '' THEN other_kernels ELSE edge END, float_file)
    AS q
  WHERE float_file <> ''
),

conversion AS (
  SELECT c.*
  FROM layer_divergence(float_file, reference) AS c
  WHERE float_file <> ''
)

SELECT
  t.layer_index,
  t.layer_name,
  t.op,
  t.sqnr_db AS total_sqnr_db,
  k.sqnr_db AS kernel_sqnr_db,
  q.sqnr_db AS quantization_sqnr_db,
  c.sqnr_db AS conversion_sqnr_db,
  CASE least(k.sqnr_db, q.sqnr_db, c.sqnr_db)
    WHEN c.sqnr_db THEN 'conversion'
    WHEN q.sqnr_db THEN 'quantization'
    WHEN k.sqnr_db THEN 'kernel'
  END AS largest
FROM total AS t
LEFT JOIN kernel AS k ON t.layer_index = k.layer_index
LEFT JOIN quantization AS q ON t.layer_index = q.layer_index
LEFT JOIN conversion AS c ON q.reference_layer_index = c.layer_index
ORDER BY t.layer_index;
