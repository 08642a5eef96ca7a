"""What the charts of layers are drawn from."""

from typing import Any

from exray.diagnosis.comparison import LayerDifference
from exray.diagnosis.page import Page
from exray.diagnosis.page.layer_charts import DENSE, MOST_TOP_DB, sqnr_spec, time_spec

from ..builders import make_comparison, make_input, make_layer, make_lost_layer
from .pages import make_page


def rows(spec: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = spec["data"]["values"]
    return found


def domain(spec: Any, channel: str, layer: int = 1) -> list[float]:
    found: list[float] = spec["layer"][layer]["encoding"][channel]["scale"]["domain"]
    return found


def page_of(*layers: LayerDifference, **values: Any) -> Page:
    return Page(make_comparison(layers, **values))


def test_model_inputs_stand_before_the_first_layer_in_their_order() -> None:
    places = [make_input(46.0), make_input(44.0)]
    shown = rows(sqnr_spec(page_of(make_layer(0), make_layer(1), places=places)))
    assert [row["i"] for row in shown] == [-2, -1, 0, 1]
    assert [row["sqnr"] for row in shown][:2] == [46.0, 44.0]


def test_an_input_that_was_not_recorded_has_a_place_all_the_same() -> None:
    (first, *_) = rows(sqnr_spec(page_of(make_layer(0), places=[])))
    assert (first["i"], first["sqnr"]) == (-1, None)
    assert first["reason"] == "not recorded on both sides"


def test_what_the_verdict_names_is_marked() -> None:
    inside = rows(sqnr_spec(page_of(make_layer(0), make_layer(1, 9.0, 12.0))))
    assert [row["kind"] for row in inside] == ["input", "layer", "mark"]
    before = rows(sqnr_spec(page_of(make_layer(0, 2.0, 9.0), places=[make_input(3.0)])))
    assert [row["kind"] for row in before] == ["mark", "layer"]


def test_a_layer_with_values_that_are_not_finite_says_how_many() -> None:
    broken = make_layer(1, None, None, edge_nonfinite_count=7)
    shown = rows(sqnr_spec(page_of(make_layer(0), broken)))
    assert (shown[2]["kind"], shown[2]["sqnr_text"]) == ("bad", "7 NaN/Inf")


def test_a_layer_that_was_not_measured_says_why() -> None:
    (_, lost) = rows(sqnr_spec(page_of(make_lost_layer(0, "no name alike"))))
    assert (lost["sqnr"], lost["sqnr_text"], lost["reason"]) == (None, "-", "no name alike")


def test_small_differences_look_small_and_equal_tensors_press_nothing_down() -> None:
    assert domain(sqnr_spec(page_of(make_layer(0, 3.0), places=[make_input(4.0)])), "y") == [0, 40]
    equal = page_of(make_layer(0, 140.0, 0.0), make_layer(1, 20.0))
    assert domain(sqnr_spec(equal), "y") == [0.0, MOST_TOP_DB]


def test_the_scale_reaches_below_nothing_where_errors_outweigh_tensors() -> None:
    assert domain(sqnr_spec(page_of(make_layer(0, -7.5))), "y")[0] == -7.5


def test_times_are_told_in_a_unit_that_fits() -> None:
    short: Any = time_spec(page_of(make_layer(0, edge_ms=0.25, reference_ms=0.125)))
    assert (rows(short)[0]["edge"], rows(short)[0]["edge_text"]) == (250.0, "250 µs")
    long: Any = time_spec(page_of(make_layer(0, edge_ms=12.5, reference_ms=None)))
    assert (rows(long)[0]["edge"], rows(long)[0]["edge_text"]) == (12.5, "12.5 ms")
    assert (rows(long)[0]["reference"], rows(long)[0]["reference_text"]) == (None, "-")


def test_without_times_there_is_no_chart_of_them() -> None:
    assert time_spec(page_of(make_layer(0))) is None


def test_hundreds_of_bars_have_no_gaps() -> None:
    def half(spec: Any) -> str:
        found: str = spec["transform"][-1]["calculate"]
        return found

    assert half(sqnr_spec(make_page(DENSE // 2))) == "datum.i +0.4"
    assert half(sqnr_spec(make_page(DENSE))) == "datum.i +0.5"
