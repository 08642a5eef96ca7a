"""Killed collectors lose nothing that they acknowledged; a small sample of ``make crash``."""

from pathlib import Path

from .crash import trial


def test_killed_collectors_lose_nothing_acknowledged(tmp_path: Path) -> None:
    figures = trial(tmp_path, 4, seed=1)
    assert figures.kills == 4
    assert figures.found == figures.acknowledged > 0
    assert figures.duplicates == 0
