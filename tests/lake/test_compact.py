import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from exray.cli import make_app
from exray.exporters.convert import tables_from_records
from exray.lake import Lake
from exray.lake.compact import compact_partition
from exray.lake.delta import DeltaLog
from exray.lake.layout import storage_at
from exray.queries.engine import connect
from exray.schema.errors import LakeError
from exray.schema.records import FrameRecord

from ..exporters.builders import make_frame, make_run
from .builders import make_table


def tables(*frames: FrameRecord) -> dict[str, pa.Table]:
    return tables_from_records([make_run()], [], list(frames), [])


def lake_of_commits(folder: Path, *commits: tuple[FrameRecord, ...]) -> Lake:
    lake = Lake.open_or_create(folder)
    for frames in commits:
        lake.append(tables(*frames))
    return lake


def compact_all(lake: Lake) -> int:
    """Compact every partition; return how many repeated rows were dropped."""
    return sum(lake.compact(state).repeated_rows for state in lake.partitions() if state.small)


def raw_rows(lake: Lake, table: str) -> list[str]:
    """Return the rows as they are on disk, repeated ones too."""
    found = connect(lake).sql(f"SELECT * FROM _{table}").fetchall()
    return sorted(map(repr, found))


def test_many_files_become_one_with_the_same_rows(tmp_path: Path) -> None:
    lake = lake_of_commits(tmp_path, (make_frame(1),), (make_frame(2),), (make_frame(3),))
    before = {name: raw_rows(lake, name) for name in ("frames", "tensors", "spans")}

    repeated = compact_all(lake)

    assert {name: raw_rows(lake, name) for name in before} == before
    assert {name: len(lake.files(name)) for name in before} == dict.fromkeys(before, 1)
    assert repeated == 2  # the run, which each commit wrote anew


def test_rows_that_came_twice_stay_once(tmp_path: Path) -> None:
    once = lake_of_commits(tmp_path / "once", (make_frame(1), make_frame(2)))
    lake = lake_of_commits(tmp_path / "twice", (make_frame(1),), (make_frame(1), make_frame(2)))

    compact_all(lake)

    assert raw_rows(lake, "tensors") == raw_rows(once, "tensors")


def test_of_a_run_the_newest_row_stays(tmp_path: Path) -> None:
    lake = lake_of_commits(tmp_path, (make_frame(1),))
    late = make_run(plain_output_equal="")
    late.plain_output_equal = True
    lake.append(tables_from_records([late], [], [], []))

    compact_all(lake)

    [row] = connect(lake).sql("SELECT plain_output_equal FROM _runs").fetchall()
    assert row == (True,)


def test_a_second_compaction_of_the_same_files_changes_nothing(tmp_path: Path) -> None:
    lake = lake_of_commits(tmp_path, (make_frame(1),), (make_frame(2),))
    stale = [state for state in lake.partitions() if state.table == "frames"]
    compact_all(lake)

    done = [lake.compact(state) for state in stale]

    assert [one.files_after for one in done] == [0]
    assert len(raw_rows(lake, "frames")) == 2


def test_of_two_compactions_at_once_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = lake_of_commits(tmp_path, (make_frame(1),), (make_frame(2),))
    [state] = [state for state in lake.partitions() if state.table == "frames"]
    storage = storage_at(tmp_path)
    publish = type(storage).publish

    def late(self: object, name: str, content: memoryview) -> bool:
        monkeypatch.undo()
        other = compact_partition(storage, state)  # between our reading and our commit
        assert other.files_after == 1
        return publish(storage, name, content)

    monkeypatch.setattr(type(storage), "publish", late)

    assert compact_partition(storage, state).files_after == 0
    assert len(raw_rows(lake, "frames")) == 2


def test_what_is_appended_while_a_compaction_runs_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = lake_of_commits(tmp_path, (make_frame(1),), (make_frame(2),))
    [state] = [state for state in lake.partitions() if state.table == "frames"]
    storage = storage_at(tmp_path)
    publish = type(storage).publish

    def late(self: object, name: str, content: memoryview) -> bool:
        monkeypatch.undo()
        lake.append(tables(make_frame(3)))
        return publish(storage, name, content)

    monkeypatch.setattr(type(storage), "publish", late)

    assert compact_partition(storage, state).files_before == 2
    assert len(raw_rows(lake, "frames")) == 3


