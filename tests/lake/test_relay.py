"""A forked process reads and writes the lake although delta-rs cannot."""

import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from exray.lake import Lake, relay
from exray.lake.relay import RelayedLog
from exray.schema.errors import LakeError

from .builders import make_set, make_table

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
    # Python 3.12 warns of a fork beside threads; that it is done anyway is the point here.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def in_child(work: Callable[[], None]) -> None:
    """Run *work* in a forked child and fail if it fails there."""
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(60)
    assert child.exitcode == 0


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake that this process has written to, so delta-rs runs here."""
    lake = Lake.open_or_create(tmp_path / "lake")
    lake.commit(make_set(0), writer="parent", sequence=0)
    return lake


def test_a_child_commits_once_and_the_parent_sees_it(lake: Lake) -> None:
    def work() -> None:
        for _ in range(2):
            lake.commit(make_set(1), writer="child", sequence=0)

    in_child(work)
    assert len(lake.files("frames")) == 2


def test_a_child_lists_the_parents_files(lake: Lake) -> None:
    files = lake.files("frames")

    def work() -> None:
        assert lake.files("frames") == files

    in_child(work)


def test_a_child_of_a_child_commits_too(lake: Lake) -> None:
    def work() -> None:
        lake.commit(make_set(1), writer="child", sequence=0)
        if (pid := os.fork()) == 0:
            lake.commit(make_set(2), writer="grandchild", sequence=0)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    in_child(work)
    assert len(lake.files("frames")) == 3


def test_an_error_in_the_relay_is_raised_in_the_child(lake: Lake) -> None:
    (lake.path / "frames/_delta_log/00000000000000000001.json").write_text("{")

    def work() -> None:
        with pytest.raises(LakeError, match="cannot be used"):
            lake.files("frames")

    in_child(work)


def test_a_killed_relay_is_told_and_replaced(lake: Lake) -> None:
    def work() -> None:
        assert len(lake.files("frames")) == 1
        process = relay._here.relay()._process
        process.kill()
        process.wait()
        assert len(lake.files("frames")) == 1

    in_child(work)


def test_a_child_without_python_is_told_what_to_do(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "")

    def work() -> None:
        with pytest.raises(LakeError, match="start method 'spawn'"):
            lake.files("frames")

    in_child(work)


def test_the_relay_answers_as_the_log_itself(lake: Lake) -> None:
    log = RelayedLog(str(lake.path / "frames"), "frames")
    assert log.recorded_sequence("parent") == 0
    assert log.recorded_sequence("nobody") is None
    assert [str(lake.path / "frames" / name) for name in log.active_files()] == lake.files("frames")
    relay._here.stop()


def test_this_process_uses_delta_rs_itself(lake: Lake) -> None:
    lake.append({"frames": make_table("frames")})
    assert relay._here._relay is None
