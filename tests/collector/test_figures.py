"""Numbers and health of several processes: one collector's."""

import time
from collections.abc import Generator

import pytest

from exray.collector.board import PLACE_BYTES, Board
from exray.collector.figures import STALE_S, Figures, Health
from exray.collector.measures import Measures

REQUESTS = ("exray_collector_requests_total", {"signal": "traces"})


@pytest.fixture
def board() -> Generator[Board]:
    board = Board.new(2)
    yield board
    board.close()


def figures(board: Board, place: int, *, alive: bool = True, ready: bool = True) -> Figures:
    health = Health(lambda: alive, lambda: ready)
    return Figures(Measures(), health, board, place)


def counted(board: Board, place: int, requests: int) -> Figures:
    measures = Measures()
    for number in range(requests):
        measures.taken("traces", 3, 0, 100, 0.001 * number)
    measures.refused("traces", f"reason {place}")
    measures.watch("log_bytes", "Bytes of the log.", lambda: 10.0)
    return Figures(measures, Health(lambda: True, lambda: True), board, place)


def told(one: Figures) -> Figures:
    """Have the others told."""
    one.start()
    one.stop()
    return one


def value(one: Figures, name: str, labels: dict[str, str]) -> float:
    [found] = [v for n, given, v in one.samples() if (n, given) == (name, labels)]
    return found


def test_numbers_are_summed_by_name_and_labels(board: Board) -> None:
    first, second = told(counted(board, 0, 3)), told(counted(board, 1, 4))
    for one in (first, second):
        assert value(one, *REQUESTS) == 7
        assert value(one, "exray_collector_log_bytes", {}) == 20
        assert value(one, "exray_collector_acknowledge_seconds_count", {}) == 7
        assert value(one, "exray_collector_acknowledge_seconds_bucket", {"le": "0.001"}) == 4
        for reason in ("reason 0", "reason 1"):
            labels = {"signal": "traces", "reason": reason}
            assert value(one, "exray_collector_refused_total", labels) == 1
    assert b'exray_collector_requests_total{signal="traces"} 7.0' in first.text()


def test_sums_do_not_fall_when_a_process_is_started_again(board: Board) -> None:
    first = told(counted(board, 0, 3))
    told(counted(board, 1, 4))
    again = counted(board, 1, 2)
    assert value(again, *REQUESTS) == 9
    told(again)
    assert value(first, *REQUESTS) == 9
    told(counted(board, 1, 1))
    assert value(first, *REQUESTS) == 10
    assert value(first, "exray_collector_acknowledge_seconds_count", {}) == 10
    assert value(first, "exray_collector_log_bytes", {}) == 20, "what is now is no sum of pasts"


def test_health_is_that_of_all(board: Board) -> None:
    first = figures(board, 0)
    assert first.is_alive() and first.is_ready()
    told(figures(board, 1, ready=False))
    assert first.is_alive() and not first.is_ready()
    told(figures(board, 1, alive=False))
    assert not first.is_alive() and first.is_ready()


def test_who_has_died_is_not_waited_for(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    first = figures(board, 0)
    told(figures(board, 1, alive=False, ready=False))
    now_s = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now_s + STALE_S + 1)
    assert first.is_alive() and first.is_ready()


def test_alone_there_is_nobody_to_ask() -> None:
    alone = Figures(Measures(), Health(lambda: True, lambda: False))
    alone.start()
    alone.stop()
    assert alone.is_alive() and not alone.is_ready()


def test_place_holds_what_was_written_last(board: Board) -> None:
    assert board.read(1) is None
    board.write(1, {"a": "x" * 1000})
    board.write(1, {"b": 2})
    board.write(0, {"c": "x" * PLACE_BYTES})  # more than it can hold
    assert (board.read(0), board.read(1)) == (None, {"b": 2})


def test_place_that_was_left_half_written_is_empty(board: Board) -> None:
    board.write(0, {"a": 1})
    board._memory[8:10] = b"??"
    assert board.read(0) is None
    board.write(0, {"a": 2})
    assert board.read(0) == {"a": 2}
