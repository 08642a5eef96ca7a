"""Confidence rises with match and margin, and is never more than was measured."""

import itertools

from exray.diagnosis.candidates.confidence import LEAST_MATCH_DB, STEPS, confidence


def test_steps_rise() -> None:
    assert all(a < b for a, b in itertools.pairwise(least for least, _ in STEPS))
    assert all(a < b for a, b in itertools.pairwise(share for _, share in STEPS))


def test_strong_match_with_a_clear_lead_is_nearly_certain() -> None:
    assert 0.95 < confidence(60.0, 20.0) < 1.0


def test_lead_counts_as_much_as_the_match() -> None:
    assert confidence(60.0, 0.5) < 0.9


def test_nothing_is_named_where_fewer_than_nine_in_ten_are_right() -> None:
    assert confidence(LEAST_MATCH_DB - 0.5, 30.0) < 0.9
    assert confidence(LEAST_MATCH_DB + 0.5, 30.0) > 0.9


def test_match_of_nothing_is_no_evidence() -> None:
    assert confidence(3.0, 3.0) == 0.0
