"""A lake that grows and is compacted while it is asked."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from exray.grafana.wire.database import LakeDatabase
from exray.grafana.wire.execution import Execution, Request
from exray.grafana.wire.settings import Limits
from exray.lake import Lake
from exray.schema.arrow import arrow_schema
from exray.schema.errors import LakeError

from .servers import serving

ROWS = 30_000
"""More than one batch."""


def frames(first: int, rows: int = ROWS) -> pa.Table:
    """Return frames that say nothing but that each is another one."""
    schema = arrow_schema("frames")
    spans = [number.to_bytes(8) for number in range(first, first + rows)]
    values: dict[str, list[object]] = {field.name: [_something(field)] * rows for field in schema}
    values |= {"span_id": list(spans), "trace_id": [b"12345678" + span for span in spans]}
    values |= {"role": ["edge"] * rows, "dt": ["2026-02-01"] * rows}
    return pa.table(values, schema=schema)


def _something(field: "pa.Field[Any]") -> object:
    if pa.types.is_fixed_size_binary(field.type):
        return b"x" * field.type.byte_width
    if pa.types.is_string(field.type):
        return "x"
    return [] if pa.types.is_list(field.type) else 0


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open_or_create(tmp_path / "it's a [lake]")


@pytest.fixture
def database(lake: Lake) -> LakeDatabase:
    return LakeDatabase(lake, Limits())


def count(database: LakeDatabase) -> int:
    execution = Execution(database)
    execution.open(Request("SELECT count(*) FROM _frames"))
    return int(execution.read().data[11:])


def test_an_empty_lake_has_empty_tables(database: LakeDatabase) -> None:
    assert count(database) == 0


def test_the_next_statement_sees_what_was_committed(lake: Lake, database: LakeDatabase) -> None:
    assert count(database) == 0
    lake.append({"frames": frames(0)})
    assert count(database) == ROWS
    lake.append({"frames": frames(ROWS)})
    assert count(database) == 2 * ROWS


def test_views_are_made_again_only_for_news(lake: Lake, database: LakeDatabase) -> None:
    generation = database.generation
    assert (count(database), count(database)) == (0, 0)
    assert database.generation == generation
    lake.append({"frames": frames(0, 1)})
    assert (count(database), count(database)) == (1, 1)
    assert database.generation == generation + 1


def test_a_statement_goes_on_with_what_it_began_with(lake: Lake, database: LakeDatabase) -> None:
    for first in (0, ROWS):
        lake.append({"frames": frames(first)})
    execution = Execution(database)
    execution.open(Request("SELECT span_id FROM _frames"))
    rows = execution.read(10).rows
    lake.append({"frames": frames(2 * ROWS)})
    DeltaTable(str(lake.path / "frames")).optimize.compact()
    assert len(lake.files("frames")) == 1
    assert count(database) == 3 * ROWS
    while not execution.is_closed:
        rows += execution.read().rows
    assert rows == 2 * ROWS


def test_rows_read_beforehand_are_given_once_and_in_order(database: LakeDatabase) -> None:
    statement = Request("SELECT a, nullif(a % 7, 3) AS b, 'ü' || a % 11 FROM range(9000) AS t(a)")
    whole, parts = Execution(database), Execution(database)
    whole.open(statement)
    parts.open(statement)
    assert parts.first(3) is None  # more rows are there than these
    assert parts.read(3).rows == 3
    assert parts.first() is None
    assert whole.first() is not None
    assert whole.first() is None
    for few in (1, 50, 611):
        assert read_all(statement, database, few) == read_all(statement, database, 0)


def test_a_result_read_beforehand_needs_no_thread(database: LakeDatabase) -> None:
    execution = Execution(database)
    execution.open(Request("SELECT a FROM range(3) AS t(a)"))
    assert not execution.is_closed
    piece = execution.first(3)
    assert piece is not None
    assert (piece.rows, piece.is_last, execution.is_closed) == (3, True, True)


def read_all(statement: Request, database: LakeDatabase, max_rows: int) -> bytes:
    execution, data = Execution(database), b""
    execution.open(statement)
    while not execution.is_closed:
        piece = execution.read(max_rows)
        assert not 0 < max_rows < piece.rows
        data += piece.data
    return data


def test_a_damaged_log_is_an_error_and_heals(lake: Lake, database: LakeDatabase) -> None:
    lake.append({"frames": frames(0, 5)})
    (commit,) = (lake.path / "frames" / "_delta_log").glob("*1.json")
    content = commit.read_bytes()
    commit.write_bytes(b"damaged")
    with pytest.raises(LakeError, match="Delta log"):
        count(database)
    commit.write_bytes(content)
    assert count(database) == 5


def test_files_that_are_gone_are_an_error_of_the_statement_alone(lake: Lake) -> None:
    lake.append({"frames": frames(0, 5)})
    with serving(lake) as running, running.connect() as connection:
        (file,) = lake.files("frames")
        content = Path(file).read_bytes()
        Path(file).unlink()
        with pytest.raises(Exception, match=r"No files found|Cannot open"):
            connection.execute("SELECT count(build) FROM frames")
        Path(file).write_bytes(content)
        assert connection.execute("SELECT count(build) FROM frames").fetchone() == (5,)


def test_what_cannot_be_shown_is_an_error_that_says_so(lake: Lake) -> None:
    lake.append({"frames": frames(0, 1)})
    (file,) = lake.files("frames")
    Path(file).write_bytes(b"no Parquet")
    with pytest.raises(LakeError, match="tables cannot be shown"):
        LakeDatabase(lake, Limits())
