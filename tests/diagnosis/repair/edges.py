"""Edges of the demo's network, recorded with their reference, to be repaired."""

import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import pytest

from exray.cli import main
from exray.diagnosis.repair.outcome import Outcome
from exray.diagnosis.repair.request import Request
from exray.diagnosis.repair.search import repair
from exray.lake import Lake
from exray.playback.dataset import open_dataset
from exray.playback.labels import load_labels
from exray.playback.pipeline import Pipeline, play
from exray.playback.progress import Progress, ignore_progress
from exray.playback.spec import load_spec

DEMO = Path(str(files("exray.playback").joinpath("demo")))
INT8, FLOAT = DEMO / "demo_int8.tflite", DEMO / "demo_float.tflite"
IMAGES, LABELS = DEMO / "images", f"{DEMO / 'labels.csv'}:label"
BGR, RGB = DEMO / "edge.yaml", DEMO / "reference.yaml"


def record(lake: Path, build: str, model: Path = INT8, spec: Path = RGB, offset: int = 0) -> None:
    """Play the demo's images through an edge, or through the reference."""
    role = "reference" if build == "reference" else "edge"
    pipeline = Pipeline(model=model, spec=load_spec(spec), build=build, role=role, lake=lake)
    play(pipeline, open_dataset(IMAGES), load_labels(LABELS, offset))


def record_application(lake: Path, build: str, model: Path, spec: Path) -> None:
    """Record what an application does that declares no preprocessing."""
    import exray
    from exray.playback.feed import fit, prepare
    from exray.playback.runners import open_runner

    exray.configure(
        build=build, role="edge", lake=lake, privacy="open", sampling="all", host_period_s=0
    )
    try:
        runner, declared = open_runner(model), load_spec(spec)
        for item in open_dataset(IMAGES):
            with exray.frame(input_id=item.input_id) as frame:
                value = fit(prepare(item.load(), declared, runner.input), runner.input)
                frame.prediction(runner.run(value))
    finally:
        exray.shutdown()


def mend(
    folder: Path, edge: str, model: Path = INT8, spec: Path | None = RGB, offset: int = 0
) -> Outcome:
    """Repair a build of the lake in *folder*."""
    scratch = Path(tempfile.mkdtemp(dir=folder))
    request = Request(
        lake=Lake.open(folder / "lake"),
        edge=edge,
        reference="reference",
        edge_model=model,
        inputs=IMAGES,
        labels=LABELS,
        label_offset=offset,
        preprocess=spec,
        reference_model=FLOAT,
    )
    return repair(request, scratch, quiet)


@contextmanager
def quiet(title: str) -> Generator[Progress]:
    """Show nothing."""
    yield ignore_progress


def words(
    lake: Path, edge: str, spec: Path, out: Path, *more: str, model: Path = INT8
) -> list[str]:
    """Return the command line that repairs a build."""
    return [
        *("exray", "fix", "--edge", edge, "--reference", "reference", "--lake", str(lake)),
        *("--edge-model", str(model), "--preprocess", str(spec), "--out", str(out)),
        *("--inputs", str(IMAGES), "--labels", LABELS, *more),
    ]


def call(patch: pytest.MonkeyPatch, arguments: list[str]) -> object:
    """Run a command line as its own process would, and return its exit code."""
    patch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")  # which the command sets for its process
    patch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as exit_info:
        main()
    return exit_info.value.code
