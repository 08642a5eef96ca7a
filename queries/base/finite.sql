-- A number, or NULL where it is NaN or infinite: such values would take sums along.
--
-- Arguments:
--   x: a number.
-- Returns:
--   DOUBLE: the same, if finite.
CREATE OR REPLACE MACRO finite_or_null(x) AS CASE WHEN isfinite(CAST(x AS DOUBLE)) THEN x END;
