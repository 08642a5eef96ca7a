"""A set decoded and written by several processes is the set that one makes."""

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exray.collector.decode import Received
from exray.collector.drain import decoders as decoders_module
from exray.collector.drain.decoder_process import Beside
from exray.collector.drain.decoders import Decoders, shared_out
from exray.collector.drain.drain import Drain
from exray.collector.drain.group import Stretch
from exray.collector.logs import ReceiverLog, log_folder
from exray.exporters.log import Encoding
from exray.lake import Lake
from exray.schema.errors import LakeError, LogError

from ..exporters.builders import make_run
from ..exporters.frames import carried_frame, two_model_frame
from .drained import bodies_of, drain_all, fill, rows_of


@contextmanager
def draining(folder: Path, decoders: int) -> Generator[Drain]:
    loop = Drain(folder / "log", Lake.open_or_create(folder / "lake"), decoders=decoders)
    try:
        yield loop
    finally:
        loop.close()


def fill_logs(folder: Path, *logs: list[bytes]) -> None:
    for number, bodies in enumerate(logs):
        fill(log_folder(folder / "log", number), bodies, [] if number else [make_run()])


def request(number: int, size: int) -> Received:
    return Received(number, "traces", Encoding.PROTOBUF, 0, bytes(size))


def test_logs_are_shared_out_whole_the_largest_first_and_always_alike() -> None:
    logs = [ReceiverLog(Path(name), name, "") for name in "abc"]
    requests = [request(0, 5), request(1, 4), request(2, 9), request(3, 4)]
    stretch = Stretch({}, requests, [(logs[0], 1), (logs[1], 1), (logs[2], 1), (logs[1], 2)])
    for _ in range(2):
        shared = shared_out(stretch, 2)
        assert [[r.number for r in part] for part in shared] == [[2], [1, 3, 0]]
    assert [[r.number for r in part] for part in shared_out(stretch, 1)] == [[2, 1, 3, 0]]


@pytest.mark.parametrize("decoders", [2, 3])
def test_what_several_make_is_what_one_makes(tmp_path: Path, decoders: int) -> None:
    """Of spans that two logs hold, in one set, each stays once."""
    bodies = bodies_of([two_model_frame(number) for number in range(6)])
    logs = ([*bodies[:3], b"\xff"], [*bodies[2:5], bodies[2]], [bodies[5], bodies[0]])
    fill_logs(tmp_path / "one", *logs)
    fill_logs(tmp_path / "several", *logs)

    one = drain_all(tmp_path / "one" / "log", tmp_path / "one" / "lake")
    with draining(tmp_path / "several", decoders) as several:
        assert several.move_one()
        assert not several.move_one()

    assert rows_of(tmp_path / "several" / "lake") == rows_of(tmp_path / "one" / "lake")
    found, wanted = several.status, one.status
    assert (found.spans, found.repeated_spans) == (wanted.spans, wanted.repeated_spans)
    assert found.quarantined == 1
    assert len(Lake.open(tmp_path / "several" / "lake").files("frames")) == decoders


def test_one_log_is_decoded_by_one(tmp_path: Path) -> None:
    fill_logs(tmp_path, bodies_of([carried_frame(number) for number in range(3)]))
    drain_all(tmp_path / "log", tmp_path / "lake", decoders=2)
    assert len(Lake.open(tmp_path / "lake").files("frames")) == 1
    assert rows_of(tmp_path / "lake")["frames"].total() == 3


def test_a_decoder_that_dies_ends_the_drain_and_the_next_one_begins_the_set_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Beside] = []

    class Noted(Beside):
        def __init__(self, place: str) -> None:
            super().__init__(place)
            started.append(self)

    monkeypatch.setattr(decoders_module, "Beside", Noted)
    bodies = bodies_of([carried_frame(number) for number in range(4)])
    fill_logs(tmp_path, bodies[:3], bodies[3:])
    with draining(tmp_path, 2) as loop:
        os.kill(started[0].pid, signal.SIGKILL)
        with pytest.raises(LogError, match="a decoder ended with code -9; the set is begun again"):
            loop.move_one()

    drain_all(tmp_path / "log", tmp_path / "lake", decoders=2)
    assert rows_of(tmp_path / "lake")["frames"].total() == 4


def test_a_lake_that_one_cannot_write_is_tried_again(tmp_path: Path) -> None:
    bodies = bodies_of([carried_frame(number) for number in range(4)])
    fill_logs(tmp_path, bodies[:3], bodies[3:])
    with draining(tmp_path, 2) as loop:
        (tmp_path / "lake" / "frames").write_text("in the way")
        for _ in range(2):
            with pytest.raises(LakeError, match="frames"):
                loop.move_one()
        (tmp_path / "lake" / "frames").unlink()
        assert loop.move_one()

    assert set(rows_of(tmp_path / "lake")["tensors"].values()) == {1}
    assert rows_of(tmp_path / "lake")["frames"].total() == 4


def test_its_process_ends_when_the_drain_lets_go(tmp_path: Path) -> None:
    Lake.open_or_create(tmp_path / "lake")
    beside = Beside(str(tmp_path / "lake"))
    beside.close()  # waits for it
    with pytest.raises(ProcessLookupError):
        os.kill(beside.pid, 0)


def test_one_decoder_needs_no_process_and_each_other_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    class Counted(Beside):
        def __init__(self, place: str) -> None:
            super().__init__(place)
            started.append(place)

    monkeypatch.setattr(decoders_module, "Beside", Counted)
    for count, processes in ((1, 0), (3, 2)):
        Decoders(Lake.open_or_create(tmp_path / "lake"), count).close()
        assert len(started) == processes
