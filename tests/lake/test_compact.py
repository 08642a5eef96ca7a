import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from exray.cli import make_app
from exray.exporters.convert import tables_from_records
from exray.lake import Lake
from exray.lake.compact import PartitionState, compact_partition
from exray.lake.layout import storage_at
from exray.queries.engine import connect
from exray.schema.errors import LakeError
from exray.schema.records import FrameRecord

from ..exporters.builders import make_frame, make_run


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
    assert "repeated rows dropped" in done
    assert set(to_compact(after).values()) == {0}
    shutil.rmtree(tmp_path / "lake")


def to_compact(shown: str) -> dict[str, int]:
    return {line.split()[0]: int(line.split()[-1]) for line in shown.splitlines()[1:]}


def test_a_state_without_small_files_is_nothing_to_do(tmp_path: Path) -> None:
    lake = lake_of_commits(tmp_path, (make_frame(1),))

    assert [state.small for state in lake.partitions() if isinstance(state, PartitionState)] == [
        () for _ in lake.partitions()
    ]


def test_where_there_is_no_lake_nothing_is_shown_of_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(make_app(), ["lake", "info", str(tmp_path / "none")])

    assert isinstance(result.exception, LakeError)
    assert result.stdout == ""
