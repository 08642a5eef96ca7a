"""A lake opened for one piece of work: alone, beside others, without some inputs."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exray.diagnosis.opening import with_lake
from exray.lake import Lake
from exray.queries.interrupt import Watch
from exray.schema.errors import LakeError
from exray.schema.identity import input_key

from .lakes import Recording, make_graph, make_lake, make_values

if TYPE_CHECKING:
    import duckdb


def lake(path: Path, build: str) -> Lake:
    """Return a lake of a build that saw three inputs."""
    recording = Recording(make_graph("aa", ["stem"]), build)
    for frame in range(3):
        recording.add(f"{frame}.png", make_values(frame), {0: make_values(frame)})
    make_lake(path, recording)
    return Lake.open(path)


def counts(connection: "duckdb.DuckDBPyConnection", watch: Watch) -> list[tuple[str, int, int]]:
    """Return builds with their frames and the inputs of which tensors are shown."""
    return connection.execute(
        "SELECT f.build, count(DISTINCT f.span_id), count(DISTINCT t.input_key) FROM frames AS f"
        " INNER JOIN tensors AS t ON f.span_id = t.frame_span_id GROUP BY f.build ORDER BY f.build"
    ).fetchall()


def test_inputs_that_are_to_be_hidden_do_not_show_in_any_lake(tmp_path: Path) -> None:
    first, second = lake(tmp_path / "a", "a"), lake(tmp_path / "b", "b")
    assert with_lake(first, "a test", counts) == [("a", 3, 3)]
    assert with_lake(first, "a test", counts, beside=[second]) == [("a", 3, 3), ("b", 3, 3)]
    hidden = [input_key("1.png")]
    found = with_lake(first, "a test", counts, beside=[second], without=hidden)
    assert found == [("a", 2, 2), ("b", 2, 2)]


def test_a_damaged_lake_is_an_error_that_names_it(tmp_path: Path) -> None:
    damaged = lake(tmp_path / "a", "a")
    for file in (tmp_path / "a").rglob("*.parquet"):
        file.write_bytes(b"nothing")
    with pytest.raises(LakeError, match=r"a' cannot be read: .*Restore the file from a copy\."):
        with_lake(damaged, "a test", counts)
