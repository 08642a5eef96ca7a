import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from exray.collector.decode import RequestDecoder
from exray.collector.drain import DrainStatus, drain
from exray.collector.drain import drain as drain_function
from exray.collector.drain import group as group_module
from exray.collector.drain.drain import Drain
from exray.collector.drain.state import FOLDER
from exray.collector.logs import id_of, log_folder
from exray.exporters.log import Encoding, segment_path, segments
from exray.exporters.log_reader import CURSOR_FILE, LogReader, read_cursor
from exray.exporters.log_writer import LogWriter
from exray.lake import Lake
from exray.queries.engine import connect
from exray.schema.errors import LakeError, LogError

from ..exporters.builders import make_run
from ..exporters.frames import carried_frame, outside_frame, two_model_frame
from .drained import RECEIVED_NS, bodies_of, drain_all, fill, rows_of

STEPS = (
    "planned",
    "decoded",
    "written",
    "runs",
    "tensors",
    "layer_spans",
    "spans",
    "frames",
    "remembered",
    "moved",
    "released",
)
"""Where a drain may die; between any two of them nothing else is written."""


def quarantined(log: Path) -> dict[str, str]:
    """Return what is in quarantine: the reasons by file."""
    folder = log / FOLDER / "quarantine"
    return {path.stem: path.read_text().strip() for path in folder.glob("*.txt")}


def count(lake: Path, table: str) -> int:
    return int(connect(Lake.open(lake)).sql(f"SELECT count(*) FROM {table}").fetchall()[0][0])


# --- what arrives ---------------------------------------------------------------------------


def test_what_is_in_the_log_is_in_the_lake_once(tmp_path: Path) -> None:
    frames = [outside_frame(number) for number in range(5)]
    fill(tmp_path / "log", bodies_of(frames), [make_run()])

    status = drain_all(tmp_path / "log", tmp_path / "lake").status

    rows = rows_of(tmp_path / "lake")
    assert {table: (len(c), c.total()) for table, c in rows.items()} == {
        "frames": (5, 5),
        "layer_spans": (15, 15),
        "tensors": (35, 35),
        "spans": (10, 10),
    }
    assert (status.requests, status.spans, status.repeated_spans) == (6, 35, 0)
    assert count(tmp_path / "lake", "frames") == 5


def test_an_empty_log_is_nothing_to_do(tmp_path: Path) -> None:
    fill(tmp_path / "log", [])

    assert drain_all(tmp_path / "log", tmp_path / "lake").status == DrainStatus(0)


def test_a_later_drain_goes_on_where_the_one_before_it_ended(tmp_path: Path) -> None:
    bodies = bodies_of([carried_frame(number) for number in range(4)])
    fill(tmp_path / "log", bodies[:2])
    drain_all(tmp_path / "log", tmp_path / "lake")
    fill(tmp_path / "log", bodies[2:])

    status = drain_all(tmp_path / "log", tmp_path / "lake").status

    assert set(rows_of(tmp_path / "lake")["frames"].values()) == {1}
    assert status.requests == 4


def test_a_large_log_is_moved_in_several_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_module, "SET_BYTES", 10_000)
    fill(tmp_path / "log", bodies_of([carried_frame(number) for number in range(6)]))

    drain_all(tmp_path / "log", tmp_path / "lake")

    assert len(Lake.open(tmp_path / "lake").files("frames")) > 1
    assert rows_of(tmp_path / "lake")["frames"].total() == 6


def test_what_is_in_the_lake_may_be_dropped_from_the_log(tmp_path: Path) -> None:
    fill(tmp_path / "log", bodies_of([carried_frame()]))

    status = drain_all(tmp_path / "log", tmp_path / "lake").status

    assert read_cursor(tmp_path / "log").sequence == status.sequence > 0


# --- sent again -----------------------------------------------------------------------------


