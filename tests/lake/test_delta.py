"""Commits under one writer exclude each other; a damaged log is told, never guessed at."""

from pathlib import Path

import pytest

from exray.lake import Lake, commit
from exray.lake.delta import CHECKPOINT_INTERVAL, DeltaLog
from exray.lake.typing import DataFile
from exray.schema.errors import CommitError, LakeError, LakeFullError

from .builders import make_set, make_table

PARTITION = {"role": "edge", "dt": "2026-02-01"}


def frames_log(folder: Path) -> DeltaLog:
    return DeltaLog(str(folder / "frames"), "frames")


def data_file(number: int = 0) -> DataFile:
    return DataFile(f"role=edge/dt=2026-02-01/w-{number}.parquet", 10, 1, PARTITION)


def test_a_new_writer_has_no_sequence(tmp_path: Path) -> None:
    assert frames_log(tmp_path).recorded_sequence("w") is None


def test_a_commit_records_its_writers_sequence_only(tmp_path: Path) -> None:
    log = frames_log(tmp_path)
    log.recorded_sequence("w")
    assert log.append([data_file()], "w", 4)
    assert log.recorded_sequence("w") == 4
    assert log.recorded_sequence("v") is None


def test_of_two_commits_from_one_snapshot_under_one_writer_the_second_loses(tmp_path: Path) -> None:
    first, second = frames_log(tmp_path), frames_log(tmp_path)
    first.recorded_sequence("w")
    second.recorded_sequence("w")
    assert first.append([data_file(1)], "w", 0)
    assert not second.append([data_file(2)], "w", 0)
    assert first.active_files() == [data_file(1).name]


def test_writers_of_different_names_never_lose(tmp_path: Path) -> None:
    first, second = frames_log(tmp_path), frames_log(tmp_path)
    first.recorded_sequence("w")
    second.recorded_sequence("v")
    assert first.append([data_file(1)], "w", 0)
    assert second.append([data_file(2)], "v", 0)
    assert len(first.active_files()) == 2


def test_a_commit_needs_a_fresh_snapshot(tmp_path: Path) -> None:
    log = frames_log(tmp_path)
    log.recorded_sequence("w")
    log.append([data_file()], "w", 0)
    with pytest.raises(LakeError, match=r"needs the snapshot"):
        log.append([data_file(1)], "w", 1)


def test_sequences_survive_a_checkpoint(tmp_path: Path) -> None:
    log = frames_log(tmp_path)
    for sequence in range(CHECKPOINT_INTERVAL + 1):
        log.recorded_sequence("w")
        log.append([data_file(sequence)], "w" if sequence == 7 else "v", sequence)
    assert list((tmp_path / "frames/_delta_log").glob("*.checkpoint.parquet"))
    assert log.recorded_sequence("w") == 7
    assert len(log.active_files()) == CHECKPOINT_INTERVAL + 1


def test_a_race_lost_once_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append, lost = DeltaLog.append, iter([True])

    def lose_once(log: DeltaLog, files: list[DataFile], writer: str, sequence: int) -> bool:
        return not next(lost, False) and append(log, files, writer, sequence)

    monkeypatch.setattr(DeltaLog, "append", lose_once)
    lake = Lake.open_or_create(tmp_path)
    lake.append({"frames": make_table("frames")})
    assert len(lake.files("frames")) == 1


def test_a_race_lost_for_ever_ends_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeltaLog, "append", lambda *_: False)
    monkeypatch.setattr(commit, "BACKOFF_S", 0.0)
    with pytest.raises(CommitError, match=r"'frames' of .* lost 10 commits of writer 'w'.*its own"):
        Lake.open_or_create(tmp_path).commit(
            {"frames": make_table("frames")}, writer="w", sequence=0
        )


def test_a_torn_log_entry_is_named(tmp_path: Path) -> None:
    lake = Lake.open_or_create(tmp_path)
    lake.append(make_set(0))
    (tmp_path / "frames/_delta_log/00000000000000000001.json").write_text('{"add":{"pa')
    with pytest.raises(LakeError, match=r"Delta log of '.*/frames' cannot be used: Kernel error"):
        lake.files("frames")
    with pytest.raises(LakeError, match=r"restore it from a copy") as error:
        lake.append(make_set(1))
    assert "\n" not in str(error.value)


def test_a_table_of_other_columns_is_refused(tmp_path: Path) -> None:
    lake = Lake.open_or_create(tmp_path)
    DeltaLog(str(tmp_path / "frames"), "spans").recorded_sequence("w")
    with pytest.raises(LakeError, match=r"frames' has other columns or types .* Use a new lake"):
        lake.append({"frames": make_table("frames")})


def test_a_disk_that_fills_while_the_log_is_written_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deltalake import DeltaTable

    def fail(*_: object, **__: object) -> None:
        msg = "Generic LocalFileSystem error: No space left on device (os error 28)"
        raise OSError(msg)

    monkeypatch.setattr(DeltaTable, "create_write_transaction", fail)
    with pytest.raises(LakeFullError, match=r"no space left for '.*frames'"):
        Lake.open_or_create(tmp_path).append({"frames": make_table("frames")})
