"""Everything sent at a steady rate arrives, once; a small sample of ``make soak``."""

from pathlib import Path

from .soak import is_flat, soak


def test_frames_sent_at_a_steady_rate_are_all_in_the_lake(tmp_path: Path) -> None:
    figures = soak(tmp_path, 4.0, rate_per_s=20)

    assert figures.acknowledged > 10
    assert figures.is_good, str(figures)


def test_memory_that_grows_is_not_called_flat() -> None:
    assert is_flat([300 << 20] * 40)
    assert not is_flat([(300 + 3 * number) << 20 for number in range(40)])
