"""Benchmarks run from a fresh clone, where there are no real networks."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_capture_measures_the_demo_where_there_are_no_real_networks() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "capture.py"],
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "EXRAY_TEST_DATA"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("EXRAY_TEST_DATA is not set")
    assert "demo float, 60 frames" in done.stdout
    assert "demo int8, 60 frames" in done.stdout
