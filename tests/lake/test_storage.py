"""Files appear whole or not at all, and a file system's refusals are explained."""

import errno
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pyarrow.parquet as pq
import pytest

from exray.lake import Lake
from exray.lake.storage import SCRATCH, LocalStorage
from exray.schema.errors import LakeError, LakeFullError

from .builders import make_set


def fail_with(code: int) -> "type[OSError] | object":
    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB; skips where nobody may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system needs the right to mount one")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_published_bytes_are_there_and_no_scratch_is_left(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    assert storage.publish("a/b.parquet", memoryview(b"rows"))
    assert storage.read("a/b.parquet") == b"rows"
    assert list((tmp_path / SCRATCH).iterdir()) == []


def test_a_published_name_is_never_replaced(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    assert storage.publish("a", memoryview(b"first"))
    assert not storage.publish("a", memoryview(b"second"))
    assert storage.read("a") == b"first"
    assert list((tmp_path / SCRATCH).iterdir()) == []


def test_what_is_not_there_reads_as_none(tmp_path: Path) -> None:
    assert LocalStorage(tmp_path).read("a/b") is None


def test_scratch_of_killed_writers_goes_after_a_day(tmp_path: Path) -> None:
    lake = Lake.open_or_create(tmp_path / "lake")
    old, new = lake.path / SCRATCH / "old", lake.path / SCRATCH / "new"
    old.touch()
    new.touch()
    two_days_ago_s = time.time() - 2 * 86_400
    os.utime(old, (two_days_ago_s, two_days_ago_s))
    Lake.open_or_create(lake.path)
    assert not old.exists()
    assert new.exists()


def test_scratch_that_its_writer_removes_meanwhile_is_no_error(tmp_path: Path) -> None:
    lake = Lake.open_or_create(tmp_path / "lake")
    (lake.path / SCRATCH / "listed, then gone").symlink_to("nowhere")
    Lake.open_or_create(lake.path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_names_the_file_its_size_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    lake = Lake.open_or_create(tmp_path)
    monkeypatch.setattr("exray.lake.storage.os.fsync", fail_with(code))
    with pytest.raises(LakeFullError, match=r"no space left for '.*runs.*', \d+ bytes wanted") as e:
        lake.commit(make_set(0), writer="w", sequence=0)
    assert "commit the same set again" in str(e.value)
    monkeypatch.undo()
    lake.commit(make_set(0), writer="w", sequence=0)
    assert len(lake.files("frames")) == 1


def test_a_disk_that_fills_up_keeps_whole_sets_and_goes_on_when_there_is_room(
    small_disk: Path,
) -> None:
    lake = Lake.open_or_create(small_disk / "lake")
    sequence = 0
    with pytest.raises(LakeFullError, match="no space left for"):
        while True:
            lake.commit(make_set(sequence), writer="w", sequence=sequence)
            sequence += 1
    assert sequence > 3
    assert len(lake.files("frames")) == sequence
    assert sum(pq.read_metadata(path).num_rows for path in lake.files("tensors")) >= 3 * sequence
    subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
    lake.commit(make_set(sequence), writer="w", sequence=sequence)
    for table in ("tensors", "layer_spans", "spans", "frames"):
        rows = sum(pq.read_metadata(path).num_rows for path in lake.files(table))
        assert rows == 3 * (sequence + 1)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_folder_that_cannot_be_written_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr("exray.lake.storage.Path.mkdir", fail_with(code))
    with pytest.raises(LakeError, match=rf"cannot write '{tmp_path}/lake.*choose another path"):
        Lake.open_or_create(tmp_path / "lake")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_explained(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LakeError, match=rf"cannot write '{tmp_path}/lake.*Permission denied"):
        Lake.open_or_create(tmp_path / "lake")


def test_a_file_system_without_hard_links_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exray.lake.storage.os.link", fail_with(errno.EPERM))
    with pytest.raises(LakeError, match="on a file system with hard links"):
        Lake.open_or_create(tmp_path / "lake")


def test_any_other_refusal_names_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exray.lake.storage.os.link", fail_with(errno.EIO))
    with pytest.raises(LakeError, match=rf"cannot use '{tmp_path}.*Input/output error"):
        Lake.open_or_create(tmp_path / "lake")
