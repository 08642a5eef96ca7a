"""What a connection knows is the same, whether defined anew or copied from where it was kept."""

import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exray.queries import connect_tables, library
from exray.queries.library import connection_with

if TYPE_CHECKING:
    import duckdb

STATEMENTS = (
    "CREATE TABLE rows (x INTEGER)",
    "CREATE MACRO twice(x) AS 2 * x",
    "CREATE VIEW doubled AS SELECT twice(x) AS y FROM rows",
)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where catalogs are kept, not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "exray"


def in_memory() -> "duckdb.DuckDBPyConnection":
    """Connect to nothing."""
    import duckdb

    return duckdb.connect(":memory:")


def refuse() -> "duckdb.DuckDBPyConnection":
    """Connect to what takes no definition."""

    class Refusing:
        def __init__(self) -> None:
            self.inner = in_memory()

        def execute(self, statement: str) -> object:
            assert not statement.startswith("CREATE"), "defined, though it is kept"
            return self.inner.execute(statement)

        def __getattr__(self, name: str) -> object:
            return getattr(self.inner, name)

    return Refusing()  # type: ignore[return-value] # pyright: ignore[reportReturnType] - as one


def ask(connect: "Callable[[], duckdb.DuckDBPyConnection]") -> list[tuple[int]]:
    """Put a row into what the statements define, and read it through the view."""
    connection = connection_with(connect, STATEMENTS)
    connection.execute("INSERT INTO rows VALUES (21)")
    return connection.execute("SELECT y FROM doubled").fetchall()


def definitions(connection: "duckdb.DuckDBPyConnection") -> list[tuple[str, str, list[str]]]:
    """Everything that a connection knows: name, parameters, and the words of its text.

    DuckDB writes the columns after ``EXCLUDE`` in any order, so the words come sorted.
    """
    found = connection.execute(
        "SELECT view_name, '', sql FROM duckdb_views() WHERE NOT internal"
        " UNION ALL SELECT function_name, parameters::VARCHAR, macro_definition"
        " FROM duckdb_functions() WHERE NOT internal"
    ).fetchall()
    return sorted(
        (name, args, sorted(re.findall(r"\w+", text or ""))) for name, args, text in found
    )


def test_what_was_defined_once_is_copied(kept: Path) -> None:
    assert ask(in_memory) == [(42,)]
    assert len([*kept.iterdir()]) == 1

    assert ask(refuse) == [(42,)]


def test_a_copied_library_is_the_defined_one(kept: Path) -> None:
    with connect_tables({}) as connection:
        defined = definitions(connection)
    assert len([*kept.iterdir()]) == 1
    with connect_tables({}) as connection:
        copied = definitions(connection)

    assert len(defined) > 100
    assert copied == defined


def test_other_statements_are_another_library(kept: Path) -> None:
    ask(in_memory)

    other = connection_with(in_memory, (*STATEMENTS, "CREATE VIEW one AS SELECT 1 AS x"))

    assert other.execute("SELECT x FROM one").fetchall() == [(1,)]
    assert len([*kept.iterdir()]) == 2


@pytest.mark.parametrize("found", [b"", b"no database", b"\0" * 20_000, None])
def test_a_damaged_file_is_written_anew(kept: Path, found: bytes | None) -> None:
    ask(in_memory)
    (file,) = kept.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if found is None else found)

    assert ask(in_memory) == [(42,)]
    assert ask(refuse) == [(42,)]


def test_where_nothing_can_be_kept_the_library_is_defined(kept: Path) -> None:
    kept.write_text("a file where the folder should be")

    assert ask(in_memory) == [(42,)]
    assert ask(in_memory) == [(42,)]
    assert kept.read_text() == "a file where the folder should be"


def test_a_write_that_costs_the_connection_costs_no_answer(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import duckdb

    def keep(connection: "duckdb.DuckDBPyConnection", _: Path) -> None:
        connection.close()
        msg = "no space left"
        raise duckdb.IOException(msg)

    monkeypatch.setattr(library, "_keep", keep)
    assert ask(in_memory) == [(42,)]
    assert not kept.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_a_folder_that_may_not_be_looked_into_is_as_none(kept: Path) -> None:
    kept.parent.chmod(0o700)
    os.seteuid(65534)
    try:
        assert ask(in_memory) == [(42,)]
    finally:
        os.seteuid(0)
    assert not kept.exists()


def test_many_at_once_leave_one_whole_file(kept: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert {*map(tuple, pool.map(lambda _: ask(in_memory), range(16)))} == {((42,),)}

    assert len([*kept.iterdir()]) == 1
    assert ask(refuse) == [(42,)]


def test_what_was_written_a_month_ago_goes(kept: Path) -> None:
    kept.mkdir()
    old, young, foreign = (kept / name for name in ("queries-0.duckdb", "queries-1.duckdb", "own"))
    month_ago_s = time.time() - 31 * 24 * 3600
    for file in (old, young, foreign):
        file.touch()
        if file != young:
            os.utime(file, (month_ago_s, month_ago_s))

    ask(in_memory)

    assert not old.exists()
    assert young.exists()
    assert foreign.exists()
