-- Nanoseconds as milliseconds.
--
-- Arguments:
--   ns: a duration, ns.
-- Returns:
--   DOUBLE: the same in ms.
CREATE OR REPLACE MACRO ms(ns) AS CAST(ns AS DOUBLE) / 1e6;
