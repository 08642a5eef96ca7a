-- Signal to noise ratio of a tensor whose error has this share of the reference's energy.
--
-- Arguments:
--   nsr: squared norm of the error / squared norm of the reference, dimensionless.
-- Returns:
--   DOUBLE: dB, kept within -20 and 140: below lies noise of the sketch's float32, and an
--     equal tensor has no finite value.
CREATE OR REPLACE MACRO sqnr_db(nsr) AS
CASE
  -- said first, because least() and greatest() pass over NULL
  WHEN nsr IS NULL THEN CAST(NULL AS DOUBLE)
  WHEN nsr <= 1e-14 THEN CAST(140 AS DOUBLE)
  WHEN nsr >= 100 THEN CAST(-20 AS DOUBLE)
  ELSE -10 * log10(nsr)
END;
