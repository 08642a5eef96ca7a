from dataclasses import dataclass, field

import pytest

from exray.exporters import ExportResult, LakeExporter, RecordBatch, RecordBuffer
from exray.exporters.buffer import BATCH_BYTES
from exray.exporters.pending import frame_bytes

from .builders import make_frame


@dataclass
class Frames:
    """Exporter that counts the frames of each batch, and takes them or not."""

    result: ExportResult = ExportResult.SUCCESS
    counts: list[int] = field(default_factory=list[int])

    def export(self, batch: RecordBatch) -> ExportResult:
        """Note how many there are."""
        self.counts.append(len(batch.frames))
        return self.result

    def shutdown(self) -> None:
        """Do nothing."""


@dataclass
class Large(Frames):
    """One for which batches should be larger."""

    batch_bytes: int = 10 * BATCH_BYTES


@pytest.mark.parametrize(("exporter", "batches"), [(Frames(), 10), (Large(), 1)])
def test_batches_are_as_large_as_their_exporter_asks(exporter: Frames, batches: int) -> None:
    frame = make_frame()
    buffer = RecordBuffer(exporter)
    for _ in range(10 * BATCH_BYTES // frame_bytes(frame)):
        buffer.add_frame(frame)

    assert buffer.flush()

    assert len(exporter.counts) == pytest.approx(batches, abs=1)
    buffer.shutdown()


def test_a_lake_asks_for_large_batches() -> None:
    assert LakeExporter.batch_bytes > 10 * BATCH_BYTES


def test_frames_wait_for_an_exporter_that_fails_far_beyond_a_batch(
    caplog: pytest.LogCaptureFixture,
) -> None:
    frame, exporter = make_frame(), Frames(ExportResult.FAILURE)
    buffer = RecordBuffer(exporter, max_bytes=1, keep_bytes=5 * frame_bytes(frame))
    for _ in range(8):
        buffer.add_frame(frame)

    assert not buffer.flush(0.1)
    assert buffer.dropped_frames == 3
    assert f"more than {5 * frame_bytes(frame)} bytes wait" in caplog.text

    exporter.result = ExportResult.SUCCESS
    buffer.shutdown()
