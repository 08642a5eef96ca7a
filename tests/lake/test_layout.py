"""What is a lake and what is not."""

from pathlib import Path

import pytest

from exray.lake import Lake
from exray.lake.layout import MARKER, file_name, remove_unused
from exray.schema.errors import LakeError

from .builders import make_set


def test_a_new_path_becomes_a_lake_with_its_parents(tmp_path: Path) -> None:
    Lake.open_or_create(tmp_path / "a/b/lake")
    assert Lake.open(tmp_path / "a/b/lake").path == tmp_path / "a/b/lake"


def test_an_empty_folder_becomes_a_lake(tmp_path: Path) -> None:
    assert Lake.open_or_create(str(tmp_path)).path == tmp_path


def test_hidden_files_do_not_make_a_folder_full(tmp_path: Path) -> None:
    (tmp_path / ".gitkeep").touch()
    assert Lake.open_or_create(tmp_path).path == tmp_path


def test_a_lake_is_opened_again_as_it_is(tmp_path: Path) -> None:
    Lake.open_or_create(tmp_path).append(make_set(1))
    before = (tmp_path / MARKER).stat().st_mtime_ns
    assert len(Lake.open_or_create(tmp_path).files("frames")) == 1
    assert (tmp_path / MARKER).stat().st_mtime_ns == before


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(LakeError, match=rf"{tmp_path}.*has no 'exray-lake.json'.*empty folder"):
        Lake.open_or_create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"TFL3")
    with pytest.raises(LakeError, match=r"model.tflite' is not a lake: .* found a file"):
        Lake.open_or_create(path)
    assert path.read_bytes() == b"TFL3"


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LakeError, match=r"file/lake"):
        Lake.open_or_create(tmp_path / "file/lake")


def test_opening_what_is_missing_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match=r"none' is not a lake: .* found nothing there.*creates it"):
        Lake.open(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_opening_a_folder_without_marker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match=r"has no 'exray-lake.json'"):
        Lake.open(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"version": "1"}', '{"version": 0}', "\xff\x00"]
)
def test_a_damaged_marker_is_refused_with_what_belongs_there(tmp_path: Path, content: str) -> None:
    (tmp_path / MARKER).write_text(content, "latin-1")
    with pytest.raises(LakeError, match=r"damaged 'exray-lake.json'.*\"version\": 2"):
        Lake.open(tmp_path)
    with pytest.raises(LakeError, match="damaged"):
        Lake.open_or_create(tmp_path)


def test_a_lake_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text('{"format": "exray-lake", "version": 3}')
    with pytest.raises(LakeError, match=r"has version 3, newer than 2.*pip install --upgrade"):
        Lake.open(tmp_path)


def test_a_newer_marker_may_say_more(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text('{"format": "exray-lake", "version": 1, "owner": "me"}')
    assert Lake.open(tmp_path).path == tmp_path


@pytest.mark.parametrize("url", ["gs://bucket/lake", Path("https://bucket/lake")])
def test_a_url_of_another_kind_is_refused(url: str | Path) -> None:
    with pytest.raises(LakeError, match=r"not supported; a lake is a local folder, .* s3://BUCKET"):
        Lake.open_or_create(url)


def test_a_path_that_delta_rs_misreads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="without '%'"):
        Lake.open_or_create(tmp_path / "a%20b")


def test_a_file_has_one_name_whoever_writes_it_when() -> None:
    assert file_name("w", 12, {}) == "w-0000000012.parquet"
    assert file_name("w", 0, {"role": "a/b", "dt": "2026-02-01"}) == (
        "role=a%2Fb/dt=2026-02-01/w-0000000000.parquet"
    )


def test_an_unused_lake_is_removed_and_a_used_one_stays(tmp_path: Path) -> None:
    for name in ("unused", "used"):
        Lake.open_or_create(tmp_path / name)
    (tmp_path / "used" / "runs").mkdir()
    for name in ("unused", "used", "missing"):
        remove_unused(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["used"]
    Lake.open(tmp_path / "used")
