"""Compare two builds of a lake, layer by layer."""

from contextlib import closing
from typing import TYPE_CHECKING

from exray.queries.engine import connect
from exray.queries.interrupt import Watch, WatchedCursors, interruptible
from exray.queries.select import resolve_pair
from exray.schema.errors import LakeError, MissingExtraError

from .align_runs import ensure_alignment
from .comparison import Comparison
from .comparison_reader import read_comparison

if TYPE_CHECKING:
    from exray.lake import Lake


def compare(
    lake: "Lake",
    edge: str,
    reference: str,
    *,
    model: str | None = None,
    device: str | None = None,
    kernels: str | None = None,
) -> Comparison:
    """Compare the runs that two BUILDs name.

    Args:
        lake: The lake that holds both; layers' alignments are written to it where it can be
            written.
        edge: A build, or a run id by its beginning.
        reference: The same of the reference.
        model: Model name, where a build has several; ``A,B`` is the edge's and the
            reference's, as `exray.queries.resolve_pair` reads them.
        device: Device, likewise.
        kernels: Kernel family, likewise.

    Raises:
        SelectionError: A BUILD names nothing, or several models, devices or kernel families.
        LakeError: The lake is damaged.
        MissingExtraError: DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise MissingExtraError("lake", "a comparison") from error
    chosen = {"model": model, "device": device, "kernels": kernels}

    def work(watch: Watch) -> Comparison:
        with closing(connect(lake)) as connection:
            watch.watched(connection)
            edge_runs, reference_runs = resolve_pair(connection, edge, reference, **chosen)
            note = ensure_alignment(lake, connection, edge_runs, reference_runs)
            cursors = WatchedCursors(connection, watch)
            return read_comparison(cursors, edge_runs, reference_runs, note)

    try:
        return interruptible(work)
    except duckdb.Error as error:
        told = str(error).split("\n", 1)[0]
        msg = f"lake '{lake.place}' cannot be read: {told}. Restore the file from a copy."
        raise LakeError(msg) from error
