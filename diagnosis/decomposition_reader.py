"""From runs in the lake to what each step between model and device does."""

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from exray.queries.select import Selection, resolve

from .align_runs import ensure_alignment
from .causes import Replay
from .decomposition import Decomposition, LayerSteps, Missing

if TYPE_CHECKING:
    import duckdb

    from exray.lake import Lake
    from exray.queries.interrupt import Cursors

FEWEST = 3
"""Inputs that a build must share with the edge to stand between it and its reference."""

_COLUMNS = (
    "layer_index, layer_name, op, total_sqnr_db, kernel_sqnr_db, quantization_sqnr_db, "
    "conversion_sqnr_db, largest"
)

# Runs of .tflite files over the edge's inputs: of its own file on other kernels, or of a
# float one, of which most layers bear the same names.
_BETWEEN = """
WITH
wanted AS (
  SELECT DISTINCT f.input_key
  FROM frames AS f
  WHERE list_contains($edge_runs, hex_id(f.run_id))
),

own AS (
  SELECT DISTINCT g.layer_name
  FROM graphs AS g
  WHERE g.model_sha256 = $edge_sha256
),

alike AS (
  SELECT
    g.model_sha256,
    count(DISTINCT o.layer_name) AS layers
  FROM graphs AS g
  LEFT JOIN own AS o ON g.layer_name = o.layer_name
  GROUP BY g.model_sha256
)

SELECT hex_id(r.run_id)
FROM runs AS r
INNER JOIN alike AS a ON r.model_sha256 = a.model_sha256
INNER JOIN frames AS f ON r.run_id = f.run_id
INNER JOIN wanted AS w ON f.input_key = w.input_key
WHERE
  r.model_format = 'tflite'
  AND NOT list_contains($edge_runs, hex_id(r.run_id))
  AND CASE
    WHEN $is_same_file THEN r.model_sha256 = $edge_sha256 AND r.kernels <> $edge_kernels
    ELSE
      r.model_precision LIKE 'float%'
      AND 2 * a.layers >= (SELECT count(*) FROM own)
  END
GROUP BY r.run_id, r.kernels, r.started_ns, a.layers
HAVING count(DISTINCT f.input_key) >= $fewest
ORDER BY
  a.layers DESC,
  CASE r.kernels WHEN 'reference' THEN 0 WHEN 'builtin' THEN 1 ELSE 2 END,
  count(DISTINCT f.input_key) DESC,
  r.started_ns DESC
LIMIT 1
"""


def read_decomposition(
    lake: "Lake", cursors: "Cursors", edge: Selection, reference: Selection, replay: Replay
) -> Decomposition | None:
    """Take the difference of an integer edge apart, as far as builds between tell.

    Args:
        lake: The lake, to which alignments are written.
        cursors: Makes connections to it.
        edge: Runs of the edge.
        reference: Runs of the reference.
        replay: Files that the user named, for the commands that record what is missing.

    Returns:
        None where there is nothing to take apart: the edge computes in floats or is no
        .tflite file, or both sides run one file.
    """
    if "float" in edge.precision or edge.model_sha256 == reference.model_sha256:
        return None
    with cursors.cursor() as connection:
        if not _is_tflite(connection, edge):
            return None
        other = _between(connection, edge, is_same_file=True)
        is_converted = "float" in reference.precision and _is_tflite(connection, reference)
        floats = reference if is_converted else _between(connection, edge, is_same_file=False)
        missing = _missing(lake, edge, replay, other=other, floats=floats)
        if other is None and floats is None:
            return Decomposition(missing=missing)
        for first, second in ((edge, other), (other or edge, floats), (floats, reference)):
            if first is not None and second is not None and first is not second:
                ensure_alignment(lake, connection, first, second)
        selectors = [side.selector if side else "" for side in (edge, other, floats, reference)]
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM layer_decomposition($1, $2, $3, $4) ORDER BY layer_index",
            selectors,
        ).fetchall()
    layers = [LayerSteps(*row) for row in rows]
    if is_converted:  # the reference is the float file: nothing lies between the two
        layers = [replace(layer, conversion_sqnr_db=None) for layer in layers]
        layers = [replace(layer, largest=_largest(layer)) for layer in layers]
    return Decomposition(
        tuple(layers),
        other_kernels="" if other is None else f"{other.build} on {other.kernels} kernels",
        float_file="" if floats is None else f"{floats.build} ({floats.model_name})",
        missing=missing,
    )


def _largest(layer: LayerSteps) -> str | None:
    return max(layer.shares, key=layer.shares.__getitem__, default=None)


def _is_tflite(connection: "duckdb.DuckDBPyConnection", side: Selection) -> bool:
    row = connection.execute(
        "SELECT bool_and(model_format = 'tflite') FROM runs WHERE list_contains($1, hex_id(run_id))",
        [list(side.run_ids)],
    ).fetchone()
    return row is not None and bool(row[0])


def _between(
    connection: "duckdb.DuckDBPyConnection", edge: Selection, *, is_same_file: bool
) -> Selection | None:
    """Return the run that stands between edge and reference best, None where there is none."""
    rows = connection.execute(
        _BETWEEN,
        {
            "edge_runs": list(edge.run_ids),
            "edge_sha256": edge.model_sha256,
            "edge_kernels": edge.kernels,
            "is_same_file": is_same_file,
            "fewest": FEWEST,
        },
    ).fetchall()
    return resolve(connection, str(rows[0][0]), None) if rows else None


def _missing(
    lake: "Lake",
    edge: Selection,
    replay: Replay,
    *,
    other: Selection | None,
    floats: Selection | None,
) -> tuple[Missing, ...]:
    """Return what would tell more, each with the command that records it."""

    def command(model: str, build: str) -> str:
        inputs = str(replay.inputs) if replay.inputs else "INPUTS"
        words = ["exray", "run", model, "--inputs", inputs, "--preprocess", "SPEC.yaml"]
        words += ["--kernels", "reference", "--build", build, "--lake", lake.place]
        return shlex.join(words)

    found: list[Missing] = []
    if floats is None:
        what = "no run of the float .tflite file, so conversion and quantization stay one"
        found.append(Missing(what, command("FLOAT.tflite", f"{edge.build}-float")))
    if other is None and edge.kernels != "reference":
        own = str(replay.edge_model) if replay.edge_model else f"{edge.model_name}.tflite"
        what = f"no run of this file on other kernels than {edge.kernels}, so what kernels do"
        what += " is counted with quantization"
        found.append(Missing(what, command(own, f"{edge.build}-reference-kernels")))
    return tuple(found)
