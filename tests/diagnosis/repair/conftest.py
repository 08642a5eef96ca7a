"""What every test of repairs shares."""

import atexit
from collections.abc import Generator
from functools import cache

import duckdb
import pytest

from exray.diagnosis import opening
from exray.lake import Lake
from exray.queries.engine import connect_tables, show_lake


@cache
def _library() -> duckdb.DuckDBPyConnection:
    connection = connect_tables({})
    atexit.register(connection.close)  # left open, its Python function is reported as a leak
    return connection


def connect_again(lake: Lake) -> duckdb.DuckDBPyConnection:
    """Open a lake without loading the SQL library anew: a repair opens several."""
    show_lake(_library(), lake)
    return _library().cursor()


@pytest.fixture(scope="module", autouse=True)
def _library_once() -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "connect", connect_again)
        yield
