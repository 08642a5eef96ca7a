-- What the library has in Python elsewhere, in SQL alone, for a DuckDB that exray does not run.

-- The float32 that these 32 bits are; NULL for what is not finite.
CREATE OR REPLACE MACRO _float32(bits) AS
CASE
  WHEN (bits // 8388608) % 256 = 255 THEN NULL
  WHEN (bits // 8388608) % 256 = 0
    THEN CAST(
      (CASE WHEN bits >= 2147483648 THEN -1 ELSE 1 END)
      * CAST(bits % 8388608 AS DOUBLE) * pow(2, -149) AS FLOAT
    )
  ELSE CAST(
    (CASE WHEN bits >= 2147483648 THEN -1 ELSE 1 END)
    * (1 + CAST(bits % 8388608 AS DOUBLE) / 8388608)
    * pow(2, CAST((bits // 8388608) % 256 AS DOUBLE) - 127) AS FLOAT
  )
END;

-- A packed list as hex digits, eight for each float32, its least byte first.
CREATE OR REPLACE MACRO _packed_hex(packed) AS
hex(from_base64(string_split(packed, ':')[2]));

-- Read a packed list: a version, a colon, and base64 of little-endian float32.
CREATE OR REPLACE MACRO float32_list(packed) AS
list_transform(
  regexp_extract_all(_packed_hex(packed), '(..)(..)(..)(..)'),
  LAMBDA word: _float32(
    CAST('0x' || word[7:8] || word[5:6] || word[3:4] || word[1:2] AS BIGINT)
  )
);

-- The affine fit of model inputs, which alone needs this, is left out: it has no value.
CREATE OR REPLACE MACRO sketch_ones(elements, family, size) AS
list_transform(range(CAST(size AS BIGINT)), LAMBDA i: CAST(NULL AS DOUBLE));