def test_spans_that_are_sent_again_are_dropped_also_after_a_restart(tmp_path: Path) -> None:
    bodies = bodies_of([carried_frame(number) for number in range(3)])
    fill(tmp_path / "log", [*bodies, bodies[0]])
    drain_all(tmp_path / "log", tmp_path / "lake")
    fill(tmp_path / "log", bodies[1:])

    status = drain_all(tmp_path / "log", tmp_path / "lake").status

    assert set(rows_of(tmp_path / "lake")["tensors"].values()) == {1}
    assert (status.spans, status.repeated_spans) == (18, 18)


# --- killed ---------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_any_step_each_span_arrives_once(tmp_path: Path, step: str) -> None:
    frames = [two_model_frame(number) for number in range(3)]
    bodies = bodies_of(frames)
    fill(tmp_path / "log", [*bodies, bodies[0], b"\xff"], [make_run()])

    killed = kill_at(tmp_path, step)
    fill(tmp_path / "log", [bodies[1], *bodies_of([carried_frame(8)])])
    status = drain_all(tmp_path / "log", tmp_path / "lake").status

    assert killed == -signal.SIGKILL
    rows = rows_of(tmp_path / "lake")
    assert {table: (len(c), c.total()) for table, c in rows.items()} == {
        "frames": (4, 4),
        "layer_spans": (18, 18),
        "tensors": (25, 25),
        "spans": (11, 11),
    }
    assert status.quarantined == len(quarantined(tmp_path / "log")) == 1
    assert (status.spans, status.repeated_spans) == (33, 18)


def kill_at(folder: Path, step: str, decoders: int = 1) -> int:
    command = [sys.executable, str(Path(__file__).with_name("drained.py"))]
    arguments = [str(folder / "log"), str(folder / "lake"), step, "1", str(decoders)]
    return subprocess.run([*command, *arguments], check=False).returncode


def test_what_is_dropped_from_the_log_between_two_tries_does_not_stop_the_drain(
    tmp_path: Path,
) -> None:
    """A full log may drop its oldest requests, and those of a set that was begun are among them."""
    bodies = bodies_of([carried_frame(number) for number in range(4)])
    fill(tmp_path / "log", bodies[:2])
    fill(tmp_path / "log", bodies[2:])
    kill_at(tmp_path, "written")
    first, *_ = segments(tmp_path / "log")
    segment_path(tmp_path / "log", first).unlink()

    drain_all(tmp_path / "log", tmp_path / "lake")

    assert rows_of(tmp_path / "lake")["frames"].total() == 2
    assert set(rows_of(tmp_path / "lake")["tensors"].values()) == {1}


def test_without_its_state_a_drain_finds_what_is_in_the_lake(tmp_path: Path) -> None:
    fill(tmp_path / "log", bodies_of([carried_frame(number) for number in range(3)]))
    drain_all(tmp_path / "log", tmp_path / "lake")
    for path in (tmp_path / "log" / FOLDER).glob("*.json"):
        path.unlink()
    (tmp_path / "log" / CURSOR_FILE).unlink()

    drain_all(tmp_path / "log", tmp_path / "lake")

    assert set(rows_of(tmp_path / "lake")["frames"].values()) == {1}


# --- several logs ---------------------------------------------------------------------------


def fill_both(wal: Path, first: Sequence[bytes], second: Sequence[bytes]) -> None:
    """Append to the logs of two receivers of one collector."""
    fill(wal, first)
    fill(log_folder(wal, 1), second)


def test_logs_of_all_receivers_are_moved_and_let_go(tmp_path: Path) -> None:
    bodies = bodies_of([carried_frame(number) for number in range(5)])
    fill_both(tmp_path / "log", bodies[:2], bodies[2:])

    status = drain_all(tmp_path / "log", tmp_path / "lake").status

    assert rows_of(tmp_path / "lake")["frames"].total() == 5
    assert status.requests == 5
    for number, requests in ((0, 2), (1, 3)):
        assert read_cursor(log_folder(tmp_path / "log", number)).sequence == requests
    assert len(Lake.open(tmp_path / "lake").files("frames")) == 1, "one set, one commit"


