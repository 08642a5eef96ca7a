import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from exray.cli import make_app
from exray.collector.ingest import ingest_file
from exray.exporters.otlp_settings import Signal
from exray.exporters.typing import RecordBatch
from exray.exporters.wire import varint
from exray.lake import Lake
from exray.queries.engine import connect
from exray.schema.errors import UsageError
from exray.schema.records import MetricRecord

from ..exporters.builders import START_NS, make_graph, make_run
from ..exporters.frames import carried_frame
from .drained import fill, rows_of
from .test_requests import json_of, requests_of

Requests = list[tuple[Signal, bytes]]


def requests_of_frames(*numbers: int) -> Requests:
    run = make_run()
    frames = tuple(carried_frame(number) for number in numbers)
    metric = MetricRecord(name="load", value=1.0, time_ns=START_NS, run=run)
    return requests_of(RecordBatch((run,), (make_graph(),), frames, (), (metric,)))


def as_json(requests: Requests) -> bytes:
    return b"".join(json_of(signal, body) + b"\n" for signal, body in requests)


def as_collector_protobuf(requests: Requests) -> bytes:
    return b"".join(struct.pack(">I", len(body)) + body for _, body in requests)


def as_delimited_protobuf(requests: Requests) -> bytes:
    return b"".join(varint(len(body)) + body for _, body in requests)


def as_packed_json(requests: Requests) -> bytes:
    return gzip.compress(as_json(requests))


WRITERS = [as_json, as_collector_protobuf, as_delimited_protobuf, as_packed_json]


def rows(lake: Path) -> dict[str, int]:
    connection = connect(Lake.open(lake))
    tables = ("frames", "layer_spans", "tensors", "spans", "runs", "graphs", "metrics", "logs")
    return {
        name: int(connection.sql(f"SELECT count(*) FROM _{name}").fetchall()[0][0])
        for name in tables
    }


ROWS_OF_TWO = {
    "frames": 2,
    "layer_spans": 6,
    "tensors": 8,
    "spans": 4,
    "runs": 1,
    "graphs": 1,
    "metrics": 1,
    "logs": 0,
}


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_of_any_kind_gives_all_its_rows_and_gives_them_once(
    tmp_path: Path, write: Callable[[Requests], bytes]
) -> None:
    file, lake = tmp_path / "otlp.file", Lake.open_or_create(tmp_path / "lake")
    file.write_bytes(write(requests_of_frames(1, 2)))

    first = ingest_file(file, lake)
    again = ingest_file(file, lake)

    assert not first.problems
    assert rows(tmp_path / "lake") == ROWS_OF_TWO
    assert (first.spans, again.spans, again.new_rows) == (12, 12, 0)


def test_a_file_that_has_grown_gives_what_is_new(tmp_path: Path) -> None:
    file, lake = tmp_path / "otlp.json", Lake.open_or_create(tmp_path / "lake")
    file.write_bytes(as_json(requests_of_frames(1, 2)))
    ingest_file(file, lake)
    with file.open("ab") as more:
        more.write(as_json(requests_of_frames(2, 3)[-1:]))

    found = ingest_file(file, lake)

    assert set(rows_of(tmp_path / "lake")["frames"].values()) == {1}
    assert (found.new_rows, rows(tmp_path / "lake")["frames"]) == (10, 3)


def test_a_file_that_was_moved_gives_nothing_again(tmp_path: Path) -> None:
    file, lake = tmp_path / "otlp.json", Lake.open_or_create(tmp_path / "lake")
    file.write_bytes(as_json(requests_of_frames(1, 2)))
    ingest_file(file, lake)

    found = ingest_file(file.rename(tmp_path / "renamed.json"), lake)

    assert found.new_rows == 0


def test_a_commit_that_was_cut_short_is_finished_by_the_next_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, lake = tmp_path / "otlp.json", Lake.open_or_create(tmp_path / "lake")
    file.write_bytes(as_json(requests_of_frames(1, 2)))
    with monkeypatch.context() as patch:
        patch.setattr("exray.lake.lake.COMMIT_ORDER", ("runs", "tensors", "layer_spans"))
        ingest_file(file, lake)
    assert rows(tmp_path / "lake")["frames"] == 0

    ingest_file(file, lake)

    assert rows(tmp_path / "lake") == ROWS_OF_TWO


def test_a_spool_is_ingested_from_its_folder_or_a_segment(tmp_path: Path) -> None:
    spool, lake = tmp_path / "spool", Lake.open_or_create(tmp_path / "lake")
    fill(spool, [body for signal, body in requests_of_frames(1, 2) if signal == "traces"])
    [segment] = [path for path in spool.glob("*.log") if path.stat().st_size]

    found = ingest_file(spool, lake)
    again = ingest_file(segment, lake)

    assert (found.spans, again.new_rows) == (12, 0)
    assert rows(tmp_path / "lake")["frames"] == 2


def test_bad_lines_are_named_and_the_others_taken(tmp_path: Path) -> None:
    file, lake = tmp_path / "otlp.json", Lake.open_or_create(tmp_path / "lake")
    good = as_json(requests_of_frames(1)[-1:])
    bad = b'{"resourceSpans": [{"scopeSpans": 3}]}\n{"spans": []}\n{"resourceSpans": [\n'
    file.write_bytes(good + bad)

    found = ingest_file(file, lake)

    assert found.requests == 1
    assert [problem.partition(":")[0] for problem in sorted(found.problems)] == [
        "line 2",
        "line 3",
        "line 4",
    ]
    assert "its keys: ['spans']" in str(found.problems)


def test_a_file_cut_short_gives_what_is_whole_and_says_where_it_ends(tmp_path: Path) -> None:
    file, lake = tmp_path / "otlp.pb", Lake.open_or_create(tmp_path / "lake")
    file.write_bytes(as_collector_protobuf(requests_of_frames(1, 2))[:-5])

    found = ingest_file(file, lake)

    [problem] = found.problems
    assert "cut short" in problem
    assert rows(tmp_path / "lake")["runs"] == 1


@pytest.mark.parametrize("content", [b"PAR1 and so on", b"\x89PNG", b"hello world, hello"])
def test_a_file_of_another_kind_is_an_error_that_says_what_was_expected(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "picture"
    file.write_bytes(content)

    with pytest.raises(UsageError, match=r"picture' holds no OTLP.*expected lines of JSON"):
        ingest_file(file, Lake.open_or_create(tmp_path / "lake"))


def test_an_empty_file_gives_nothing(tmp_path: Path) -> None:
    file = tmp_path / "empty"
    file.write_bytes(b"\n")

    assert ingest_file(file, Lake.open_or_create(tmp_path / "lake")).requests == 0


def test_the_command_prints_what_came_and_fails_where_something_did_not(tmp_path: Path) -> None:
    file = tmp_path / "otlp.json"
    file.write_bytes(as_json(requests_of_frames(1, 2)) + b"{}\n")

    result = CliRunner().invoke(
        make_app(), ["ingest", str(file), "--lake", str(tmp_path / "lake")], standalone_mode=False
    )

    assert result.return_value == 1
    assert "3 requests, 12 spans, 23 new rows" in result.stdout
    assert "error:" in result.stderr and "line 4" in result.stderr


def test_a_file_that_is_missing_leaves_no_lake_behind(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        make_app(), ["ingest", "nothing.json", "--lake", str(tmp_path / "lake")]
    )

    assert isinstance(result.exception, UsageError)
    assert not (tmp_path / "lake").exists()
