from exray.instrumentation.clock import SHORTEST_SUSPEND_NS, Clock, suspended_ns
from exray.testing import TickingClock

SECOND_NS = 10**9
YEAR_2026_NS = 1_767_225_600 * SECOND_NS


class Machine:
    """A wall clock, a monotonic clock and the time asleep, all set by hand."""

    def __init__(self, wall_ns: int = YEAR_2026_NS) -> None:
        self.wall_ns = wall_ns
        self.monotonic_ns = 5 * SECOND_NS
        self.asleep_ns = 0

    def clock(self) -> Clock:
        return Clock(lambda: self.wall_ns, lambda: self.monotonic_ns, lambda: self.asleep_ns)

    def run(self, dur_ns: int) -> None:
        self.wall_ns += dur_ns
        self.monotonic_ns += dur_ns

    def sleep(self, dur_ns: int) -> None:
        self.wall_ns += dur_ns
        self.asleep_ns += dur_ns


def test_it_tells_the_walls_time() -> None:
    machine = Machine()
    clock = machine.clock()

    machine.run(7)

    assert clock.now_ns() == YEAR_2026_NS + 7


def test_a_wall_clock_that_is_set_inside_a_frame_moves_nothing() -> None:
    machine = Machine()
    clock = machine.clock()
    before_ns = clock.now_ns()

    machine.wall_ns -= 3600 * SECOND_NS
    machine.run(10)

    assert clock.now_ns() - before_ns == 10


def test_after_a_suspend_the_next_frame_has_the_walls_time_again() -> None:
    machine = Machine()
    clock = machine.clock()

    machine.sleep(3600 * SECOND_NS)
    clock.follow_suspend()
    clock.follow_suspend()

    assert clock.now_ns() == machine.wall_ns


def test_a_suspend_inside_a_frame_is_no_part_of_its_duration() -> None:
    machine = Machine()
    clock = machine.clock()
    before_ns = clock.monotonic_ns()

    machine.sleep(3600 * SECOND_NS)
    machine.run(10)

    assert clock.monotonic_ns() - before_ns == 10


def test_suspends_add_up() -> None:
    machine = Machine()
    clock = machine.clock()

    for _ in range(3):
        machine.sleep(60 * SECOND_NS)
        clock.follow_suspend()

    assert clock.now_ns() == machine.wall_ns


def test_what_a_busy_machine_lets_pass_between_two_readings_is_no_suspend() -> None:
    machine = Machine()
    clock = machine.clock()

    machine.asleep_ns += SHORTEST_SUSPEND_NS - 1
    clock.follow_suspend()

    assert clock.now_ns() == YEAR_2026_NS


def test_a_device_that_booted_in_1970_is_not_plausible() -> None:
    assert not Machine(wall_ns=40 * SECOND_NS).clock().plausible


def test_a_date_of_use_is_plausible() -> None:
    assert Machine().clock().plausible


def test_a_new_anchor_takes_what_the_wall_says_now() -> None:
    machine = Machine(wall_ns=40 * SECOND_NS)
    clock = machine.clock()

    machine.wall_ns = YEAR_2026_NS
    clock.anchor()

    assert clock.now_ns() == YEAR_2026_NS


def test_the_system_tells_how_long_it_was_suspended() -> None:
    assert suspended_ns() > -SECOND_NS


def test_a_ticking_clock_starts_where_it_is_told_and_goes_on_by_its_step() -> None:
    clock = TickingClock(start_ns=YEAR_2026_NS, step_ns=50)

    assert [clock.now_ns() for _ in range(3)] == [YEAR_2026_NS + n for n in (0, 50, 100)]
