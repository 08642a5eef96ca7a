"""Alignments of the models in a lake: found once per pair of models, then read back."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exray.schema.errors import LakeError

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from exray.lake import Lake
    from exray.queries.interrupt import Cursors
    from exray.queries.select import Selection

    from .alignment import LayerMatch, ModelLayers

COMMON_INPUT_DB = 30.0
"""SQNR above which two model inputs are one for alignment: coarse 8-bit inputs stay above it,
and a sound int8 layer is farther from its counterpart than such inputs are from each other."""


def ensure_alignment(
    lake: "Lake",
    connection: "duckdb.DuckDBPyConnection",
    edge: "Selection",
    reference: "Selection",
    known: "Cursors | None" = None,
) -> str | None:
    """See to it that *connection* knows which layers of two models answer to each other.

    What is not known yet is worked out and written to the lake, for every later query; a
    lake that cannot be written is read all the same. Layers without counterpart are tried
    again, once there are frames with the same model input on both sides.

    Args:
        lake: The lake.
        connection: A connection to it from `exray.queries.engine.connect`.
        edge: Runs of the one model.
        reference: Runs of the other.
        known: Cursors that know the frames of both.

    Returns:
        Why the layers cannot be matched, None where they are.
    """
    found = find_alignment(connection, edge, reference, known)
    if found.rows is None:
        return found.reason
    _show_to(connection, found.rows)
    try:
        lake.append({"alignments": found.rows})
    except LakeError:
        return None  # read-only: the alignment serves this connection and is found again next time
    return None


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to know about a pair of models besides what the lake knows.

    Args:
        rows: Of the table ``alignments``; None where nothing is new.
        reason: Why the layers cannot be matched, None where they are.
    """

    rows: "pa.Table | None" = None
    reason: str | None = None


