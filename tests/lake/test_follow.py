"""A lake is followed commit by commit."""

from pathlib import Path

import pytest

from exray.lake import Lake, LakeFollower
from exray.lake.lake import COMMIT_ORDER
from exray.schema.errors import LakeError

from .builders import make_set


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open_or_create(tmp_path / "lake")


def test_the_first_time_all_tables_are_news_frames_first(lake: Lake) -> None:
    changed = LakeFollower(lake).changed_files()
    assert list(changed) == list(reversed(COMMIT_ORDER))
    assert set(map(tuple, changed.values())) == {()}


def test_only_tables_that_grew_are_news(lake: Lake) -> None:
    follower = LakeFollower(lake)
    follower.changed_files()
    assert follower.changed_files() == {}
    tables = make_set(1)
    lake.append(tables)
    changed = follower.changed_files()
    assert set(changed) == set(tables)
    assert all(len(files) == 1 for files in changed.values())
    lake.append({"frames": make_set(1)["frames"]})
    assert {name: len(files) for name, files in follower.changed_files().items()} == {"frames": 2}
    assert follower.changed_files() == {}


def test_files_are_those_of_the_lakes_snapshot(lake: Lake) -> None:
    for _ in range(3):
        lake.append(make_set(1))
    assert LakeFollower(lake).changed_files() == lake.snapshot()


def test_what_is_forgotten_is_news_again(lake: Lake) -> None:
    follower = LakeFollower(lake)
    follower.changed_files()
    follower.forget()
    assert set(follower.changed_files()) == set(COMMIT_ORDER)


def test_after_an_error_the_news_is_told_again(lake: Lake) -> None:
    follower = LakeFollower(lake)
    follower.changed_files()
    lake.append(make_set(1))
    (commit,) = (lake.path / "frames" / "_delta_log").glob("*1.json")
    content = commit.read_bytes()
    commit.write_bytes(b"damaged")
    with pytest.raises(LakeError):
        follower.changed_files()
    commit.write_bytes(content)
    assert "frames" in follower.changed_files()
