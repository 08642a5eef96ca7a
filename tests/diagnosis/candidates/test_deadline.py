"""A budget of time on a machine of its own, and on one that others use."""

from dataclasses import dataclass

import pytest

from exray.diagnosis.candidates import deadline
from exray.diagnosis.candidates.deadline import MOST, Deadline


@dataclass
class Clock:
    """Stands for the module `time`: seconds that passed, and seconds of work."""

    wall_s: float = 100.0
    work_s: float = 7.0

    def monotonic(self) -> float:
        return self.wall_s

    def process_time(self) -> float:
        return self.work_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(deadline, "time", clock)
    return clock


def test_on_a_machine_of_its_own_the_budget_is_seconds(clock: Clock) -> None:
    found = Deadline(10.0)
    clock.wall_s, clock.work_s = 109.0, 25.0  # two cores
    assert not found.is_past()
    clock.wall_s = 111.0
    assert found.is_past()
    assert found.elapsed_s() == 11.0


def test_on_a_busy_machine_it_goes_on_until_it_had_its_time(clock: Clock) -> None:
    found = Deadline(10.0)
    clock.wall_s, clock.work_s = 130.0, 10.0
    assert not found.is_past()
    clock.work_s = 18.0
    assert found.is_past()


def test_it_does_not_wait_for_ever(clock: Clock) -> None:
    found = Deadline(10.0)
    clock.wall_s = 100.0 + 10.0 * MOST + 0.1
    assert found.is_past()
