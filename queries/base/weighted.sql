-- Mean over rows that stand for different numbers of frames; an aggregate.
--
-- Arguments:
--   x: a number; rows where it is NULL do not count.
--   weight: frames that the row stands for.
-- Returns:
--   DOUBLE: in the unit of x; NULL without rows.
CREATE OR REPLACE MACRO weighted_mean(x, weight) AS
sum(CAST(x AS DOUBLE) * weight) / sum(weight) FILTER (WHERE x IS NOT NULL);

-- Number of equally weighted rows that would say as much; an aggregate.
--
-- Arguments:
--   weight: frames that the row stands for.
-- Returns:
--   DOUBLE: at most the number of rows, equal to it where all weights are equal.
CREATE OR REPLACE MACRO weighted_count(weight) AS
sum(weight) * sum(weight) / sum(weight * weight);

-- Quantile over rows that stand for different numbers of frames; an aggregate.
--
-- The least value up to which a share q of all frames lies; nothing is interpolated.
--
-- Arguments:
--   x: a number.
--   upto: frames that the rows with less, and this one, stand for; NULL where x is.
--   total: frames that all rows stand for.
--   q: share, above 0 and at most 1.
-- Returns:
--   DOUBLE: in the unit of x; NULL without rows.
CREATE OR REPLACE MACRO weighted_quantile(x, upto, total, q) AS
-- less a rounding error of the two sums
min(CAST(x AS DOUBLE)) FILTER (WHERE upto >= q * total * (1 - 1e-9));
