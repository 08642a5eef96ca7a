"""What is as good as any, of floats, and of floats over integer weights."""

from dataclasses import replace
from pathlib import Path

import pytest

from exray.diagnosis.gate import against_baseline
from exray.diagnosis.layers.find import find_layer_causes
from exray.diagnosis.sound import GOOD_DB, HYBRID_DB, good_db, is_float, is_hybrid
from exray.lake import Lake
from exray.schema.records import Graph

from .lakes import Recording, make_graph, make_lake, make_values, with_noise
from .scenes import open_scene

NAMES = ["stem", "body", "head"]


def hybrid_graph() -> Graph:
    """Return a chain of float layers, the first with integer weights."""
    graph = make_graph("aa", NAMES)
    first = replace(graph.ops[0], attributes={"weight_scales": 8, "weight_channels": 8})
    return replace(graph, ops=(first, *graph.ops[1:]))


def builds(graph: Graph, folder: Path, edge_kernels: str, body_db: float = 20.0) -> Path:
    """Record a build on other kernels whose layers are as near as *body_db* to the reference's."""
    sides = (
        Recording(graph, "e", kernels=edge_kernels),
        Recording(graph, "before"),
        Recording(graph, "r", "reference"),
    )
    for frame in range(8):
        exact = {i: make_values(10 * frame + i) for i in range(3)}
        noisy = {i: with_noise(x, body_db, seed=10 * frame + i) for i, x in exact.items()}
        for side, layers in zip(sides, (noisy, exact, exact), strict=True):
            side.add(f"{frame}.png", make_values(frame + 500), layers)
    make_lake(folder / "lake", *sides)
    return folder / "lake"


@pytest.mark.parametrize(
    ("graph", "kernels", "wanted_db"),
    [
        (hybrid_graph(), "builtin", HYBRID_DB),
        (hybrid_graph(), "xnnpack", GOOD_DB),
        (make_graph("aa", NAMES), "builtin", GOOD_DB),
    ],
)
def test_integer_weights_differ_more_between_kernels(
    tmp_path: Path, graph: Graph, kernels: str, wanted_db: float
) -> None:
    scene = open_scene(Lake.open(builds(graph, tmp_path, kernels)), baseline="before")
    assert scene.baseline_selection is not None
    assert good_db(scene, scene.baseline_selection) == wanted_db
    gate = against_baseline(scene)
    assert gate is not None
    assert bool(gate.worse) == (wanted_db == GOOD_DB)
    assert bool(list(find_layer_causes(scene))) == (wanted_db == GOOD_DB)


def test_what_has_integer_weights_does_not_compute_in_floats_alone(tmp_path: Path) -> None:
    scene = open_scene(Lake.open(builds(hybrid_graph(), tmp_path, "builtin")))
    assert is_hybrid(scene, scene.edge)
    assert not is_float(scene, scene.edge)


def test_far_beyond_rounding_a_layer_of_integer_weights_is_named_too(tmp_path: Path) -> None:
    lake = Lake.open(builds(hybrid_graph(), tmp_path, "builtin", body_db=8.0))
    assert [*find_layer_causes(open_scene(lake, baseline="before"))]
