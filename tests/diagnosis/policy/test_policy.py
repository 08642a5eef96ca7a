"""Policies: what they may say, and what is said of a wrong one."""

from datetime import date
from pathlib import Path

import pytest

from exray.diagnosis.policy import Policy, load_policy
from exray.schema.errors import UsageError


def load(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    return load_policy(path)


def test_a_policy_has_limits_waivers_and_assertions(tmp_path: Path) -> None:
    policy = load(
        tmp_path,
        """
fail_on: [fail]
limits:
  - {metric: sqnr_db, op: CONV_2D, min: 15}
  - {metric: top1, max_loss: 0.02, name: accuracy}
waivers:
  - {check: quantization.*, layer: conv_1, reason: known, expires: 2026-12-31}
assertions: [checks]
""",
    )
    assert (policy.limits[0].op, policy.limits[0].label) == (("CONV_2D",), "sqnr_db CONV_2D")
    assert (policy.limits[1].label, policy.limits[1].needs_baseline) == ("accuracy", True)
    assert policy.waivers[0].expires == date(2026, 12, 31)
    assert policy.assertions == (tmp_path / "checks",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("limits: [{metric: sqnr, min: 1}]", r"limits\.0\.metric"),
        ("limits: [{metric: sqnr_db}]", "expected at least one of min, max"),
        ("limits: [{metric: top1, layer: a, min: 1}]", "'top1' is no metric of layers"),
        ("limits: [{metric: top1, stage: a, min: 1}]", "'top1' is no metric of stages"),
        ("limit: []", "unknown key 'limit'.*Did you mean 'limits'"),
        ("waivers: [{check: a, reason: '', expires: 2026-01-01}]", r"waivers\.0\.reason"),
        ("waivers: [{check: a, reason: b}]", r"waivers\.0\.expires"),
        ("waivers: [{check: a, reason: b, expires: soon}]", r"waivers\.0\.expires"),
        ("- a", "expected a mapping"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        load(tmp_path, text)


def test_a_policy_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml"):
        load_policy(tmp_path / "none.yaml")
