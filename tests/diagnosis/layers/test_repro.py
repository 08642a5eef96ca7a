"""One operator, one input, and a script that shows the fault by themselves."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from exray.diagnosis.causes import Replay
from exray.diagnosis.layers.repro import write_repro
from exray.schema.errors import UsageError

from .faulty import FLOAT, INPUTS, INT8, SPEC, diagnosed, record, with_fault, zero_bias

LAYER = 7


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repro")
    with_fault(INT8, folder / "bias.tflite", LAYER, zero_bias)
    record(folder / "lake", "reference", FLOAT)
    record(folder / "lake", "bias", folder / "bias.tflite")
    record(folder / "lake", "sound", INT8)
    return folder / "lake"


def files(lake: Path, edge_model: Path | None = None) -> Replay:
    return Replay(
        inputs=INPUTS,
        edge_model=edge_model or lake.parent / "bias.tflite",
        reference_model=FLOAT,
        preprocess=SPEC,
    )


def run(script: Path) -> list[float]:
    """Return the SQNR that the script prints for each kernel family."""
    done = subprocess.run(
        [sys.executable, script.name], cwd=script.parent, capture_output=True, text=True, check=True
    )
    return [float(db) for db in re.findall(r": (-?[\d.]+) dB SQNR", done.stdout)]


def test_the_script_shows_the_fault_and_a_sound_operator_does_not(
    lake: Path, tmp_path: Path
) -> None:
    replay = files(lake)
    diagnosis = diagnosed(lake, "bias", replay=replay)
    model, arrays, script = write_repro(diagnosis, replay, tmp_path)
    assert [path.name for path in (model, arrays, script)] == [
        f"layer_{LAYER}{suffix}" for suffix in (".tflite", ".npz", ".py")
    ]
    faulty = run(script)
    write_repro(diagnosis, files(lake, edge_model=INT8), tmp_path)
    sound = run(script)
    assert len(faulty) == len(sound) == 2
    assert max(faulty) + 10 < min(sound)


def test_nothing_is_written_without_such_a_cause(lake: Path, tmp_path: Path) -> None:
    replay = files(lake, edge_model=INT8)
    diagnosis = diagnosed(lake, "sound", replay=replay)
    assert write_repro(diagnosis, replay, tmp_path / "none") == ()
    assert not (tmp_path / "none").exists()


def test_what_it_needs_is_named(lake: Path, tmp_path: Path) -> None:
    diagnosis = diagnosed(lake, "bias", replay=files(lake))
    with pytest.raises(UsageError, match="--repro needs --edge-model and --inputs"):
        write_repro(diagnosis, Replay(reference_model=FLOAT), tmp_path)
    with pytest.raises(UsageError, match="--repro needs --reference-model too"):
        write_repro(diagnosis, replace(files(lake), reference_model=None), tmp_path)