def find_alignment(
    connection: "duckdb.DuckDBPyConnection",
    edge: "Selection",
    reference: "Selection",
    known: "Cursors | None" = None,
) -> Found:
    """Work out which layers of two models answer to each other, unless *connection* knows.

    Args are those of `ensure_alignment`.
    """
    if edge.model_sha256 == reference.model_sha256:
        return Found()
    stored = _stored(connection, edge, reference)
    if stored.is_settled:
        return Found()
    # Sketches are read for what is open only: over many frames that takes longer than the rest.
    sketches = _LayerSketches(known or connection, edge, reference)
    if stored.is_current and not sketches.common_input:
        return Found()
    from .alignment import align
    from .lake_graphs import read_layers

    ours = read_layers(connection, edge.model_sha256)
    theirs = read_layers(connection, reference.model_sha256)
    missing = [
        side.model_name for side, model in ((edge, ours), (reference, theirs)) if not model.layers
    ]
    if missing:
        reason = (
            f"the lake does not hold the graph of {' and '.join(missing)}, so layers cannot be "
            "matched. Record it again with the model's file known to exray."
        )
        return Found(reason=reason)
    distances = sketches.distances(ours, theirs)
    matches = align(ours, theirs, distances, common_input=sketches.common_input)
    if stored.says(matches):
        return Found()
    # The newest row counts, even where the clock of who wrote the others was ahead.
    recorded_ns = max(time.time_ns(), stored.recorded_ns + 1)
    return Found(_alignment_rows(edge, reference, matches, recorded_ns))


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the lake says about a pair of models.

    Args:
        answers: Reference layer, method and reason by edge layer.
        version: Oldest version of the rules that made them.
        open_layers: Layers that compute activations and have no counterpart.
        measured_layers: Layers whose match is backed by a distance.
        recorded_ns: When the newest of it was written, nanoseconds since 1970.
    """

    answers: dict[int, tuple[int | None, str, str | None]]
    version: int
    open_layers: int
    measured_layers: int
    recorded_ns: int

    @property
    def is_current(self) -> bool:
        """Whether rules as good as these made it; a newer exray knows better."""
        from .alignment import ALIGNMENT_VERSION

        return bool(self.answers) and self.version >= ALIGNMENT_VERSION

    @property
    def is_settled(self) -> bool:
        """Whether more frames could not improve it."""
        return self.is_current and not self.open_layers and self.measured_layers > 0

    def says(self, matches: "list[LayerMatch]") -> bool:
        """Whether it holds nothing else than these matches, so need not be written again."""
        found = {
            match.edge_layer_index: (match.reference_layer_index, match.method, match.reason)
            for match in matches
        }
        is_backed = self.measured_layers > 0 or all(match.distance is None for match in matches)
        return self.is_current and is_backed and self.answers == found


def _stored(
    connection: "duckdb.DuckDBPyConnection", edge: "Selection", reference: "Selection"
) -> _Stored:
    rows = connection.execute(
        "SELECT a.edge_layer_index, a.reference_layer_index, a.method, a.reason, a.version,"
        " a.reference_layer_index IS NULL AND g.excluded_reason IS NULL, a.distance IS NOT NULL,"
        " a.recorded_ns"
        " FROM alignments AS a INNER JOIN graphs AS g"
        " ON a.edge_model_sha256 = g.model_sha256 AND a.edge_layer_index = g.layer_index"
        " WHERE g.subgraph_index = 0"
        " AND a.edge_model_sha256 = ? AND a.reference_model_sha256 = ?",
        [edge.model_sha256, reference.model_sha256],
    ).fetchall()
    return _Stored(
        answers={row[0]: (row[1], row[2], row[3]) for row in rows},
        version=min((row[4] for row in rows), default=0),
        open_layers=sum(row[5] for row in rows),
        measured_layers=sum(row[6] for row in rows),
        recorded_ns=max((row[7] for row in rows), default=0),
    )


class _LayerSketches:
    """Sketches of both models' layers in frames that both saw, nearest inputs first."""

    def __init__(self, cursors: "Cursors", edge: "Selection", reference: "Selection") -> None:
        with cursors.cursor() as cursor:
            self._rows: list[tuple[Any, ...]] = cursor.execute(
                "SELECT side, pair, input_sqnr_db, layer_index, count, sketch"
                " FROM layer_sketches($edge, $reference)",
                {"edge": edge.selector, "reference": reference.selector},
            ).fetchall()
        same = {row[1] for row in self._rows if (row[2] or 0.0) >= COMMON_INPUT_DB}
        self.common_input = bool(same)
        """Whether the rows come from frames with (nearly) the same model input."""
        if same:
            self._rows = [row for row in self._rows if row[1] in same]

    def distances(
        self, edge: "ModelLayers", reference: "ModelLayers"
    ) -> "NDArray[np.float64] | None":
        """Return normalised distances by position of layer, None without common frames."""
        import numpy as np

        from .alignment import distances_from_sketches

        pairs = {pair: i for i, pair in enumerate(dict.fromkeys(row[1] for row in self._rows))}
        if not pairs:
            return None
        edge_sketches, edge_counts = self._side("edge", edge, pairs)
        reference_sketches, reference_counts = self._side("reference", reference, pairs)
        distances = distances_from_sketches(edge_sketches, reference_sketches)
        distances[edge_counts[:, None] != reference_counts[None, :]] = np.nan
        return distances

    def _side(
        self, side: str, model: "ModelLayers", pairs: dict[int, int]
    ) -> "tuple[NDArray[np.float64], NDArray[np.int64]]":
        """Return one side's sketches, shape (pairs, layers, k), and element counts (layers,)."""
        import numpy as np

        from exray.schema.records import SKETCH_SIZE

        positions = {layer.index: i for i, layer in enumerate(model.layers)}
        sketches = np.full((len(pairs), len(positions), SKETCH_SIZE), np.nan)
        counts = np.full(len(positions), -1, np.int64)
        for row_side, pair, _, layer_index, count, sketch in self._rows:
            # privacy may have shortened the sketch of a layer that hands the input on
            is_whole = sketch is not None and len(sketch) == SKETCH_SIZE
            if row_side == side and is_whole and layer_index in positions:
                position = positions[layer_index]
                sketches[pairs[pair], position] = sketch
                counts[position] = count
        return sketches, counts


def _alignment_rows(
    edge: "Selection", reference: "Selection", matches: "list[LayerMatch]", recorded_ns: int
) -> "pa.Table":
    import pyarrow as pa

    from exray.schema.arrow import arrow_schema

    from .alignment import ALIGNMENT_VERSION

    rows = [
        {
            "edge_model_sha256": edge.model_sha256,
            "reference_model_sha256": reference.model_sha256,
            "edge_layer_index": match.edge_layer_index,
            "reference_layer_index": match.reference_layer_index,
            "method": match.method,
            "distance": match.distance,
            "runner_up": match.runner_up,
            "reason": match.reason,
            "version": ALIGNMENT_VERSION,
            "recorded_ns": recorded_ns,
        }
        for match in matches
    ]
    return pa.Table.from_pylist(rows, schema=arrow_schema("alignments"))


def _show_to(connection: "duckdb.DuckDBPyConnection", rows: "pa.Table") -> None:
    """Let an open connection see alignments that its snapshot of the lake lacks."""
    connection.register("_alignment_rows", rows)
    # Copied, because a view over itself would not end.
    connection.execute(
        "CREATE OR REPLACE TABLE _known_alignments AS"
        " FROM _alignments UNION ALL BY NAME FROM _alignment_rows"
    )
    connection.unregister("_alignment_rows")
    connection.execute("CREATE OR REPLACE VIEW _alignments AS FROM _known_alignments")
