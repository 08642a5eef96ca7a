"""Killed collectors lose nothing that they acknowledged; a small sample of ``make crash``."""

from pathlib import Path

import pytest

from .crash import full_disk_trial, trial
from .disks import NoDiskError


def test_killed_collectors_lose_nothing_acknowledged(tmp_path: Path) -> None:
    figures = trial(tmp_path, 4, seed=1)
    assert figures.kills == 4
    assert figures.found == figures.acknowledged > 0
    assert figures.duplicates == 0


def test_full_disk_of_log_and_lake_loses_nothing_acknowledged(tmp_path: Path) -> None:
    try:
        figures = full_disk_trial(tmp_path)
    except NoDiskError as error:
        pytest.skip(str(error))
    assert figures.found == figures.acknowledged > 400
    assert figures.duplicates == 0
