"""A made-up fleet that every test of the dashboards may ask."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from exray.grafana.rollup import refresh
from exray.grafana.sample import HOUR_NS, Faults, Fleet, write_sample
from exray.lake import Lake

BUILDS = 6
FLEET = Fleet(time.time_ns() - 3 * HOUR_NS, devices=6, builds=BUILDS, layers=10)
"""Six devices of three models; the fourth build is the bad one, and each ran all builds."""


def make_fleet(path: Path, fleet: Fleet = FLEET) -> Lake:
    """Write a fleet and its rollups to a new lake."""
    lake = Lake.open_or_create(path)
    write_sample(lake, fleet)
    refresh(lake)
    return lake


def faulty(**faults: Any) -> Fleet:
    """Return a small fleet with these faults alone, of two devices that ran two builds."""
    none = Faults(quantization=None, slow=None, nonfinite=None, overhead=None, silent=None)
    return replace(FLEET, devices=3, builds=2, faults=replace(none, **faults))
