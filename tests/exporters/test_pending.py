import pytest

from exray.exporters.pending import SPAN_BYTES, PendingRecords
from exray.schema.records import MetricRecord

from .builders import make_frame, make_run


def make_metrics(count: int) -> list[MetricRecord]:
    return [MetricRecord(name="light", value=n, time_ns=n, run=make_run()) for n in range(count)]


def test_numbers_outside_frames_are_part_of_the_batch() -> None:
    pending = PendingRecords(10**6)
    metrics = make_metrics(3)

    pending.add_metrics(metrics[:1])
    pending.add_metrics(metrics[1:])
    pending.seal()

    sealed = pending.take()
    assert sealed is not None
    batch = sealed.batch()
    assert (batch.metrics, batch.is_empty()) == (tuple(metrics), False)


def test_no_numbers_open_no_batch() -> None:
    pending = PendingRecords(10**6)

    pending.add_metrics([])

    assert (pending.open_since_s, pending.unexported()) == (None, 0)


def test_numbers_outside_frames_count_as_waiting_before_and_after_the_cut() -> None:
    pending = PendingRecords(10**6)
    pending.add_metrics(make_metrics(2))
    pending.seal()
    pending.add_metrics(make_metrics(3))
    pending.add_frame(make_frame())

    assert pending.unexported() == 6


def test_numbers_outside_frames_are_bounded_and_their_loss_is_counted() -> None:
    pending = PendingRecords(10 * SPAN_BYTES)
    for _ in range(5):
        pending.add_metrics(make_metrics(10))

    assert pending.size_bytes <= 20 * SPAN_BYTES
    assert (pending.dropped_metrics, pending.dropped) == (30, 30)


@pytest.mark.parametrize("kind", ["frame", "metrics"])
def test_what_is_dropped_is_counted_whatever_it_is(kind: str) -> None:
    pending = PendingRecords(1)
    for _ in range(3):
        if kind == "frame":
            pending.add_frame(make_frame())
        else:
            pending.add_metrics(make_metrics(1))

    assert pending.dropped > 0
    assert (pending.dropped_frames > 0) == (kind == "frame")
