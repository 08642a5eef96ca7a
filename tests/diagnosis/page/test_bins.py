"""Buckets of an exponential histogram become bins of equal width."""

import pytest

from exray.diagnosis.page.bins import Bucket, distribution


def test_a_bucket_is_spread_over_the_bins_that_it_covers() -> None:
    seen = distribution("x", [Bucket(0.0, 1.0, 0.2, 0.0), Bucket(1.0, 4.0, 0.6, 0.9)], count=4)
    assert [(b.lower, b.upper) for b in seen.bins] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert [b.edge_ratio for b in seen.bins] == pytest.approx([0.2, 0.2, 0.2, 0.2])
    assert [b.reference_ratio for b in seen.bins] == pytest.approx([0.0, 0.3, 0.3, 0.3])


def test_zeros_are_told_and_not_drawn() -> None:
    seen = distribution("x", [Bucket(0.0, 0.0, 0.6, 0.5), Bucket(1.0, 2.0, 0.4, 0.5)], count=2)
    assert (seen.edge_zero_ratio, seen.reference_zero_ratio) == (0.6, 0.5)
    assert sum(b.edge_ratio for b in seen.bins) == pytest.approx(0.4)


def test_an_outlier_does_not_squeeze_the_others_and_is_told() -> None:
    buckets = [Bucket(0.0, 1.0, 0.9999, 1.0), Bucket(500.0, 512.0, 0.0001, 0.0)]
    seen = distribution("x", buckets)
    assert seen.bins[-1].upper == 1.0
    assert seen.edge_beyond_ratio == pytest.approx(0.0001)
    assert seen.reference_beyond_ratio == 0.0


def test_what_one_side_alone_has_is_within_the_bins() -> None:
    buckets = [Bucket(-8.0, -4.0, 0.0, 0.5), Bucket(1.0, 2.0, 1.0, 0.5)]
    seen = distribution("x", buckets)
    assert (seen.bins[0].lower, seen.bins[-1].upper) == (-8.0, 2.0)
    assert sum(b.reference_ratio for b in seen.bins) == pytest.approx(1.0)


def test_zeros_alone_make_no_bins() -> None:
    assert distribution("x", [Bucket(0.0, 0.0, 1.0, 1.0)]).bins == ()
