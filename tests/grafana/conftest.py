"""One fleet for all tests of the component: its rollups take seconds."""

from collections.abc import Generator

import duckdb
import pytest

from exray.lake import Lake
from exray.queries import connect

from .fleets import make_fleet


@pytest.fixture(scope="session")
def fleet_lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return make_fleet(tmp_path_factory.mktemp("fleet") / "lake")


@pytest.fixture(scope="session")
def fleet(fleet_lake: Lake) -> Generator[duckdb.DuckDBPyConnection]:
    connection = connect(fleet_lake)
    yield connection
    connection.close()
