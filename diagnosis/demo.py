"""The demo: an edge pipeline with one planted bug, its reference, and what exray finds."""

import shlex
import shutil
import sys
from importlib.resources import as_file, files
from pathlib import Path

from rich.console import Console

from exray.instrumentation.config import Level
from exray.lake import Lake
from exray.playback.dataset import open_dataset
from exray.playback.labels import load_labels
from exray.playback.pipeline import Pipeline, play
from exray.playback.progress import show_progress
from exray.playback.spec import load_spec
from exray.queries.engine import connect
from exray.schema.errors import UsageError

from .causes import Replay
from .conclusion import Diagnosis
from .diagnosis_wording import verdict_sentence
from .page import make_page, page_html
from .page.vega import vega_script
from .terminal import make_console, print_comparison, print_line

EDGE, REFERENCE = "demo-edge", "demo-reference"
"""Builds that the demo records."""

LAKE, REPORT = "lake", "report.html"
"""What the demo leaves in its folder."""


def run_demo(folder: Path, console: Console | None = None) -> None:
    """Play both pipelines over the shipped images, compare them, and print what was found.

    Args:
        folder: Where lake and report go; what an earlier demo left there is replaced.
        console: Where to print.

    Raises:
        UsageError: *folder* holds something that is not an earlier demo's.
        LakeError: *folder* cannot be written.
        MissingExtraError: LiteRT or Pillow is not installed.
    """
    console = console or make_console()
    lake, page = folder / LAKE, folder / REPORT
    clear_demo(folder)
    vega_script()  # rather a missing extra now than after the work
    with as_file(files("exray.playback").joinpath("demo")) as data:
        for build, role, model in (
            (EDGE, "edge", "demo_int8.tflite"),
            (REFERENCE, "reference", "demo_float.tflite"),
        ):
            _play(data, build, role, model, lake)
        replay = Replay(inputs=data / "images")
        found = make_page(Lake.open(lake), EDGE, REFERENCE, is_diagnosed=True, replay=replay)
    page.write_text(page_html(found), "utf-8")
    print_comparison(found.comparison, console)
    next_command = shlex.join(
        [
            *(own_command(), "query", "outcome_flips", "--lake", str(lake)),
            *("--arg", f"edge={EDGE}", "--arg", f"reference={REFERENCE}"),
        ]
    )
    print_line(f"Found:  {_found(found.diagnosis)}", console, style="bold")
    print_line(f"Report: {page}", console)
    print_line(f"Next:   {next_command}", console)


def _found(diagnosis: Diagnosis | None) -> str:
    if diagnosis is None:
        return ""
    return " ".join([verdict_sentence(diagnosis), *(c.fix for c in diagnosis.failing[:1])])


def own_command() -> str:
    """Return what to type for ``exray``: its path where the shell would not find this one."""
    script = Path(sys.argv[0])
    found = shutil.which("exray")
    if script.name != "exray" or (found and Path(found).resolve() == script.resolve()):
        return "exray"
    here = Path.cwd()
    return str(script.relative_to(here) if script.is_relative_to(here) else script)


def clear_demo(folder: Path) -> None:
    """Make *folder*, or remove what an earlier demo left there, and nothing else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strangers = sorted({entry.name for entry in folder.iterdir()} - {LAKE, REPORT})
        builds = _builds(folder / LAKE)
        if strangers or not builds <= {EDGE, REFERENCE}:
            held = strangers[0] if strangers else f"a lake of {', '.join(sorted(builds))}"
            msg = (
                f"folder '{folder}' holds {held}, which no demo put there: it would be lost. "
                "Choose another --folder, such as a new one."
            )
            raise UsageError(msg)
        if (folder / LAKE).exists():
            shutil.rmtree(folder / LAKE)
    except OSError as error:
        msg = f"folder '{folder}' cannot be used: {error.strerror}. Choose another --folder."
        raise UsageError(msg) from error


def _builds(lake: Path) -> set[str]:
    """Return the builds that a lake holds; none where there is no lake."""
    if not lake.exists() or (lake.is_dir() and not any(lake.iterdir())):
        return set()
    with connect(Lake.open(lake)) as connection:
        rows = connection.execute("SELECT DISTINCT build FROM runs").fetchall()
    return {str(row[0]) for row in rows}


def _play(data: Path, build: str, role: str, model: str, lake: Path) -> None:
    pipeline = Pipeline(
        model=data / model,
        spec=load_spec(data / f"{role}.yaml"),
        build=build,
        role=role,
        lake=lake,
        level=Level.DISTRIBUTION,
    )
    labels = load_labels(f"{data / 'labels.csv'}:label")
    with show_progress(f"{build} ({role})") as progress:
        play(pipeline, open_dataset(data / "images"), labels, progress)
