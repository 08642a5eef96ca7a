"""Scenes over lakes that a test makes; the SQL library is loaded once for all of them."""

import atexit
from functools import cache

import duckdb

from exray.diagnosis.causes import Replay, Scene
from exray.diagnosis.diagnose import make_scene
from exray.lake import Lake
from exray.queries.engine import connect_tables, show_lake
from exray.queries.interrupt import Watch


@cache
def _library() -> duckdb.DuckDBPyConnection:
    connection = connect_tables({})
    atexit.register(connection.close)  # left open, its Python function is reported as a leak
    return connection


def open_scene(
    lake: Lake, edge: str = "e", reference: str = "r", baseline: str | None = None
) -> Scene:
    """Return the scene of these builds, valid until the next one is opened."""
    connection = _library()
    show_lake(connection, lake)
    chosen: dict[str, str | None] = {"model": None, "device": None, "kernels": None}
    return make_scene(lake, connection, Watch(), (edge, reference, baseline), chosen, Replay())
