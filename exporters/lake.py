"""Batches of records into a lake."""

import logging
import os
import threading
import uuid
import weakref
from importlib.util import find_spec
from typing import TYPE_CHECKING

from exray.lake import Lake
from exray.lake.tensors import FULL_RING_BYTES, KeptFrame, TensorRing
from exray.lake.validate import check_set
from exray.schema.errors import ExrayError, LakeError, MissingExtraError
from exray.schema.records import FrameRecord

from .convert import tables_from_records
from .typing import ExportResult, RecordBatch

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)


class LakeExporter:
    """Commits each batch to a lake, whole and once.

    A batch whose export failed is committed exactly once by passing the same object again,
    before any other. One call at a time does the work; others wait.

    Args:
        path: The lake's folder; a new or empty one becomes a lake.
        full_ring_bytes: Most that the whole tensors of frames at level full take on disk.

    Raises:
        MissingExtraError: pyarrow or deltalake is not installed.
        LakeError: *path* holds something else, or cannot be written.
    """

    batch_bytes = 64 * 1024 * 1024
    """Size at which a `RecordBuffer` exports: some thousand frames, as every commit is files."""

    def __init__(
        self, path: str | os.PathLike[str], *, full_ring_bytes: int = FULL_RING_BYTES
    ) -> None:
        if find_spec("pyarrow") is None or find_spec("deltalake") is None:
            raise MissingExtraError("lake", f"recording into the lake {os.fspath(path)!r}")
        self._lake = Lake.open_or_create(path)
        self._ring = TensorRing(self._lake.path, full_ring_bytes)
        self._is_shut_down = False
        self._last_problem = self._last_ring_problem = ""
        self._start_writer()

    def _start_writer(self) -> None:
        """Take a name of our own: a forked child must not go on under its parent's."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._writer = uuid.uuid4().hex
        self._sequence = -1
        self._unfinished: weakref.ref[RecordBatch] | None = None

    @property
    def path(self) -> str:
        """The lake's folder, absolute."""
        return str(self._lake.path)

    def export(self, batch: RecordBatch) -> ExportResult:
        """Commit *batch*, or log why not; never raises.

        Returns:
            SUCCESS when all of it is on disk, FAILURE when some is not: pass the same
            object again. Also FAILURE after `shutdown`.
        """
        if self._is_shut_down:
            self._report("it was shut down before its last records came")
            return ExportResult.FAILURE
        try:
            if self._pid != os.getpid():
                self._start_writer()
            with self._lock:
                self._commit(batch)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  panics of delta-rs are no Exception
            text = str(error) if isinstance(error, ExrayError) else repr(error)
            self._report(f"{text} The records wait in memory and are tried again.")
            return ExportResult.FAILURE
        if self._last_problem:
            self._last_problem = ""
            logger.warning("exray: records reach the lake %r again", self.path)
        return ExportResult.SUCCESS

    def shutdown(self) -> None:
        """Take no more batches; a second call does nothing."""
        self._is_shut_down = True

    def _commit(self, batch: RecordBatch) -> None:
        if batch.is_empty():
            return
        if self._unfinished is None or self._unfinished() is not batch:
            self._sequence += 1
            self._unfinished = weakref.ref(batch)
        self._keep_tensors(batch)
        self._lake.commit(self._tables(batch), writer=self._writer, sequence=self._sequence)
        self._unfinished = None

    def _keep_tensors(self, batch: RecordBatch) -> None:
        """Write the whole tensors of *batch*; its rows go on without them where that fails."""
        frames = [frame for frame in map(_kept_frame, batch.frames) if frame.contents]
        problem = ""
        try:
            too_large = self._ring.add(frames)
            if too_large:
                problem = f"{len(too_large)} frames are each larger than the limit of the ring"
        except (LakeError, ValueError) as error:
            problem = str(error)
        if problem and problem != self._last_ring_problem:
            logger.warning("exray: tensors of level 'full' are not kept: %s", problem)
        self._last_ring_problem = problem or self._last_ring_problem

    def _tables(self, batch: RecordBatch) -> "dict[str, pa.Table]":
        """Return *batch* as tables, without the records that no table can hold."""
        try:
            return _checked_tables(batch)
        except (MissingExtraError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001  whatever a bad value makes Arrow raise
            sound = RecordBatch(
                tuple(r for r in batch.runs if _fits(RecordBatch(runs=(r,)))),
                tuple(g for g in batch.graphs if _fits(RecordBatch(graphs=(g,)))),
                tuple(f for f in batch.frames if _fits(RecordBatch(frames=(f,)))),
                tuple(s for s in batch.spans if _fits(RecordBatch(spans=(s,)))),
                tuple(m for m in batch.metrics if _fits(RecordBatch(metrics=(m,)))),
            )
            self._report(f"{_left_out(batch, sound)} are left out: {error!r}")
            return _checked_tables(sound)

    def _report(self, problem: str) -> None:
        """Log *problem*, unless it is the one logged last."""
        if problem != self._last_problem:
            self._last_problem = problem
            logger.warning("exray: cannot write to the lake %r: %s", self.path, problem)


def _kept_frame(frame: FrameRecord) -> KeptFrame:
    """Return the whole tensors of *frame*, wherever in it they were seen."""
    inside = (inference.tensors for inference in frame.inferences)
    contents: dict[int, bytes] = {}
    for block in [*frame.tensors, *(block for block in inside if block is not None)]:
        for row, content in block.contents.items():
            contents[int(block.rows["hash"][row])] = content
    return KeptFrame(frame.start_ns, frame.span_id, contents)


def _checked_tables(batch: RecordBatch) -> "dict[str, pa.Table]":
    tables = tables_from_records(batch.runs, batch.graphs, batch.frames, batch.spans, batch.metrics)
    check_set(tables)
    return tables


def _left_out(batch: RecordBatch, sound: RecordBatch) -> str:
    """Say how many frames, and how many numbers outside frames, *sound* has less."""
    frames = len(batch.frames) - len(sound.frames)
    text = f"{frames} of {len(batch.frames)} frames"
    metrics = len(batch.metrics) - len(sound.metrics)
    return f"{text} and {metrics} of {len(batch.metrics)} metrics" if metrics else text


def _fits(batch: RecordBatch) -> bool:
    """Tell whether *batch*, of one record, can become rows: one must not hold up the others."""
    try:
        _checked_tables(batch)
    except Exception:  # noqa: BLE001  whatever a bad value makes Arrow raise
        return False
    return True
