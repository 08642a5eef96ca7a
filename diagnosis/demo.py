"""The demo: an edge pipeline with one planted bug, its reference, and what exray finds."""

import shlex
import shutil
from importlib.resources import as_file, files
from pathlib import Path

from rich.console import Console

from exray.lake import Lake
from exray.playback.dataset import open_dataset
from exray.playback.labels import load_labels
from exray.playback.pipeline import Pipeline, play
from exray.playback.progress import show_progress
from exray.playback.spec import load_spec
from exray.schema.errors import UsageError

from .compare import compare
from .html import html_report
from .terminal import make_console, print_comparison
from .verdict import sentence

EDGE, REFERENCE = "demo-edge", "demo-reference"
"""Builds that the demo records."""


def run_demo(folder: Path, console: Console | None = None) -> None:
    """Play both pipelines over the shipped images, compare them, and print what was found.

    Args:
        folder: Where lake and report go; what an earlier demo left there is replaced.
        console: Where to print.

    Raises:
        UsageError: *folder* holds something that is not an earlier demo's.
    """
    console = console or make_console()
    lake = folder / "lake"
    _clear(folder, lake)
    with as_file(files("exray.playback").joinpath("demo")) as data:
        for build, role, model in (
            (EDGE, "edge", "demo_int8.tflite"),
            (REFERENCE, "reference", "demo_float.tflite"),
        ):
            _play(data, build, role, model, lake)
    comparison = compare(Lake.open(lake), EDGE, REFERENCE)
    page = folder / "report.html"
    page.write_text(html_report(comparison), "utf-8")
    print_comparison(comparison, console)
    next_command = shlex.join(
        [
            *("exray", "query", "outcome_flips", "--lake", str(lake)),
            *("--arg", f"edge={EDGE}", "--arg", f"reference={REFERENCE}"),
        ]
    )
    console.print(f"Found:  {sentence(comparison)}", style="bold", markup=False, soft_wrap=True)
    console.print(f"Report: {page}", markup=False, soft_wrap=True)
    console.print(f"Next:   {next_command}", markup=False, soft_wrap=True)


def _clear(folder: Path, lake: Path) -> None:
    """Remove the lake of an earlier demo, and nothing that is not one."""
    if lake.exists():
        Lake.open(lake)  # refuses what is not a lake
        shutil.rmtree(lake)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"folder '{folder}' cannot be made: {error.strerror}. Choose another --folder."
        raise UsageError(msg) from error


def _play(data: Path, build: str, role: str, model: str, lake: Path) -> None:
    pipeline = Pipeline(
        model=data / model,
        spec=load_spec(data / f"{role}.yaml"),
        build=build,
        role=role,
        lake=lake,
    )
    labels = load_labels(f"{data / 'labels.csv'}:label")
    with show_progress(f"{build} ({role})") as progress:
        play(pipeline, open_dataset(data / "images"), labels, progress)
