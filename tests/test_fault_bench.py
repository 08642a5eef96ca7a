"""A sample of the fault bench: every planted fault is named, no benign change is."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.realdata
def test_a_sample_of_the_fault_bench(data: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    sample = ("--networks", "KWS int8", "--sample", "2", "--controls", "1")
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "faults.py", *sample],
        capture_output=True,
        text=True,
        env=os.environ | {"EXRAY_TEST_DATA": str(data)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rates = dict(re.findall(r"^(.+?) +(\d+/\d+) ", done.stdout, re.MULTILINE))
    assert rates["detected"] == "2/2", done.stderr
    assert rates["right code"] == "2/2", done.stderr
    assert rates["right layer, of 3"] == "2/2", done.stderr
    assert re.fullmatch(r"0/\d+", rates["false alarms"]), done.stderr
