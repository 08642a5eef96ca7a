"""Limits of a policy that hold for all layers are the panels' thresholds."""

from pathlib import Path

import pytest

from exray.grafana.alerts import rules
from exray.grafana.dashboards import BOARDS, boards
from exray.grafana.policy import FromPolicy, thresholds_from_policy
from exray.grafana.thresholds import Thresholds
from exray.schema.errors import UsageError


def read(folder: Path, text: str) -> FromPolicy:
    policy = folder / "policy.yaml"
    policy.write_text(text, "utf-8")
    return thresholds_from_policy(policy)


def test_a_policy_without_limits_changes_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "fail_on: [fail]") == FromPolicy(Thresholds())
    assert boards(Thresholds()) == BOARDS


@pytest.mark.parametrize(
    ("limit", "name", "value"),
    [
        ("{metric: sqnr_db, max_loss: 6}", "loss_fail_db", 6),
        ("{metric: top1, max_loss: 0.02}", "accuracy_drop", 0.02),
        ("{metric: model_ms, max_ratio: 1.5}", "p99_ratio", 1.5),
        ("{metric: layer_ms, max_ratio: 2}", "p50_ratio", 2),
    ],
)
def test_a_limit_sets_the_threshold_that_says_the_same(
    tmp_path: Path, limit: str, name: str, value: float
) -> None:
    found = read(tmp_path, f"limits: [{limit}]")
    assert getattr(found.thresholds, name) == value
    assert len(found.used) == 1
    assert found.unused == ()
    assert boards(found.thresholds) != BOARDS


def test_a_warning_keeps_its_share_of_the_failure(tmp_path: Path) -> None:
    found = read(tmp_path, "limits: [{metric: sqnr_db, max_loss: 6}]")
    assert found.thresholds.loss_warn_db == pytest.approx(2.0)


def test_of_two_limits_the_stricter_counts(tmp_path: Path) -> None:
    found = read(
        tmp_path, "limits: [{metric: top1, max_loss: 0.05}, {metric: top1, max_loss: 0.03}]"
    )
    assert found.thresholds.accuracy_drop == 0.03


@pytest.mark.parametrize(
    "limit",
    [
        "{metric: sqnr_db, op: CONV_2D, max_loss: 6}",
        "{metric: sqnr_db, layer: 'block*', max_loss: 6}",
        "{metric: sqnr_db, min: 10}",
        "{metric: flips, max: 3}",
    ],
)
def test_a_limit_that_no_panel_shows_is_named_and_changes_nothing(
    tmp_path: Path, limit: str
) -> None:
    found = read(tmp_path, f"limits: [{limit}]")
    assert found.thresholds == Thresholds()
    assert found.used == ()
    assert len(found.unused) == 1


def test_rules_fire_above_the_policys_values() -> None:
    above = {rule.name: rule.above for rule in rules(Thresholds(p99_ratio=1.5, silent_hours=2))}
    assert above["latency-p99"] == 1.5
    assert above["device-silent"] == 2
    assert above["not-finite"] == 0


def test_a_wrong_policy_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="policy"):
        read(tmp_path, "limits: [{metric: none, max: 1}]")
