"""The picture: every layer has its place, and what the verdict names stands out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from exray.diagnosis.chart import WIDTH_PX, sqnr_chart
from exray.diagnosis.comparison import Comparison, Place
from exray.diagnosis.verdict import judge

from .builders import make_comparison, make_input, make_layer, make_lost_layer


@dataclass(frozen=True)
class Shape:
    """A bar or a dotted line."""

    kind: str
    x: float
    y: float
    height: float
    tooltip: str

    @property
    def low_y(self) -> float:
        """Where it ends below."""
        return self.y + self.height


def draw(comparison: Comparison) -> ElementTree.Element:
    return ElementTree.fromstring(sqnr_chart(comparison, judge(comparison)))


def shapes(comparison: Comparison) -> list[Shape]:
    """Return what stands for the input and each layer, from the left."""
    found: list[Shape] = []
    for element in draw(comparison):
        title = element.find("title")
        if title is None:
            continue
        at = element.attrib
        if element.tag == "rect":
            box = float(at["x"]), float(at["y"]), float(at["height"])
        else:
            box = float(at["x1"]), float(at["y1"]), float(at["y2"]) - float(at["y1"])
        found.append(Shape(at["class"], *box, title.text or ""))
    return sorted(found, key=lambda shape: shape.x)


def labels(comparison: Comparison) -> list[str]:
    """Return what is written under the bars."""
    return [
        element.text or ""
        for element in draw(comparison)
        if element.tag == "text" and element.get("text-anchor") == "middle"
    ]


def zero_y(comparison: Comparison) -> float:
    (line,) = (e for e in draw(comparison) if e.get("class") == "zero")
    return float(line.attrib["y1"])


def many(count: int) -> Comparison:
    return make_comparison([make_layer(i) for i in range(count)])


def kinds(found: Sequence[Shape]) -> list[str]:
    return [shape.kind for shape in found]


def test_the_model_input_stands_before_the_layers() -> None:
    found = shapes(make_comparison([make_layer(0), make_layer(1)]))
    assert kinds(found) == ["bar input", "bar layer", "bar layer"]
    assert found[0].tooltip == "model input: SQNR 46.0 dB"


def test_every_model_input_has_a_bar() -> None:
    places = [make_input(), Place("model input 1", "input", 45.0)]
    found = shapes(make_comparison([make_layer(0)], places))
    assert [shape.tooltip.split(":")[0] for shape in found[:2]] == ["model input", "model input 1"]


def test_an_input_that_was_not_recorded_is_dotted() -> None:
    first = shapes(make_comparison([make_layer(0)], places=[]))[0]
    assert first.kind == "missing"
    assert "not recorded" in first.tooltip


def test_the_layer_that_the_verdict_names_is_marked() -> None:
    layers = [make_layer(0, 35.0), make_layer(1, 9.0, 12.0), make_layer(2, 8.0)]
    found = shapes(make_comparison(layers))
    assert kinds(found)[1:] == ["bar layer", "bar layer worst", "bar layer"]


def test_the_input_is_marked_where_the_two_part_before_the_model() -> None:
    found = shapes(make_comparison([make_layer(0, 2.0, 20.0)], [make_input(3.0)]))
    assert kinds(found) == ["bar input worst", "bar layer"]


def test_a_mark_is_seen_though_its_bar_is_short() -> None:
    drawing = draw(make_comparison([make_layer(0, 35.0), make_layer(1, 0.1, 30.0)]))
    (mark,) = (element for element in drawing if element.get("class") == "mark")
    assert float(mark.attrib["height"]) > 200


def test_layers_without_value_are_dotted_and_say_why() -> None:
    found = shapes(make_comparison([make_layer(0), make_lost_layer(1, "shape arithmetic")]))
    assert found[2].kind == "missing"
    assert found[2].tooltip.endswith("shape arithmetic")


def test_layers_with_nan_are_dotted_and_marked() -> None:
    broken = make_layer(
        1, None, None, edge_nonfinite_count=12, reason="elements that are not finite"
    )
    found = shapes(make_comparison([make_layer(0), broken]))
    assert found[2].kind == "missing worst"
    assert "12 NaN/Inf" in found[2].tooltip


def test_bars_of_negative_decibels_hang_below_the_zero_line() -> None:
    comparison = make_comparison([make_layer(0, 20.0), make_layer(1, -15.0)])
    zero = zero_y(comparison)
    above, below = shapes(comparison)[1:]
    assert above.low_y == pytest.approx(zero, abs=0.2)
    assert below.y == pytest.approx(zero, abs=0.2)
    assert below.height > 10


def test_taller_is_closer() -> None:
    near, far = shapes(make_comparison([make_layer(0, 40.0), make_layer(1, 20.0)]))[1:]
    assert near.height == pytest.approx(2 * far.height, abs=0.3)


def test_a_bar_of_zero_decibels_is_there() -> None:
    assert shapes(make_comparison([make_layer(0, 0.0)]))[1].height >= 1


def test_the_scale_holds_the_end_of_the_decibel_scale() -> None:
    comparison = make_comparison([make_layer(0, 140.0), make_layer(1, -20.0)])
    assert all(shape.y >= 0 for shape in shapes(comparison))
    assert all(shape.low_y <= 240 for shape in shapes(comparison))


@pytest.mark.parametrize("count", [1, 30, 150])
def test_few_layers_fit_the_page(count: int) -> None:
    assert float(draw(many(count)).attrib["width"]) == WIDTH_PX


def test_few_layers_do_not_become_blocks() -> None:
    input_bar, layer = shapes(many(1))
    assert layer.x - input_bar.x <= 64


def test_many_layers_widen_the_picture() -> None:
    assert float(draw(many(300)).attrib["width"]) > WIDTH_PX
    assert len(shapes(many(300))) == 301


@pytest.mark.parametrize("count", [1, 12, 30, 66, 300])
def test_labels_have_room(count: int) -> None:
    drawing = draw(many(count))
    xs = [
        float(element.attrib["x"])
        for element in drawing
        if element.tag == "text" and element.get("text-anchor") == "middle"
    ]
    assert min(b - a for a, b in pairwise(xs)) >= 24
    assert labels(many(count))[0] == "in"


def test_no_layer_at_all_is_still_a_picture() -> None:
    assert kinds(shapes(make_comparison([], places=[]))) == ["missing"]


def test_hostile_names_do_not_leave_their_tooltip() -> None:
    name = '</title></svg><script>alert("x")</script>'
    layer = make_layer(0, layer=name, op="<b>&")
    svg = sqnr_chart(make_comparison([layer]), judge(make_comparison()))
    assert "<script" not in svg
    assert re.search(r"&lt;script&gt;alert\(&quot;x", svg)
    assert shapes(make_comparison([layer]))[1].tooltip.startswith(f"0 {name} (<b>&)")
