"""A sample of the fault bench: every planted fault is named, no benign change is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCH, TOOLS = (ROOT / "benchmarks" / name for name in ("faults.py", "fault_tools.py"))


@pytest.mark.realdata
def test_a_sample_of_the_fault_bench(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    sample = ("--networks", "kws", "--precisions", "int8", "--sample", "2", "--controls", "1")
    told = _bench(tmp_path, *sample, data=data)
    for rate in ("detected", "right code", "right layer, of 3"):
        assert f"| {rate} | 2/2 " in told
    assert "| false alarms on controls | 0/1 " in told


@pytest.mark.realdata
def test_a_sample_of_front_ends(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("scipy")
    sample = ("--networks", "kws wav,reviews", "--precisions", "float", "--sample", "3")
    told = _bench(tmp_path, *sample, "--controls", "1", data=data)
    for rate in ("detected", "right code", "right layer, first"):
        assert f"| {rate} | 5/5 " in told
    assert "| false alarms on controls | 0/2 " in told


def test_rates_count_what_was_named_wrongly(tmp_path: Path) -> None:
    """The counterpart: lines of which one is wrong do not come out as right."""
    fault: dict[str, object] = {"codes": ["conversion.layer"], "layer": 3}
    right: dict[str, object] = {
        "code": "conversion.layer",
        "layer": 3,
        "confidence": 0.99,
        "kind": None,
    }
    lines = [
        _line("a", [fault], [right]),
        _line("b", [fault], [right | {"layer": 4}]),
        _line("c", [fault], [right | {"code": "quantization.layer"}, right]),
        _line("d", [fault], []),
        _line("e", [], [right]),
        _line("f", [], []),
        _line("g", [fault, fault | {"layer": 5}], [right, right | {"layer": 5}]),
        _line("h", [fault, fault | {"layer": 5}], [right]),
    ]
    told = _told(tmp_path, lines)
    assert "| detected | 3/4 75.0% " in told
    assert "| right code | 2/4 50.0% " in told
    assert "| right layer, first | 2/4 " in told
    assert "| right layer, of 3 | 2/4 " in told
    assert "| two at once, both named | 1/2 " in told
    assert "| false alarms on controls | 1/2 " in told
    assert "| expected calibration error of first causes | 0.657 |" in told


def test_a_step_of_the_preprocessing_is_a_place(tmp_path: Path) -> None:
    fault: dict[str, object] = {"codes": ["preprocessing.audio"], "layer": None, "parts": ["fft"]}
    right: dict[str, object] = {
        "code": "preprocessing.audio",
        "layer": None,
        "part": "fft",
        "confidence": 0.99,
    }
    lines = [_line("a", [fault], [right]), _line("b", [fault], [right | {"part": "log"}])]
    told = _told(tmp_path, lines)
    assert "| right code | 2/2 " in told
    assert "| right layer, first | 1/2 " in told


def test_a_twin_may_be_told_from_its_reference_and_nothing_else(tmp_path: Path) -> None:
    """The counterpart: a layer named in it is a false alarm."""
    allowed = {"allowed": ["model.other_weights"], "fault": "trained again"}
    other: dict[str, object] = {"code": "model.other_weights", "layer": None, "confidence": 0.9}
    layer = other | {"code": "conversion.layer", "layer": 3}
    lines = [_line(str(n), [], named) | allowed for n, named in enumerate(([other], [layer]))]
    told = _told(tmp_path, lines)
    assert "| false alarms on controls | 1/2 " in told
    assert "| trained again | 2 | 1 | kws int8 1 | model.other_weights 1 |" in told


def test_other_tools_are_counted_alike_and_missing_ones_say_why(tmp_path: Path) -> None:
    right = {"detected": True, "layers": [3, 4, 5], "seconds": 1.0}
    wrong = {"detected": True, "layers": [5, 4, 3], "seconds": 2.0}
    lines = [
        {"case": "a", "layer": 3, "tools": {"exray": right, "other": {"skipped": "no onnx"}}},
        {"case": "b", "layer": 3, "tools": {"exray": wrong, "other": {"skipped": "no onnx"}}},
        {"case": "c", "layer": None, "tools": {"exray": right | {"detected": False}}},
    ]
    kept = tmp_path / "tools.jsonl"
    kept.write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = _run(TOOLS, "--report", "--keep", str(kept))
    (row,) = [line for line in told.splitlines() if line.startswith("| exray ")]
    assert [cell.split()[0] for cell in row.strip("| ").split(" | ")[1:5]] == [
        *("2/2", "1/2", "2/2"),
        "0/1",
    ]
    assert "other: 2 left out, no onnx." in told


def _told(work: Path, lines: list[dict[str, object]]) -> str:
    (work / "cases.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return _bench(work, "--report")


def _line(
    name: str, expected: list[dict[str, object]], named: list[dict[str, object]]
) -> dict[str, object]:
    return {
        "case": name,
        "network": "kws",
        "held_out": False,
        "precision": "int8",
        "family": "operator",
        "fault": "bias zeroed",
        "status": "fail" if named else "pass",
        "expected": expected,
        "named": named,
        "frames_missing": 0,
        "frames": 8,
        "seconds": 1.0,
        "cpu_s": 1.0,
    }


def _bench(work: Path, *options: str, data: Path | None = None) -> str:
    folders = ("--work", str(work), "--keep", str(work / "cases.jsonl"))
    return _run(BENCH, *folders, *options, data=data)


def _run(script: Path, *options: str, data: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, script, *options],
        capture_output=True,
        text=True,
        env=os.environ | ({"EXRAY_TEST_DATA": str(data)} if data else {}),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
