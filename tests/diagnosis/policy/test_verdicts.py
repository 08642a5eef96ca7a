"""A diagnosis held against a policy."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from exray.diagnosis.causes import Cause, Where
from exray.diagnosis.comparison import Comparison, StageTime
from exray.diagnosis.conclusion import Diagnosis, Entry, FinderFailure
from exray.diagnosis.policy import Check, Outcome, Policy, check_diagnosis, exit_code

from ..builders import make_comparison, make_layer, make_side

TODAY = date(2026, 2, 1)
CAUSE = Cause(
    "quantization.range", "clips", Where(layer_index=1, layer="net/body"), 0.9, {}, "Calibrate."
)


def make_edge(**values: Any) -> Comparison:
    """Return an edge with layers at 40, 30 and 20 dB, 70 % right, 10 ms."""
    layers = [make_layer(i, 40.0 - 10 * i, edge_ms=1.0 + i) for i in range(3)]
    side = make_side(top1=0.7, model_ms=10.0)
    stages = (StageTime("resize", 2.0, 1.0), StageTime("inference", 10.0, 5.0))
    return replace(make_comparison(layers, edge=side, stages=stages), **values)


def checks(
    policy: dict[str, Any],
    diagnosis: Diagnosis | None = None,
    baseline: Comparison | None = None,
) -> tuple[Check, ...]:
    given = diagnosis or Diagnosis(make_edge())
    return check_diagnosis(given, baseline, Policy.model_validate(policy), TODAY)


def limit(*, baseline: Comparison | None = None, **values: Any) -> list[tuple[str, int | None]]:
    """Return outcome and layer of what a limit comes to."""
    found = checks({"limits": [values]}, baseline=baseline)
    return [(c.outcome, c.where.layer_index) for c in found if c.name != "diagnosis"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"metric": "sqnr_db", "min": 10}, [("pass", None)]),
        ({"metric": "sqnr_db", "min": 25}, [("fail", 2)]),
        ({"metric": "sqnr_db", "min": 25, "layer": "*block_0*"}, [("pass", None)]),
        ({"metric": "sqnr_db", "min": 25, "layer": "2"}, [("fail", 2)]),
        ({"metric": "sqnr_db", "min": 25, "op": "softmax"}, [("unjudged", None)]),
        ({"metric": "sqnr_db", "min": 45, "op": "conv_2d"}, [("fail", i) for i in range(3)]),
        ({"metric": "layer_ms", "max": 2.5}, [("fail", 2)]),
        ({"metric": "top1", "min": 0.65}, [("pass", None)]),
        ({"metric": "top1", "min": 0.75}, [("fail", None)]),
        ({"metric": "model_ms", "max": 9}, [("fail", None)]),
        ({"metric": "stage_ms", "stage": "resize", "max": 1}, [("fail", None)]),
        ({"metric": "flips", "max": 3}, [("unjudged", None)]),
        ({"metric": "frames_paired", "min": 60}, [("pass", None)]),
        ({"metric": "model_ms", "max_ratio": 1.2}, [("unjudged", None)]),
    ],
)
def test_a_limit_is_kept_broken_or_not_judged(
    values: dict[str, Any], expected: list[tuple[str, int | None]]
) -> None:
    assert limit(**values) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"metric": "top1", "max_loss": 0.05}, "fail"),
        ({"metric": "top1", "max_loss": 0.2}, "pass"),
        ({"metric": "model_ms", "max_ratio": 1.2}, "fail"),
        ({"metric": "model_ms", "max_ratio": 2.5}, "pass"),
        ({"metric": "model_ms", "max_gain": 4}, "fail"),
        ({"metric": "sqnr_db", "max_loss": 1}, "pass"),
    ],
)
def test_a_limit_may_be_relative_to_the_baseline(values: dict[str, Any], expected: str) -> None:
    before = make_edge(edge=make_side(top1=0.8, model_ms=5.0))
    assert [outcome for outcome, _ in limit(baseline=before, **values)] == [expected]


def test_layers_of_the_baseline_are_found_by_name() -> None:
    shifted = [replace(x, layer_index=x.layer_index + 4) for x in make_edge().layers]
    better = [replace(x, sqnr_db=(x.sqnr_db or 0) + 5) for x in shifted]
    before = make_edge(layers=tuple(better))
    assert limit(baseline=before, metric="sqnr_db", max_loss=3) == [("fail", i) for i in range(3)]


def test_causes_and_the_unexplained_fail_as_the_policy_says() -> None:
    failed = Diagnosis(make_edge(), (CAUSE,))
    unexplained = Diagnosis(make_edge(), entry=Entry("input differs", Where(stage="raw")))
    assert [(c.name, c.outcome) for c in checks({}, failed)] == [("quantization.range", "fail")]
    assert [(c.name, c.outcome) for c in checks({}, unexplained)] == [("unexplained", "fail")]
    lenient = {"fail_on": ["fail"]}
    assert [c.outcome for c in checks(lenient, unexplained)] == ["pass"]


def test_too_few_frames_and_broken_finders_are_not_judged() -> None:
    few = Diagnosis(make_edge(), entry=Entry("needs 4 more frames", frames_missing=4))
    broken = Diagnosis(make_edge(), failures=(FinderFailure("f", "KeyError"),))
    assert [c.outcome for c in checks({}, few)] == ["unjudged"]
    assert [c.outcome for c in checks({}, broken)] == ["unjudged"]


def waiver(**values: Any) -> dict[str, Any]:
    given = {"check": "quantization.*", "reason": "retrained in March", "expires": TODAY}
    return {"waivers": [given | values]}


def test_a_waiver_lets_pass_until_its_day() -> None:
    failed = Diagnosis(make_edge(), (CAUSE,))
    (check,) = checks(waiver(), failed)
    assert (check.outcome, exit_code([check])) == ("waived", 0)
    assert "waived until 2026-02-01: retrained in March" in check.message


@pytest.mark.parametrize(
    "values",
    [{"expires": date(2026, 1, 31)}, {"check": "kernel.*"}, {"layer": "stem"}],
)
def test_a_waiver_that_expired_or_speaks_of_something_else_does_not(values: dict[str, Any]) -> None:
    (check,) = checks(waiver(**values), Diagnosis(make_edge(), (CAUSE,)))
    assert check.outcome == "fail"
    assert ("waiver expired" in check.message) == ("expires" in values)


def test_a_failure_outweighs_what_was_not_judged() -> None:
    outcomes: tuple[Outcome, ...] = ("pass", "fail", "waived", "unjudged")
    by_outcome = {outcome: Check("c", outcome, "", Where()) for outcome in outcomes}
    assert exit_code([by_outcome["pass"], by_outcome["waived"]]) == 0
    assert exit_code([by_outcome["pass"], by_outcome["unjudged"]]) == 2
    assert exit_code([by_outcome["unjudged"], by_outcome["fail"]]) == 1
    assert exit_code([]) == 0
