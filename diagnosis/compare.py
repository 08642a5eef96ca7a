"""Compare two builds of a lake, layer by layer."""

from typing import TYPE_CHECKING

from exray.queries.interrupt import Watch, WatchedCursors
from exray.queries.known import Known
from exray.queries.select import resolve_pair

from .align_runs import ensure_alignment
from .comparison import Comparison
from .comparison_reader import read_comparison
from .opening import with_lake

if TYPE_CHECKING:
    import duckdb

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
    chosen = {"model": model, "device": device, "kernels": kernels}

    def work(connection: "duckdb.DuckDBPyConnection", watch: Watch) -> Comparison:
        edge_runs, reference_runs = resolve_pair(connection, edge, reference, **chosen)
        known = Known(connection, WatchedCursors(connection, watch))
        pairs = [(edge_runs.selector, reference_runs.selector)]
        known.keep_frames(pairs)
        note = ensure_alignment(lake, connection, edge_runs, reference_runs, known)
        known.keep_tensors(pairs)
        return read_comparison(known, edge_runs, reference_runs, note)

    return with_lake(lake, "a comparison", work)
