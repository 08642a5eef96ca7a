-- An id as text, the way every view shows it.
--
-- Arguments:
--   id: 16 or 8 bytes.
-- Returns:
--   VARCHAR: lower-case hex digits.
CREATE OR REPLACE MACRO hex_id(id) AS lower(hex(id));
