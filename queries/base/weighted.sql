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