def test_a_reader_of_the_snapshot_before_can_read_on(tmp_path: Path) -> None:
    lake = lake_of_commits(tmp_path, (make_frame(1),), (make_frame(2),))
    reader = connect(lake)

    compact_all(lake)

    assert reader.sql("SELECT count(*) FROM frames").fetchall() == [(2,)]


def test_the_commands_show_what_is_left_to_compact_and_do_it(tmp_path: Path) -> None:
    lake_of_commits(tmp_path / "lake", (make_frame(1),), (make_frame(2),))
    runner, app, path = CliRunner(), make_app(), str(tmp_path / "lake")

    before = runner.invoke(app, ["lake", "info", path]).stdout
    done = runner.invoke(app, ["lake", "compact", path]).stdout
    after = runner.invoke(app, ["lake", "info", path]).stdout

    assert to_compact(before)["frames"] == 2
    assert "repeated rows dropped; 0 old files deleted" in done
    assert set(to_compact(after).values()) == {0}
    shutil.rmtree(tmp_path / "lake")


def to_compact(shown: str) -> dict[str, int]:
    return {line.split()[0]: int(line.split()[-1]) for line in shown.splitlines()[1:]}


def test_one_file_is_compacted_once(tmp_path: Path) -> None:
    lake = lake_of_commits(tmp_path, (make_frame(1),))
    assert all(len(state.small) == 1 for state in lake.partitions())

    compact_all(lake)

    assert lake.partitions() and not any(state.small for state in lake.partitions())


# --- one row under two dates ----------------------------------------------------------------


def commit_spans(lake: Lake, dt: str, *numbers: int) -> None:
    """Commit spans under a date; a number is a span, and its start."""
    ids = pa.array([number.to_bytes(8, "big") for number in numbers]).cast(pa.binary(8))
    starts = pa.array(numbers, pa.int64())
    rows = make_table("spans", len(numbers), dt=dt, span_id=ids, start_ns=starts)
    lake.append({"spans": rows})


def spans_by_date(lake: Lake) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for path in lake.files("spans"):
        dt = Path(path).parent.name.removeprefix("dt=")
        starts: list[Any] = pq.ParquetFile(path).read(["start_ns"]).column("start_ns").to_pylist()
        found[dt] = sorted(found.get(dt, []) + starts)
    return found


def test_a_row_that_came_again_days_later_stays_where_it_came_first(tmp_path: Path) -> None:
    lake = Lake.open_or_create(tmp_path)
    commit_spans(lake, "2026-02-01", 1, 2)
    commit_spans(lake, "2026-02-01", 3)
    compact_all(lake)
    commit_spans(lake, "2026-02-09", 2, 3, 4)

    assert compact_all(lake) == 2

    assert spans_by_date(lake) == {"2026-02-01": [1, 2, 3], "2026-02-09": [4]}


def test_two_dates_compacted_in_one_go_keep_the_first(tmp_path: Path) -> None:
    lake = Lake.open_or_create(tmp_path)
    commit_spans(lake, "2026-02-09", 2, 3)
    commit_spans(lake, "2026-02-01", 1, 2)

    assert compact_all(lake) == 1

    assert spans_by_date(lake) == {"2026-02-01": [1, 2], "2026-02-09": [3]}


def test_a_row_that_comes_under_an_earlier_date_stays_where_it_was_compacted(
    tmp_path: Path,
) -> None:
    lake = Lake.open_or_create(tmp_path)
    commit_spans(lake, "2026-02-09", 2, 3)
    compact_all(lake)
    commit_spans(lake, "2026-02-01", 1, 2)

    assert compact_all(lake) == 1

    assert spans_by_date(lake) == {"2026-02-01": [1], "2026-02-09": [2, 3]}


def test_a_date_of_nothing_but_repetitions_ends_without_files(tmp_path: Path) -> None:
    lake = Lake.open_or_create(tmp_path)
    commit_spans(lake, "2026-02-01", 1, 2)
    commit_spans(lake, "2026-02-09", 1, 2)

    compact_all(lake)

    assert spans_by_date(lake) == {"2026-02-01": [1, 2]}
    assert len(lake.files("spans")) == 1


