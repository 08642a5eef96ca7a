"""Models' graphs as the lake keeps them, for alignment."""

import json
from typing import TYPE_CHECKING, Any

from exray.schema.records import Graph, GraphOp

from .alignment import ModelLayers, layers_from_graph

if TYPE_CHECKING:
    import duckdb

_COLUMNS: tuple[str, ...] = (
    "model_name",
    "subgraph_index",
    "layer_index",
    "layer_name",
    "op",
    "input_names",
    "output_names",
    "output_shapes",
    "output_dtypes",
    "output_scales",
    "output_zero_points",
    "parents",
    "macs",
    "weight_bytes",
    "activation_bytes",
    "excluded_reason",
    "attributes_json",
)


def read_graph(connection: "duckdb.DuckDBPyConnection", model_sha256: str) -> Graph:
    """Read a model's operators from the lake; none where it does not hold them.

    Args:
        connection: A connection from `exray.queries.engine.connect`.
        model_sha256: SHA-256 of the model file, hex.
    """
    found = connection.execute(
        f"SELECT {', '.join(_COLUMNS)} FROM graphs WHERE model_sha256 = ?"
        " ORDER BY subgraph_index, layer_index",
        [model_sha256],
    ).fetchall()
    rows = [dict(zip(_COLUMNS, row, strict=True)) for row in found]
    name = str(rows[0]["model_name"]) if rows else ""
    return Graph(name, model_sha256, tuple(_graph_op(row) for row in rows))


def read_layers(connection: "duckdb.DuckDBPyConnection", model_sha256: str) -> ModelLayers:
    """Read a model's layers as alignment sees them; none where the lake does not hold them."""
    return layers_from_graph(read_graph(connection, model_sha256))


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
