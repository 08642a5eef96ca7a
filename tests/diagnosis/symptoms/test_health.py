"""Layers that are broken in themselves, and sound ones that look a little like it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exray.diagnosis.causes import Cause
from exray.diagnosis.symptoms import find_health
from exray.diagnosis.symptoms.health import HealthRows, health_causes

from ..lakes import Recording, make_graph, make_values
from .scenes import causes

SOUND: dict[str, Any] = {
    "op": "CONV_2D",
    "executions": 20,
    "elements": 4096.0,
    "nan_count": 0,
    "inf_count": 0,
    "zero_ratio": 0.4,
    "sat_low_ratio": 0.4,
    "sat_high_ratio": 0.001,
    "high_ratio": 0.3,
    "certain_ratio": 0.0,
    "least": 0.0,
    "greatest": 6.0,
    "distinct_outputs": 20,
    "distinct_inputs": 20,
}


def make_rows(index: int = 0, reference: dict[str, Any] | None = None, **edge: Any) -> HealthRows:
    """Return a layer that is sound but for what is given."""
    name = {"layer_index": index, "layer_name": f"net/l{index}"}
    return HealthRows(SOUND | name | edge, SOUND | name | (reference or {}))


def codes(*layers: HealthRows, inputs_differ: bool = False) -> list[str]:
    return [cause.code for cause in health_causes(layers, inputs_differ=inputs_differ)]


BROKEN: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("health.nan", {"nan_count": 3}, {}),
    ("health.inf", {"inf_count": 3}, {}),
    ("health.dead", {"zero_ratio": 1.0, "distinct_outputs": 1}, {}),
    ("health.constant", {"distinct_outputs": 1}, {}),
    ("health.saturation", {"sat_high_ratio": 0.1, "greatest": 3.0}, {}),
    (
        "health.saturation",
        {"op": "FULLY_CONNECTED", "elements": 10.0, "high_ratio": 0.8, "greatest": 9.0},
        {"greatest": 14.0},
    ),
    (
        "health.saturation",
        {"op": "SOFTMAX", "elements": 10.0, "certain_ratio": 1.0},
        {"certain_ratio": 0.2},
    ),
]


@pytest.mark.parametrize(("code", "edge", "reference"), BROKEN)
def test_what_is_broken_is_named(
    code: str, edge: dict[str, Any], reference: dict[str, Any]
) -> None:
    assert codes(make_rows(reference=reference, **edge)) == [code]


@pytest.mark.parametrize(("code", "edge", "reference"), BROKEN)
def test_what_the_reference_does_too_is_no_fault(
    code: str, edge: dict[str, Any], reference: dict[str, Any]
) -> None:
    assert codes(make_rows(reference=edge, **edge)) == []


@pytest.mark.parametrize(
    "edge",
    [
        {},
        {"sat_high_ratio": 0.1},  # ReLU6: the reference ends there as well
        {"op": "FULLY_CONNECTED", "elements": 2.0, "sat_high_ratio": 0.1, "greatest": 2.0},
        {"elements": 1152.0, "high_ratio": 0.5, "sat_high_ratio": 0.0007, "greatest": 4.0},
        {"distinct_outputs": 1, "elements": 2.0},
        {"distinct_outputs": 1, "distinct_inputs": 1},
        {"op": "SOFTMAX", "certain_ratio": 0.6},
    ],
)
def test_sound_layers_are_let_be(edge: dict[str, Any]) -> None:
    assert codes(make_rows(**edge)) == []


def test_the_first_broken_layer_is_named_alone() -> None:
    layers = [make_rows(0), make_rows(1, nan_count=1), make_rows(2, nan_count=500)]
    (cause,) = health_causes(layers, inputs_differ=False)
    assert (cause.where.layer_index, cause.evidence["nan_count"]) == (1, 1)


def test_a_layer_without_counterpart_can_only_be_not_finite() -> None:
    layer = make_rows(0, nan_count=1, zero_ratio=1.0)
    assert codes(HealthRows(layer.edge, None)) == ["health.nan"]


def test_a_model_fed_wrongly_is_likelier_the_cause_than_its_layers() -> None:
    (cause,) = health_causes([make_rows(zero_ratio=1.0)], inputs_differ=True)
    assert cause.confidence == 0.5
    (cause,) = health_causes([make_rows(nan_count=1)], inputs_differ=True)
    assert cause.confidence > 0.9


def recorded(path: Path, *, dead: bool) -> list[Cause]:
    edge = Recording(make_graph("aa", ["stem", "head"]), "e")
    reference = Recording(make_graph("bb", ["stem", "head"]), "r", "reference")
    for frame in range(8):
        layers = {i: np.maximum(make_values(10 * frame + i), 0) for i in range(2)}
        reference.add(f"{frame}.png", make_values(frame + 100), layers)
        if dead:
            layers[1] = np.zeros_like(layers[1])
        edge.add(f"{frame}.png", make_values(frame + 100), layers)
    return causes(path, find_health, edge, reference)


def test_a_dead_layer_in_a_lake_is_found(tmp_path: Path) -> None:
    (cause,) = recorded(tmp_path, dead=True)
    assert (cause.code, cause.where.layer_index, cause.where.layer) == ("health.dead", 1, "head")
    assert cause.evidence["reference_zero_ratio"] == pytest.approx(0.5, abs=0.05)


def test_a_sound_lake_is_let_be(tmp_path: Path) -> None:
    assert recorded(tmp_path, dead=False) == []
