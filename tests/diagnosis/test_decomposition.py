"""What conversion, quantization and kernels each do, where the lake has the builds between."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from exray.diagnosis.decomposition import Decomposition, LayerSteps, Missing
from exray.diagnosis.decomposition_terminal import print_decomposition
from exray.diagnosis.diagnose import diagnose
from exray.lake import Lake

from .layers.faulty import DEMO, FLOAT, INT8, record


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The int8 network on XNNPACK, its float file as reference."""
    path = tmp_path_factory.mktemp("steps") / "lake"
    record(path, "edge", INT8, "xnnpack")
    record(path, "reference", FLOAT, "builtin")
    return path


def steps(lake: Path, edge: str = "edge", reference: str = "reference") -> Decomposition | None:
    return diagnose(Lake.open(lake), edge, reference, finders=()).steps


def test_a_missing_build_is_named_with_its_command_and_no_longer_once_recorded(lake: Path) -> None:
    before = steps(lake)
    assert before is not None
    (missing,) = before.missing
    assert missing.what.startswith("no run of this file on other kernels than xnnpack")
    assert "--kernels reference --build edge-reference-kernels" in missing.command
    assert all(layer.kernel_sqnr_db is None for layer in before.layers)
    assert before.largest == {"quantization": len(before.layers)}

    record(lake, "other", INT8, "reference")
    after = steps(lake)
    assert after is not None
    assert after.missing == ()
    assert after.other_kernels == "other on reference kernels"
    for layer in after.layers:
        assert layer.conversion_sqnr_db is None  # the reference is the float file
        assert layer.quantization_sqnr_db is not None
        assert layer.kernel_sqnr_db is not None
        assert sum(layer.shares.values()) == pytest.approx(1.0)


def test_a_float_edge_has_nothing_to_take_apart(lake: Path) -> None:
    assert steps(lake, "reference", "reference") is None


def test_of_an_edge_that_was_given_another_input_nothing_is_taken_apart(lake: Path) -> None:
    """What its layers differ by came in with the input: no step between files made it."""
    record(lake, "bgr", INT8, "xnnpack", DEMO / "edge.yaml")
    assert steps(lake, "bgr") is None
    assert steps(lake) is not None


def test_json_says_every_layer_and_holds_no_infinity() -> None:
    made = Decomposition((LayerSteps(0, "a", "CONV_2D", 20.0, 30.0, 20.0, None, "quantization"),))
    document = json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert document["layers"][0]["shares"] == {"quantization": 0.9091, "kernel": 0.0909}
    assert document["largest"] == {"quantization": 1}


def test_the_terminal_shows_the_farthest_layers_and_what_is_missing() -> None:
    layers = tuple(
        LayerSteps(i, f"layer{i}", "ADD", 40.0 - i, 50.0, 40.0, 100.0, "quantization")
        for i in range(12)
    )
    made = Decomposition(layers, missing=(Missing("no run of it", "exray run it"),))
    out = io.StringIO()
    print_decomposition(made, Console(file=out, width=110, highlight=False))
    shown = out.getvalue()
    assert "layer11" in shown
    assert "layer3" not in shown
    assert "40.0 (91%)" in shown
    assert "quantization in 12 layers" in shown
    assert "Steps: no run of it. To record it:\n  exray run it\n" in shown
