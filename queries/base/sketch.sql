-- Estimate the squared distance of two tensors from their sketches.
--
-- Arguments:
--   a: sketch of one tensor.
--   b: sketch of the other, same family.
-- Returns:
--   DOUBLE: squared distance in the tensors' unit; NULL where the sketches differ in length.
CREATE OR REPLACE MACRO sketch_sqdist(a, b) AS
CASE
  WHEN len(a) = len(b)
    THEN pow(list_distance(CAST(a AS DOUBLE[]), CAST(b AS DOUBLE[])), 2)
END;

-- Inner product of two sketches.
--
-- Its error is relative to the tensors, not to their difference: for distances use
-- sketch_sqdist.
--
-- Arguments:
--   a: sketch of one tensor.
--   b: sketch of the other, same family.
-- Returns:
--   DOUBLE: in the tensors' unit squared; NULL where the sketches differ in length.
CREATE OR REPLACE MACRO sketch_dot(a, b) AS
CASE
  WHEN len(a) = len(b)
    THEN list_inner_product(CAST(a AS DOUBLE[]), CAST(b AS DOUBLE[]))
END;

-- Estimate the cosine of the angle between two tensors.
--
-- 1 - ||Sa/|a| - Sb/|b|||^2 / 2, with the norms exact: as with distances the error is
-- relative to 1 - cosine, so that nearly equal tensors are told apart.
--
-- Arguments:
--   a: sketch of one tensor.
--   a_sum2: its sum of squares, exact.
--   b: sketch of the other, same family.
--   b_sum2: its sum of squares, exact.
-- Returns:
--   DOUBLE: -1 to 1; NULL where a tensor is all zero, for zero has no direction.
CREATE OR REPLACE MACRO sketch_cosine(a, a_sum2, b, b_sum2) AS
CASE
  WHEN a_sum2 > 0 AND b_sum2 > 0 AND len(a) = len(b)
    THEN greatest(
      CAST(-1 AS DOUBLE),
      1 - 0.5 * (
        sketch_dot(a, a) / a_sum2
        + sketch_dot(b, b) / b_sum2
        - 2 * sketch_dot(a, b) / (sqrt(a_sum2) * sqrt(b_sum2))
      )
    )
END;