def test_spans_sent_again_to_another_receiver_are_dropped(tmp_path: Path) -> None:
    bodies = bodies_of([carried_frame(number) for number in range(3)])
    fill_both(tmp_path / "log", bodies[:2], bodies[1:2])
    drain_all(tmp_path / "log", tmp_path / "lake")
    fill_both(tmp_path / "log", bodies[2:], bodies)

    status = drain_all(tmp_path / "log", tmp_path / "lake").status

    assert set(rows_of(tmp_path / "lake")["tensors"].values()) == {1}
    assert (status.spans, status.repeated_spans) == (18, 24)


@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 2), (2, 1)])
@pytest.mark.parametrize("step", STEPS)
def test_killed_between_logs_each_span_arrives_once(
    tmp_path: Path, step: str, before: int, after: int
) -> None:
    """Also where fewer decoders go on."""
    bodies = bodies_of([two_model_frame(number) for number in range(4)])
    fill_both(tmp_path / "log", [*bodies[:2], b"\xff"], [bodies[2], b"\xff"])

    killed = kill_at(tmp_path, step, before)
    fill_both(tmp_path / "log", [bodies[2]], bodies[3:])

    status = drain_all(tmp_path / "log", tmp_path / "lake", decoders=after).status

    assert killed == -signal.SIGKILL
    assert rows_of(tmp_path / "lake")["frames"].total() == 4
    assert set(rows_of(tmp_path / "lake")["tensors"].values()) == {1}
    assert status.quarantined == len(quarantined(tmp_path / "log")) == 2


def test_a_log_that_is_new_begins_at_its_beginning(tmp_path: Path) -> None:
    """Its folder was there before, with another log in it."""
    bodies = bodies_of([carried_frame(number) for number in range(4)])
    fill_both(tmp_path / "log", bodies[:1], bodies[1:3])
    drain_all(tmp_path / "log", tmp_path / "lake")
    shutil.rmtree(log_folder(tmp_path / "log", 1))
    fill(log_folder(tmp_path / "log", 1), bodies[3:])

    drain_all(tmp_path / "log", tmp_path / "lake")

    assert rows_of(tmp_path / "lake")["frames"].total() == 4


@pytest.mark.parametrize("is_planned", [False, True])
def test_state_from_before_there_were_several_logs_is_gone_on_with(
    tmp_path: Path, is_planned: bool
) -> None:
    bodies = bodies_of([carried_frame(number) for number in range(4)])
    fill(tmp_path / "log", bodies[:2])
    drain_all(tmp_path / "log", tmp_path / "lake")
    file = tmp_path / "log" / FOLDER / "state.json"
    state = json.loads(file.read_bytes())
    [state["cursor"]] = state.pop("cursors").values()
    fill_both(tmp_path / "log", bodies[1:3], bodies[3:])
    if is_planned:
        state["plan"] = asdict([item.end for item in LogReader(tmp_path / "log")][-1])
    file.write_text(json.dumps(state))

    status = drain_all(tmp_path / "log", tmp_path / "lake").status

    assert rows_of(tmp_path / "lake")["frames"].total() == 4
    assert (status.requests, status.repeated_spans) == (5, 6)


def test_no_log_waits_for_a_full_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_module, "SET_BYTES", 20_000)
    bodies = bodies_of([carried_frame(number) for number in range(9)])
    fill_both(tmp_path / "log", bodies[:8], bodies[8:])
    loop = Drain(tmp_path / "log", Lake.open_or_create(tmp_path / "lake"))

    assert loop.move_one()

    assert read_cursor(log_folder(tmp_path / "log", 1)).sequence == 1
    assert read_cursor(tmp_path / "log").sequence < 8


# --- what cannot be read --------------------------------------------------------------------


