"""Alignments of the models in a lake: found once per pair of models, then read back."""

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from exray.schema.arrow import arrow_schema
from exray.schema.errors import LakeError, SelectionError
from exray.schema.records import SKETCH_SIZE, Graph, GraphOp

from .alignment import (
    ALIGNMENT_VERSION,
    LayerMatch,
    ModelLayers,
    align,
    distances_from_sketches,
    layers_from_graph,
)
from .verdict import SAME_INPUT_DB

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from exray.lake import Lake
    from exray.queries.select import Selection


def ensure_alignment(
    lake: "Lake",
    connection: "duckdb.DuckDBPyConnection",
    edge: "Selection",
    reference: "Selection",
) -> None:
    """See to it that *connection* knows which layers of two models answer to each other.

    What is not known yet is worked out and written to the lake, for every later query; a
    lake that cannot be written is read all the same. Layers that had no counterpart are
    tried again once there are frames with the same model input on both sides.

    Raises:
        SelectionError: A model's graph is not in the lake.
    """
    if edge.model_sha256 == reference.model_sha256:
        return
    sketches = _LayerSketches(connection, edge, reference)
    if not _is_stale(connection, edge, reference, has_common_input=sketches.common_input):
        return
    edge_layers = layers_from_graph(read_graph(connection, edge.model_sha256))
    reference_layers = layers_from_graph(read_graph(connection, reference.model_sha256))
    distances = sketches.distances(edge_layers, reference_layers)
    matches = align(edge_layers, reference_layers, distances, common_input=sketches.common_input)
    rows = _alignment_rows(edge.model_sha256, reference.model_sha256, matches)
    _show_to(connection, rows)
    try:
        lake.append({"alignments": rows})
    except LakeError:
        return  # read-only: the alignment serves this connection and is found again next time


def read_graph(connection: "duckdb.DuckDBPyConnection", model_sha256: str) -> Graph:
    """Read a model's operators from the lake.

    Raises:
        SelectionError: They are not there.
    """
    cursor = connection.execute(
        "SELECT * FROM graphs WHERE model_sha256 = ? ORDER BY subgraph_index, layer_index",
        [model_sha256],
    )
    names = [str(column[0]) for column in cursor.description or []]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    if not rows:
        msg = (
            f"the graph of model {model_sha256[:12]} is not in the lake, so its layers cannot be "
            "matched. Record it again with the model's file known to exray."
        )
        raise SelectionError(msg)
    return Graph(str(rows[0]["model_name"]), model_sha256, tuple(_graph_op(row) for row in rows))


def _graph_op(row: dict[str, Any]) -> GraphOp:
    return GraphOp(
        subgraph_index=row["subgraph_index"],
        layer_index=row["layer_index"],
        layer_name=row["layer_name"],
        op=row["op"],
        input_names=tuple(row["input_names"] or ()),
        output_names=tuple(row["output_names"] or ()),
        output_shapes=tuple(row["output_shapes"] or ()),
        output_dtypes=tuple(row["output_dtypes"] or ()),
        output_scales=tuple(row["output_scales"] or ()),
        output_zero_points=tuple(row["output_zero_points"] or ()),
        parents=tuple(row["parents"] or ()),
        macs=row["macs"],
        weight_bytes=row["weight_bytes"],
        activation_bytes=row["activation_bytes"],
        excluded_reason=row["excluded_reason"],
        attributes=json.loads(row["attributes_json"] or "{}"),
    )


class _LayerSketches:
    """Sketches of both models' layers in frames that both saw, nearest inputs first."""

    def __init__(
        self, connection: "duckdb.DuckDBPyConnection", edge: "Selection", reference: "Selection"
    ) -> None:
        self._rows = connection.execute(
            "SELECT side, pair, input_sqnr_db, layer_index, count, sketch"
            " FROM layer_sketches($edge, $reference)",
            {"edge": edge.selector, "reference": reference.selector},
        ).fetchall()
        same = {row[1] for row in self._rows if (row[2] or 0.0) >= SAME_INPUT_DB}
        self.common_input = bool(same)
        if same:
            self._rows = [row for row in self._rows if row[1] in same]

    def distances(self, edge: ModelLayers, reference: ModelLayers) -> NDArray[np.float64] | None:
        """Return normalised distances by position of layer, None without common frames."""
        pairs = {pair: i for i, pair in enumerate(dict.fromkeys(row[1] for row in self._rows))}
        if not pairs:
            return None
        edge_sketches, edge_counts = self._side("edge", edge, pairs)
        reference_sketches, reference_counts = self._side("reference", reference, pairs)
        distances = distances_from_sketches(edge_sketches, reference_sketches)
        distances[edge_counts[:, None] != reference_counts[None, :]] = np.nan
        return distances

    def _side(
        self, side: str, model: ModelLayers, pairs: dict[int, int]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        positions = {layer.index: i for i, layer in enumerate(model.layers)}
        sketches = np.full((len(pairs), len(positions), SKETCH_SIZE), np.nan)
        counts = np.full(len(positions), -1, np.int64)
        for row_side, pair, _, layer_index, count, sketch in self._rows:
            if row_side == side and sketch is not None and layer_index in positions:
                position = positions[layer_index]
                sketches[pairs[pair], position] = sketch
                counts[position] = count
        return sketches, counts


def _is_stale(
    connection: "duckdb.DuckDBPyConnection",
    edge: "Selection",
    reference: "Selection",
    *,
    has_common_input: bool,
) -> bool:
    """Whether an alignment is missing, of older rules, or could now be completed."""
    row = connection.execute(
        "SELECT count(*), min(a.version),"
        " count(*) FILTER (WHERE a.reference_layer_index IS NULL AND g.excluded_reason IS NULL)"
        " FROM alignments AS a INNER JOIN graphs AS g"
        " ON a.edge_model_sha256 = g.model_sha256 AND a.edge_layer_index = g.layer_index"
        " AND g.subgraph_index = 0"
        " WHERE a.edge_model_sha256 = ? AND a.reference_model_sha256 = ?",
        [edge.model_sha256, reference.model_sha256],
    ).fetchone()
    count, version, open_layers = row or (0, None, 0)
    if not count or version < ALIGNMENT_VERSION:
        return True
    return has_common_input and open_layers > 0


def _alignment_rows(
    edge_sha256: str, reference_sha256: str, matches: list[LayerMatch]
) -> "pa.Table":
    import pyarrow as pa

    now_ns = time.time_ns()
    rows = [
        {
            "edge_model_sha256": edge_sha256,
            "reference_model_sha256": reference_sha256,
            "edge_layer_index": match.edge_layer_index,
            "reference_layer_index": match.reference_layer_index,
            "method": match.method,
            "distance": match.distance,
            "runner_up": match.runner_up,
            "reason": match.reason,
            "version": ALIGNMENT_VERSION,
            "recorded_ns": now_ns,
        }
        for match in matches
    ]
    return pa.Table.from_pylist(rows, schema=arrow_schema("alignments"))


def _show_to(connection: "duckdb.DuckDBPyConnection", rows: "pa.Table") -> None:
    """Let an open connection see alignments that its snapshot of the lake lacks."""
    connection.register("_alignment_rows", rows)
    connection.execute("CREATE TEMP TABLE _new_alignments AS FROM _alignment_rows")
    connection.unregister("_alignment_rows")
    connection.execute("ALTER VIEW _alignments RENAME TO _stored_alignments")
    connection.execute(
        "CREATE VIEW _alignments AS FROM _stored_alignments UNION ALL BY NAME FROM _new_alignments"
    )
