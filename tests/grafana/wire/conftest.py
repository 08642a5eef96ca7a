"""One server for all tests that leave it as it was."""

from collections.abc import Generator

import pytest

from exray.lake import Lake

from .servers import Connection, Running, serving


@pytest.fixture(scope="session")
def wire(fleet_lake: Lake) -> Generator[Running]:
    with serving(fleet_lake) as running:
        yield running


@pytest.fixture
def connection(wire: Running) -> Generator[Connection]:
    with wire.connect() as connected:
        yield connected
