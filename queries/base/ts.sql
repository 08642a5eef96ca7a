-- Nanoseconds since 1970 as a timestamp.
--
-- Arguments:
--   ns: nanoseconds since 1970 UTC.
-- Returns:
--   TIMESTAMP: in UTC, cut to microseconds, the finest that every engine has.
CREATE OR REPLACE MACRO ts(ns) AS make_timestamp(CAST(ns AS BIGINT) // 1000);