def test_poison_is_kept_beside_the_log_and_the_rest_goes_on(tmp_path: Path) -> None:
    bodies = bodies_of([carried_frame(1), carried_frame(2)])
    fill(tmp_path / "log", [bodies[0], b"\xff\xff", bodies[1]])

    status = drain_all(tmp_path / "log", tmp_path / "lake").status

    [(name, reason)] = quarantined(tmp_path / "log").items()
    assert (tmp_path / "log" / FOLDER / "quarantine" / name).read_bytes() == b"\xff\xff"
    assert "no OTLP trace request" in reason
    assert status.quarantined == 1
    assert rows_of(tmp_path / "lake")["frames"].total() == 2


def test_a_damaged_record_is_kept_beside_the_log_and_the_rest_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "log"
    fill(log, bodies_of([carried_frame(number) for number in range(3)]))
    path = segment_path(log, segments(log)[0])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    status = drain_all(log, tmp_path / "lake").status

    [reason] = quarantined(log).values()
    assert "do not match their checksum" in reason
    assert status.quarantined == 1
    assert rows_of(tmp_path / "lake")["frames"].total() == 2


def test_a_request_that_breaks_the_decoder_harms_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = bodies_of([carried_frame(1), carried_frame(2)])
    decode = RequestDecoder.decode

    def fragile(self: Any, requests: Any) -> Any:
        if any(request.body == bodies[0] for request in requests):
            raise ZeroDivisionError
        return decode(self, requests)

    monkeypatch.setattr(RequestDecoder, "decode", fragile)
    fill(tmp_path / "log", bodies)

    drain_all(tmp_path / "log", tmp_path / "lake")

    assert "ZeroDivisionError" in str(quarantined(tmp_path / "log"))
    assert rows_of(tmp_path / "lake")["frames"].total() == 1


# --- the loop -------------------------------------------------------------------------------


def test_the_loop_takes_what_comes_while_it_runs_and_ends_when_told(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "log")
    stop, moved = threading.Event(), threading.Event()
    seen: list[DrainStatus] = []

    def report(status: DrainStatus) -> None:
        seen.append(status)
        moved.set()

    lake = Lake.open_or_create(tmp_path / "lake")
    thread = threading.Thread(
        target=drain,
        args=(tmp_path / "log", lake, stop),
        kwargs={"report": report, "linger_s": 0.01},
    )
    thread.start()
    for number, body in enumerate(bodies_of([carried_frame(1), carried_frame(2)])):
        moved.clear()
        writer.append("traces", Encoding.PROTOBUF, body, RECEIVED_NS)
        writer.sync()
        if number == 0:
            assert moved.wait(20)
    stop.set()
    thread.join(20)
    writer.close()

    assert rows_of(tmp_path / "lake")["frames"].total() == 2
    assert seen[-1].requests == 2


def test_a_lake_that_fails_is_tried_again_and_the_log_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "log", bodies_of([carried_frame()]))
    failing = [True]
    add = Lake.add

    def flaky(self: Lake, *arguments: Any, **named: Any) -> None:
        if failing.pop():
            failing.append(False)
            msg = "no space left"
            raise LakeError(msg)
        stop.set()
        add(self, *arguments, **named)

    stop = threading.Event()
    monkeypatch.setattr(Lake, "add", flaky)
    monkeypatch.setattr(sys.modules[drain_function.__module__], "RETRY_S", (0.01,))
    seen: list[DrainStatus] = []

    drain(tmp_path / "log", Lake.open_or_create(tmp_path / "lake"), stop, report=seen.append)

    assert [status.problem for status in seen] == ["no space left", ""]
    assert rows_of(tmp_path / "lake")["frames"].total() == 1


def test_a_folder_without_a_log_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"is no log"):
        id_of(tmp_path)
    assert not [*tmp_path.iterdir()]
    with pytest.raises(LogError):
        Drain(tmp_path, Lake.open_or_create(tmp_path / "lake"))