def test_of_compactions_of_two_dates_at_once_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each might drop the copy that the other one keeps."""
    lake = Lake.open_or_create(tmp_path)
    for dt in ("2026-02-01", "2026-02-09"):
        commit_spans(lake, dt, 1)
    first, second = lake.partitions()
    storage = storage_at(tmp_path)
    publish = type(storage).publish

    def late(self: object, name: str, content: memoryview) -> bool:
        monkeypatch.undo()
        assert compact_partition(storage, second).repeated_rows == 1
        return publish(storage, name, content)

    monkeypatch.setattr(type(storage), "publish", late)

    assert compact_partition(storage, first).files_before == 0
    assert spans_by_date(lake) == {"2026-02-01": [1]}


def test_a_role_that_needs_escapes_is_compacted_like_any_other(tmp_path: Path) -> None:
    lake = Lake.open_or_create(tmp_path)
    for number in (1, 2):
        lake.append({"frames": make_table("frames", role="a b/c%", start_ns=number)})

    assert compact_all(lake) == 1  # they have the same key

    assert len(lake.files("frames")) == 1
    assert len(raw_rows(lake, "frames")) == 1


# --- what nobody needs any more -------------------------------------------------------------


def age(path: Path, days: int) -> None:
    """Make a file look as if it had been written so long ago."""
    then_s = time.time() - days * 86_400
    os.utime(path, (then_s, then_s))


def test_replaced_files_go_when_they_have_been_kept_long_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake.open_or_create(tmp_path)
    for number in (1, 2):
        lake.append({"frames": make_table("frames", role="a b/c%", start_ns=number)})
    old = [Path(path) for path in lake.files("frames")]
    long_ago_ns = time.time_ns() - 8 * 86_400 * 10**9
    with monkeypatch.context() as patch:
        patch.setattr("exray.lake.delta.time.time_ns", lambda: long_ago_ns)
        compact_all(lake)
    [live] = map(Path, lake.files("frames"))
    age(live, 30)

    assert lake.remove_unused(9 * 24) == 0
    assert all(path.exists() for path in old)
    assert lake.remove_unused(7 * 24) == 2
    assert not any(path.exists() for path in old)
    assert live.exists() and len(raw_rows(lake, "frames")) == 1


def test_what_a_killed_writer_left_goes_and_what_one_is_about_to_name_stays(
    tmp_path: Path,
) -> None:
    lake = lake_of_commits(tmp_path, (make_frame(1),))
    [path] = map(Path, lake.files("frames"))
    left, fresh = path.with_name("left-0.parquet"), path.with_name("fresh-0.parquet")
    for orphan in (left, fresh):
        orphan.write_bytes(path.read_bytes())
    age(left, 8)
    age(path, 8)

    assert lake.remove_unused(7 * 24) == 1

    assert not left.exists() and fresh.exists() and path.exists()


def test_a_file_that_is_found_again_counts_as_new(tmp_path: Path) -> None:
    storage = storage_at(tmp_path)
    storage.publish("a/b", memoryview(b"x"))
    age(tmp_path / "a" / "b", 8)

    assert not storage.publish("a/b", memoryview(b"x"))

    assert (tmp_path / "a" / "b").stat().st_mtime > time.time() - 3600


def test_a_file_that_is_in_use_is_never_deleted(tmp_path: Path) -> None:
    lake = lake_of_commits(tmp_path, (make_frame(1),))
    log = DeltaLog(str(tmp_path / "frames"), "frames")
    log.recorded_sequence("w")
    [entry] = log.entries()
    # As a log says that is not ours: removed under a spelling that no reader takes for the file.
    misspelt = replace(entry, name=entry.name.replace("role", "%72ole"))
    assert log.replace([], [misspelt], "w", 0)
    assert len(lake.files("frames")) == 1

    log.recorded_sequence("w")
    with pytest.raises(LakeError, match="are in use and marked as replaced"):
        log.remove_unused(0)

    assert all(Path(path).exists() for path in lake.files("frames"))


def test_where_there_is_no_lake_nothing_is_shown_of_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(make_app(), ["lake", "info", str(tmp_path / "none")])

    assert isinstance(result.exception, LakeError)
    assert result.stdout == ""


def test_a_damaged_file_is_named_and_nothing_is_rewritten(tmp_path: Path) -> None:
    lake = lake_of_commits(tmp_path, (make_frame(1),), (make_frame(2),))
    damaged = Path(lake.files("frames")[0])
    damaged.write_bytes(damaged.read_bytes()[:200])
    before = lake.files("frames")
    (state,) = [state for state in lake.partitions() if state.table == "frames"]
    with pytest.raises(LakeError, match=rf"{damaged.name}' is damaged: .* Restore it from a copy"):
        lake.compact(state)
    assert lake.files("frames") == before
