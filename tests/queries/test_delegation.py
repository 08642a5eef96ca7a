"""Which layers a delegate took, and what its own operators cost, from literal times."""

from collections.abc import Sequence

import pytest

from .builders import Rows


def timed(timings: Sequence[str], level: str = "latency", kernels: str = "xnnpack") -> Rows:
    """A frame whose layers took 1 ms each, timed by these."""
    rows = Rows()
    frame = rows.frame(rows.run("e", kernels=kernels), level=level)
    for index, timing in enumerate(timings):
        rows.layer_span(frame, index, timing=timing, dur_ns=1_000_000)
    return rows


def delegation(rows: Rows, columns: str = "delegated, delegate_partition") -> list[object]:
    return list(rows.ask(f"SELECT {columns} FROM layer_delegation('e')"))


def test_what_is_left_divides_the_partitions() -> None:
    rows = timed(["xnnpack", "xnnpack", "probe", "xnnpack", "probe", "probe", "xnnpack"])
    assert delegation(rows) == [
        (True, 1), (True, 1), (False, None), (True, 2), (False, None), (False, None), (True, 3),
    ]  # fmt: skip


def test_time_is_a_share_of_all_layers() -> None:
    rows = timed(["xnnpack", "xnnpack", "xnnpack", "probe"])
    assert delegation(rows, "time_ratio") == [(pytest.approx(0.25),)] * 4


def test_frames_with_tensors_do_not_tell() -> None:
    assert delegation(timed(["xnnpack", "probe"], level="summary")) == []


def test_without_a_delegate_nothing_is_left() -> None:
    assert delegation(timed(["probe", "probe"], kernels="builtin")) == []


def test_operators_of_the_delegate_are_a_share_of_the_models_time() -> None:
    rows = Rows()
    run = rows.run("e")
    frame = rows.frame(run, level="latency")
    rows.span(frame, dur_ns=4_000_000)
    rows.metric(run, "exray.profiler.extra_ns", 1e6, 0.0, frame=frame)
    assert rows.ask("FROM delegate_copy('e')") == [(pytest.approx(1.0), pytest.approx(0.25))]


def test_a_delegate_that_tells_of_no_operator_has_none() -> None:
    assert timed(["xnnpack"]).ask("FROM delegate_copy('e')") == [(None, None)]
