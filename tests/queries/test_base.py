"""Scalar macros on literal values."""

from collections.abc import Generator

import duckdb
import numpy as np
import pytest

from exray.queries import connect_tables
from exray.schema.sketch import fold, sketch


@pytest.fixture(scope="module")
def connection() -> Generator[duckdb.DuckDBPyConnection]:
    connection = connect_tables({})
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("sqnr_db(0.01)", 20.0),
        ("sqnr_db(0)", 140.0),
        ("sqnr_db(1e-15)", 140.0),
        ("sqnr_db(1e6)", -20.0),
        ("sqnr_db(NULL)", None),
        ("finite_or_null('nan'::DOUBLE)", None),
        ("finite_or_null('-inf'::DOUBLE)", None),
        ("finite_or_null(2.5)", 2.5),
        ("ms(1500000)", 1.5),
        ("hex_id('\\x0A\\xFF'::BLOB)", "0aff"),
        ("sketch_sqdist([1.0, 2.0]::FLOAT[], [4.0, 6.0]::FLOAT[])", 25.0),
        ("sketch_sqdist([1.0]::FLOAT[], [4.0, 6.0]::FLOAT[])", 81.0),
        ("sketch_sqdist([4.0, 6.0]::FLOAT[], [1.0]::FLOAT[])", 81.0),
        ("sketch_sqdist([1.0, 2.0, 3.0]::FLOAT[], [4.0, 6.0]::FLOAT[])", None),
        ("sketch_sqdist([]::FLOAT[], [4.0, 6.0]::FLOAT[])", None),
        ("sketch_dot([2.0]::FLOAT[], [4.0, 6.0]::FLOAT[])", None),
        ("sketch_fold([1.0, 2.0, 3.0, 4.0]::FLOAT[], 2)", [3.0, 7.0]),
        ("sketch_fold([1.0, 2.0]::FLOAT[], 2)", [1.0, 2.0]),
        ("sketch_fold([1.0, 2.0, 3.0]::FLOAT[], 2)", None),
        ("sketch_fold([1.0, 2.0]::FLOAT[], 4)", None),
        ("sketch_fold(NULL::FLOAT[], 4)", None),
        ("sketch_sqdist(NULL::FLOAT[], [4.0]::FLOAT[])", None),
        ("sketch_dot([1.0, 2.0]::FLOAT[], [4.0, 6.0]::FLOAT[])", 16.0),
        ("sketch_cosine([3.0, 4.0]::FLOAT[], 25, [6.0, 8.0]::FLOAT[], 100)", 1.0),
        ("sketch_cosine([3.0]::FLOAT[], 9, [-3.0]::FLOAT[], 9)", -1.0),
        ("sketch_cosine([0.0]::FLOAT[], 0, [1.0]::FLOAT[], 1)", None),
        ("_frame_right('3', [3, 1])", True),
        ("_frame_right('1', [3, 1])", False),
        ("_frame_right('cat', [3, 1])", None),
        ("_frame_right('3', NULL::INTEGER[])", None),
        ("_frame_right(NULL, [3])", None),
        ("_tensor_nsr(4.0, 16.0)", 0.25),
        ("_tensor_nsr(0.0, 0.0)", 0.0),
        ("_tensor_nsr(4.0, 0.0)", 100.0),
        ("_tensor_nsr(NULL, 16.0)", None),
    ],
)
def test_scalar_macro(
    expression: str, expected: object, connection: duckdb.DuckDBPyConnection
) -> None:
    row = connection.execute(f"SELECT {expression}").fetchone()
    assert row is not None
    if isinstance(expected, float):
        assert row[0] == pytest.approx(expected)
    else:
        assert row[0] == expected


def test_sketch_fold_is_that_of_the_definition(connection: duckdb.DuckDBPyConnection) -> None:
    whole = sketch(np.arange(1000.0), 3)
    rows = connection.execute("SELECT sketch_fold($s, 16)", {"s": whole.tolist()}).fetchall()
    np.testing.assert_allclose(rows[0][0], fold(whole, 16))


def test_ts_cuts_to_microseconds(connection: duckdb.DuckDBPyConnection) -> None:
    row = connection.execute("SELECT CAST(ts(1760000000123456789) AS VARCHAR)").fetchone()
    assert row == ("2025-10-09 08:53:20.123456",)


def test_huge_elements_do_not_overflow_the_distance(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    row = connection.execute("SELECT sketch_sqdist([1e30]::FLOAT[], [0.0]::FLOAT[])").fetchone()
    assert row is not None
    assert row[0] == pytest.approx(1e60)


def test_weighted_mean_passes_over_null(connection: duckdb.DuckDBPyConnection) -> None:
    rows = "(VALUES (1.0::DOUBLE, 1.0::DOUBLE), (4.0, 2.0), (NULL, 50.0)) AS t(x, w)"
    row = connection.execute(f"SELECT weighted_mean(x, w) FROM {rows}").fetchone()
    assert row == (3.0,)


@pytest.mark.parametrize(("weights", "expected"), [("(2.0), (2.0)", 2.0), ("(1.0), (3.0)", 1.6)])
def test_weighted_count_is_the_effective_number(
    weights: str, expected: float, connection: duckdb.DuckDBPyConnection
) -> None:
    query = f"SELECT weighted_count(CAST(w AS DOUBLE)) FROM (VALUES {weights}) AS t(w)"
    assert connection.execute(query).fetchone() == (expected,)


@pytest.mark.parametrize(
    ("q", "expected"), [(0.1, 1.0), (0.2, 1.0), (0.21, 5.0), (0.99, 5.0), (1.0, 9.0)]
)
def test_weighted_quantile_is_the_least_value_that_has_the_share_up_to_it(
    q: float, expected: float, connection: duckdb.DuckDBPyConnection
) -> None:
    """Of 100 frames 20 take 1, 79 take 5 and one takes 9."""
    rows = "(VALUES (1.0, 20.0::DOUBLE), (5.0, 99.0), (9.0, 100.0)) AS t(x, upto)"
    row = connection.execute(f"SELECT weighted_quantile(x, upto, 100, {q}) FROM {rows}").fetchone()
    assert row == (expected,)


def test_sketch_ones_is_the_sketch_of_ones(connection: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT sketch_ones(count, 5, size) FROM (VALUES (700, 64), (3, 256)) AS t(count, size)"
    rows = connection.execute(query).fetchall()
    assert np.allclose(rows[0][0], fold(sketch(np.ones(700), 5), 64))
    assert np.allclose(rows[1][0], sketch(np.ones(3), 5))


def test_sketch_ones_of_nothing_is_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT sketch_ones(count, 5, 64) FROM (SELECT 1 AS count WHERE false)"
    assert connection.execute(query).fetchall() == []
    assert connection.execute("SELECT sketch_ones(NULL, 5, 64)").fetchall() == [(None,)]
