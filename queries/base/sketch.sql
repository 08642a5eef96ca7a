-- Fold a sketch to fewer values, each the sum of as many neighbours.
--
-- A tensor's short sketch is the fold of its long one, so sketches of different lengths can
-- be compared at the shorter.
--
-- Arguments:
--   sketch: a sketch.
--   size: values wanted.
-- Returns:
--   DOUBLE[]: the same where it has as many; NULL where size does not divide its length.
CREATE OR REPLACE MACRO sketch_fold(sketch, size) AS
CASE
  WHEN len(sketch) = size THEN CAST(sketch AS DOUBLE[])
  WHEN len(sketch) % nullif(size, 0) = 0
    THEN list_transform(
      range(0, CAST(size AS BIGINT)),
      LAMBDA i: list_sum(
        CAST(
          sketch[
            CAST(i * (len(sketch) // nullif(size, 0)) + 1 AS BIGINT):
            CAST((i + 1) * (len(sketch) // nullif(size, 0)) AS BIGINT)
          ] AS DOUBLE[]
        )
      )
    )
END;

-- Squared distance of two sketches of one length, NULL where they differ in it.
CREATE OR REPLACE MACRO _sketch_sqdist(a, b) AS
CASE
  WHEN len(a) = len(b)
    THEN pow(list_distance(CAST(a AS DOUBLE[]), CAST(b AS DOUBLE[])), 2)
END;

-- Estimate the squared distance of two tensors from their sketches.
--
-- The longer sketch is folded to the length of the shorter.
--
-- Arguments:
--   a: sketch of one tensor.
--   b: sketch of the other, same family.
-- Returns:
--   DOUBLE: squared distance in the tensors' unit; NULL where one length does not divide the
--     other.
CREATE OR REPLACE MACRO sketch_sqdist(a, b) AS
_sketch_sqdist(
  sketch_fold(a, least(len(a), len(b))), sketch_fold(b, least(len(a), len(b)))
);

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
