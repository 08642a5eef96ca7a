"""What accuracy, distributions and the trend are drawn from."""

from typing import Any

import pytest

from exray.diagnosis.page import Page
from exray.diagnosis.page.bins import Bucket, distribution
from exray.diagnosis.page.charts import (
    accuracy_spec,
    distribution_spec,
    sqnr_trend_spec,
    time_trend_spec,
    top1_trend_spec,
)
from exray.diagnosis.page.layer_charts import sqnr_spec, time_spec
from exray.diagnosis.page.vega import VEGA_LITE

from ..builders import make_comparison, make_side
from .pages import make_builds, make_hostile_page, make_page


def rows(spec: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = spec["data"]["values"]
    return found


def test_accuracy_stands_with_its_interval_on_an_axis_from_nothing_to_all() -> None:
    spec: Any = accuracy_spec(make_page())
    edge, reference = rows(spec)
    assert (edge["top1"], edge["low"], edge["high"]) == (0.733, 0.6, 0.83)
    assert reference["interval"] == "80.0% to 95.0%"
    assert spec["layer"][0]["encoding"]["x"]["scale"]["domain"] == [0, 1]


def test_a_side_without_labels_is_left_out() -> None:
    edge = make_side(top1=0.5, ci95=(0.4, 0.6))
    assert len(rows(accuracy_spec(Page(make_comparison(edge=edge))))) == 1
    assert accuracy_spec(Page(make_comparison())) is None


def test_the_last_bin_of_a_distribution_is_drawn_to_its_end() -> None:
    spec = distribution_spec(distribution("x", [Bucket(0.0, 4.0, 1.0, 1.0)], count=4))
    assert [row["lower"] for row in rows(spec)] == [0, 1, 2, 3, 4]
    assert rows(spec)[-1]["edge"] == 0.0


def test_the_trend_marks_the_edge_and_keeps_the_builds_order() -> None:
    spec: Any = top1_trend_spec(make_page(builds=make_builds(12)))
    assert [row["position"] for row in rows(spec)] == list(range(12))
    assert [row["is_edge"] for row in rows(spec)] == [False] * 11 + [True]
    names = spec["layer"][0]["encoding"]["x"]["axis"]["labelExpr"]
    assert '"1.9.0", "1.10.0"' in names


def test_a_build_without_a_number_leaves_a_gap() -> None:
    first, *others = make_builds(3)
    page = make_page(builds=(first, *others[:1], type(first)("1.9.9", first.started)))
    assert [row["position"] for row in rows(time_trend_spec(page))] == [0, 1]


def test_a_trend_of_nothing_is_none() -> None:
    build = make_builds(1)[0]
    page = make_page(builds=(type(build)("1.0", build.started),))
    assert (top1_trend_spec(page), sqnr_trend_spec(page), time_trend_spec(page)) == (None,) * 3


@pytest.mark.parametrize("page", [make_page(), make_page(300), make_hostile_page()])
def test_every_chart_is_vega_lite_that_compiles(page: Page) -> None:
    vl_convert = pytest.importorskip("vl_convert")
    specs = [
        sqnr_spec(page),
        time_spec(page),
        accuracy_spec(page),
        distribution_spec(page.distributions[0]),
        top1_trend_spec(page),
        sqnr_trend_spec(page),
        time_trend_spec(page),
    ]
    for spec in specs:
        assert vl_convert.vegalite_to_vega(spec, vl_version=VEGA_LITE)["marks"]
