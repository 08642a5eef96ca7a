"""A comparison at a terminal."""

import io

import pytest
from rich.console import Console

from exray.diagnosis.comparison import Comparison, Coverage, StageTime, Unmatched
from exray.diagnosis.terminal import PIPE_WIDTH, make_console, print_comparison, print_line

from .builders import (
    make_comparison,
    make_input,
    make_layer,
    make_lost_layer,
    make_raw,
    make_side,
)


def printed(comparison: Comparison, width: int = PIPE_WIDTH, *, color: bool = False) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        highlight=False,
        force_terminal=color,
        color_system="standard" if color else None,
    )
    print_comparison(comparison, console)
    return stream.getvalue()


def lines(comparison: Comparison, beginning: str, width: int = PIPE_WIDTH) -> list[list[str]]:
    """Return the printed lines that begin so, as words."""
    found = (line.split() for line in printed(comparison, width).splitlines())
    return [words for words in found if words[:1] == [beginning]]


def test_every_layer_has_a_line_in_graph_order() -> None:
    layers = [make_layer(i, 30.0 - i, 1.25, edge_ms=0.5) for i in (0, 1, 2)]
    output = printed(make_comparison(layers))
    table = output[output.index("Layers, in graph order") :]
    found = [line.split() for line in table.splitlines() if "CONV_2D" in line]
    assert found == [
        ["0", "block_0/Relu6", "CONV_2D", "30.0", "1.2", "0.500", "-"],
        ["1", "block_1/Relu6", "CONV_2D", "29.0", "1.2", "0.500", "-"],
        ["2", "block_2/Relu6", "CONV_2D", "28.0", "1.2", "0.500", "-"],
    ]


def test_layers_without_value_show_dashes() -> None:
    comparison = make_comparison([make_lost_layer(4, op="SHAPE")])
    assert lines(comparison, "4") == [["4", "block_4/Relu6", "SHAPE", "-", "-", "-", "-"]]


def test_elements_that_are_not_finite_are_counted() -> None:
    comparison = make_comparison([make_layer(4, None, None, edge_nonfinite_count=12)])
    assert lines(comparison, "4")[0][3:5] == ["12", "NaN/Inf"]


def test_outcome_shows_accuracy_interval_flips_and_kernels() -> None:
    comparison = make_comparison(
        edge=make_side("1.4.2", top1=0.733, ci95=(0.6, 0.83), model_ms=3.4), flips=3, mcnemar_p=1.0
    )
    (edge,) = lines(comparison, "edge")
    assert edge == [
        *("edge", "1.4.2", "1.4.2_net", "xnnpack", "60"),
        *("73.3%", "60.0%", "..", "83.0%", "3.40"),
    ]
    assert "Flips (right on one side only): 3, McNemar p = 1" in printed(comparison)


def test_failed_frames_are_shown_where_there_are_any() -> None:
    assert "failed" not in printed(make_comparison())
    assert lines(make_comparison(edge=make_side(failed=2)), "edge")[0][-1] == "2"


def test_stages_and_places_share_a_table() -> None:
    comparison = make_comparison(
        places=[make_raw(), make_input()], stages=(StageTime("decode", 1.5, None),)
    )
    assert lines(comparison, "decode") == [["decode", "-", "1.50", "-"]]
    assert lines(comparison, "model") == [["model", "input", "46.0", "-", "-"]]


def test_coverage_names_what_was_left_out() -> None:
    coverage = Coverage(
        frames_paired=3,
        layers_unaligned=(Unmatched(7, "net/a/x", "ADD", "no name alike"),),
        layers_excluded=tuple(Unmatched(i, "s", "SHAPE", "shape arithmetic") for i in (8, 9)),
        reference_unmatched=tuple(
            Unmatched(i, "bn", op, "") for i, op in enumerate(["BN", "BN", "Pad"])
        ),
        note="a note",
    )
    output = printed(make_comparison(coverage=coverage))
    assert (
        "Layers: 0 aligned, 1 unaligned, 2 excluded; 3 of the reference answer to none." in output
    )
    assert "  a note\n" in output
    assert "  unaligned: 7 a/x: no name alike\n" in output
    assert "  excluded: 8 s: shape arithmetic\n  excluded: 9 s: shape arithmetic\n" in output
    assert "  reference layers that answer to none: 2 BN, 1 Pad\n" in output


def test_what_the_verdict_names_stands_out() -> None:
    output = printed(make_comparison([make_layer(0), make_layer(1, 9.0, 12.0)]), color=True)
    (marked,) = (line for line in output.splitlines() if "\x1b[1;33m" in line)
    assert "block_1" in marked


def test_names_are_no_markup_and_steer_no_terminal() -> None:
    hostile = "[bold]x[/nonsense] :smile: \x1b[2J"
    lost = Unmatched(1, hostile, hostile, hostile)
    comparison = make_comparison(
        [make_layer(0, layer=hostile, op=hostile)],
        [make_raw(None, reason=hostile)],
        edge=make_side(hostile, model_name=hostile, times_inflated=True),
        coverage=Coverage(
            frames_paired=1, layers_unaligned=(lost,), reference_unmatched=(lost,), note=hostile
        ),
    )
    output = printed(comparison, width=300)
    assert "\x1b" not in output
    assert "[bold]x[/nonsense] :smile:" in output


@pytest.mark.parametrize("width", [40, 80, 200])
def test_numbers_are_whole_at_any_width(width: int) -> None:
    comparison = make_comparison([make_layer(0, 12.3, 4.5, layer="x" * 60)])
    assert "12.3" in printed(comparison, width)
    assert "4.5" in printed(comparison, width)


def test_a_pipe_gets_room(capsys: pytest.CaptureFixture[str]) -> None:
    assert make_console().width == PIPE_WIDTH


def test_a_long_line_is_not_broken() -> None:
    stream = io.StringIO()
    print_line("word " * 100, Console(file=stream, width=40))
    assert len(stream.getvalue().splitlines()) == 1
