from typing import Any

import numpy as np
import pytest

from exray.instrumentation.guard import forget_logged
from exray.instrumentation.level import Level
from exray.instrumentation.selection import (
    LayerSelection,
    LayerSelector,
    layer_levels,
    report_unmatched,
    selected_layers,
)
from exray.schema.errors import UsageError
from exray.schema.records import Graph, GraphOp, LayerSite

NAMES = ("conv1", "conv2/Relu6;x", "pool", "dense", "odd[1]")
OPS = ("CONV_2D", "CONV_2D", "MAX_POOL_2D", "FULLY_CONNECTED", "ADD")


def make_graph(names: tuple[str, ...] = NAMES, ops: tuple[str, ...] = OPS) -> Graph:
    rows = [
        GraphOp(
            subgraph_index=0,
            layer_index=index,
            layer_name=name,
            op=op,
            input_names=(),
            output_names=(),
            output_shapes=(),
            output_dtypes=(),
            output_scales=(),
            output_zero_points=(),
            parents=(),
            macs=0,
            weight_bytes=0,
            activation_bytes=0,
        )
        for index, (name, op) in enumerate(zip(names, ops, strict=True))
    ]
    return Graph("net", "ab", tuple(rows))


def chosen(layers: object) -> list[int]:
    mask = selected_layers(make_graph(), LayerSelection.parse(layers))
    assert mask.dtype == np.bool_
    return np.flatnonzero(mask).tolist()


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (None, [0, 1, 2, 3, 4]),
        ("all", [0, 1, 2, 3, 4]),
        ([], []),
        ("none", []),
        (["conv*"], [0, 1]),
        (["op:CONV_2D"], [0, 1]),
        (["op:conv*"], [0, 1]),
        (["1-3"], [1, 2, 3]),
        (["2"], [2]),
        (["2", "dense"], [2, 3]),
        ("2, dense", [2, 3]),
        (["odd[1]"], [4]),  # an exact name, whatever it would mean as a pattern
        (["CONV*"], []),
        (["*", "op:CONV_2D=latency"], [2, 3, 4]),
        (["op:CONV_2D=latency", "*"], [0, 1, 2, 3, 4]),
        (["*=latency"], []),
    ],
)
def test_selectors_choose_layers_by_name_operator_or_index(
    layers: object, expected: list[int]
) -> None:
    assert chosen(layers) == expected


def test_the_last_selector_that_matches_gives_the_level() -> None:
    selection = LayerSelection.parse(["*", "0-1=latency", "conv1=summary"])

    levels = layer_levels(make_graph(), selection, Level.SUMMARY)

    assert levels.tolist() == [2, 1, 2, 2, 2]


def test_a_frame_without_summaries_selects_no_layer() -> None:
    selection = LayerSelection.parse(["conv1=summary"])

    assert not selected_layers(make_graph(), selection, Level.LATENCY).any()


def test_the_highest_level_of_a_layer_is_that_of_a_selector() -> None:
    assert LayerSelection.parse(None).highest(Level.SUMMARY) == Level.SUMMARY
    assert LayerSelection.parse(["a=latency"]).highest(Level.SUMMARY) == Level.LATENCY
    assert LayerSelection.parse(["a"]).highest(Level.SUMMARY) == Level.SUMMARY
    assert LayerSelection.parse([]).highest(Level.SUMMARY) == Level.LATENCY
    assert LayerSelection.parse(["a=summary"]).highest(Level.LATENCY) == Level.LATENCY


def test_indices_are_of_the_primary_subgraph() -> None:
    selector = LayerSelector.parse("0-5")

    assert selector.matches(3, "x", "ADD")
    assert not selector.matches(3, "x", "ADD", subgraph_index=1)


def test_a_model_without_layers_has_none_to_select() -> None:
    assert selected_layers(Graph("net", "ab", ()), LayerSelection()).shape == (0,)


def test_a_layer_is_decided_once_and_remembered() -> None:
    selection = LayerSelection.parse(["conv*"])
    layer = LayerSite(0, "conv1", "CONV_2D")

    decided = [selection.level_of(layer, level) for level in (Level.SUMMARY, Level.LATENCY) * 2]

    assert decided == [Level.SUMMARY, Level.LATENCY] * 2


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([""], "layer selector '' is none; expected a pattern"),
        ("conv*,,dense", "layer selector '' is none"),
        ([3], "layer selector 3 is none"),
        (["5-0"], "layer selector '5-0' runs backwards; write '0-5'"),
        (["conv*=loud"], "level 'loud' is unknown"),
        (["conv*=off"], "a layer cannot be off; 'latency' keeps its time alone"),
        (7, "layers 7 are no selectors"),
    ],
)
def test_what_is_no_selector_is_an_error_that_says_what_was_expected(
    layers: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        LayerSelection.parse(layers)


def test_a_selector_that_matches_nothing_is_logged_once_with_the_names_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    forget_logged()
    selection = LayerSelection.parse(["conv*", "cnv*", "9"])

    report_unmatched(make_graph(), selection)
    report_unmatched(make_graph(), selection)

    first, second = caplog.messages
    assert first.startswith("layer selector 'cnv*' matches no layer of model 'net'; layers there: ")
    assert "0 conv1 (CONV_2D), 1 conv2/Relu6;x (CONV_2D)" in first
    assert second.startswith("layer selector '9' matches no layer")


def test_of_many_names_the_log_shows_the_first(caplog: pytest.LogCaptureFixture) -> None:
    forget_logged()
    graph = make_graph(tuple(f"l{i}" for i in range(25)), ("ADD",) * 25)

    report_unmatched(graph, LayerSelection.parse("x"))

    (message,) = caplog.messages
    assert message.endswith("19 l19 (ADD) and 5 more.")
