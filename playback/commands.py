"""``exray run``: recorded inputs through one pipeline, recorded in the lake."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exray.schema.errors import DataError, UsageError

from .limits import MAX_THREADS

if TYPE_CHECKING:
    from .result import PlaybackResult
    from .task import Task

app = typer.Typer()

FAILURES_SHOWN = 5
"""Failed inputs named on the terminal; all of them stand in the JSON."""


@app.command()
def run(
    model: Annotated[
        Path,
        typer.Argument(
            help="A .tflite, .onnx, .keras or .h5 file, or a SavedModel.", metavar="MODEL"
        ),
    ],
    inputs: Annotated[
        str,
        typer.Option(
            help="Folder of images, .wav or .txt files; an .npz file; a CSV with a column 'text'.",
            metavar="DIR|NPZ|CSV",
        ),
    ],
    build: Annotated[
        str, typer.Option(help="Name of the build, as 'compare' will take it.", metavar="NAME")
    ],
    role: Annotated[
        str, typer.Option(help="Which side of a comparison it is.", metavar="edge|reference")
    ] = "edge",
    labels: Annotated[
        str | None,
        typer.Option(
            help="True class of each input; or COCO annotations of boxes; or a folder of masks.",
            metavar="CSV[:COLUMN]|JSON|DIR",
        ),
    ] = None,
    label_offset: Annotated[
        int, typer.Option(help="Added to each label.", metavar="N", show_default=False)
    ] = 0,
    preprocess: Annotated[
        Path | None, typer.Option(help="Declared preprocessing.", metavar="SPEC.yaml")
    ] = None,
    kernels: Annotated[
        str | None,
        typer.Option(
            help="Of a .tflite model: xnnpack (the default), builtin or reference.",
            metavar="FAMILY",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, max=MAX_THREADS, help="Threads of a .tflite or .onnx model.", metavar="N"
        ),
    ] = None,
    level: Annotated[
        str,
        typer.Option(help="How much is recorded.", metavar="off|latency|summary|distribution|full"),
    ] = "summary",
    layers: Annotated[
        str | None,
        typer.Option(
            help="Which layers are summarised: 'conv*', 'op:CONV_2D', '0-5', joined with commas, "
            "each with '=LEVEL' if need be; 'none': inputs and outputs alone.",
            metavar="SELECTORS",
        ),
    ] = None,
    privacy: Annotated[
        str | None,
        typer.Option(
            help="Whether inputs may be rebuilt from what is recorded: open (the default) or "
            "closed, as in an application. EXRAY_PRIVACY sets it too; EXRAY_FLEET_SECRET keys "
            "names and hashes, so that they pair with those of devices that have it.",
            metavar="open|closed",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use the first N inputs.", metavar="N")
    ] = None,
    lake: Annotated[
        Path, typer.Option(envvar="EXRAY_LAKE", help="Folder of the lake.", metavar="DIR")
    ] = Path("lake"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run a model over recorded inputs and record every layer in the lake."""
    from exray.instrumentation.config import Level

    from .dataset import open_dataset
    from .labels import load_labels
    from .pipeline import Pipeline, play
    from .progress import show_progress
    from .spec import load_spec

    pipeline = Pipeline(
        model=model,
        spec=load_spec(preprocess) if preprocess else None,
        build=build,
        role=role,
        lake=lake,
        level=Level.parse(level),
        layers=layers,
        privacy=privacy,
        kernels=kernels,
        threads=threads,
    )
    task = None if labels is None else _task_of(labels, label_offset)
    truth = None if labels is None or task is not None else load_labels(labels, label_offset)
    dataset = open_dataset(inputs, limit=limit, label_offset=label_offset)
    if (
        label_offset
        and truth is None
        and task is None
        and all(item.label is None for item in dataset)
    ):
        msg = f"--label-offset {label_offset}: there are no labels. Pass --labels CSV, or an npz"
        raise UsageError(f"{msg} with an array 'labels'.")
    with show_progress(f"{build} ({role})") as progress:
        result = play(pipeline, dataset, truth, progress, task)
    notes = result.notes(is_part=limit is not None)
    if as_json:
        if result.clamping is not None:
            print(f"warning: {result.clamping}", file=sys.stderr)
        print(json.dumps(result_json(result, build, role, notes), allow_nan=False))
    else:
        print_result(result, build, role, notes)
        if result.run is not None:
            print(f"recorded as run {result.run.run_id.hex()} in {lake}")
    if not result.frames:
        name, message = next(iter(result.failures.items()))
        msg = f"none of {len(result.failures)} inputs went through; the first, '{name}': {message}"
        raise DataError(msg)


def _task_of(labels: str, label_offset: int) -> "Task | None":
    """Return what judges boxes or masks, None where labels are classes."""
    truth = Path(labels)
    if labels.strip() and truth.is_dir():
        from .segmentation import Segmentation

        return Segmentation.open(truth, label_offset)
    if truth.suffix.lower() == ".json":
        from .detection import Detection

        return Detection.open(truth, label_offset)
    return None


def result_json(
    result: "PlaybackResult", build: str, role: str, notes: list[str]
) -> dict[str, object]:
    """Return what ``run --json`` prints."""
    accuracy, top5, latency = result.accuracy, result.top5, result.latency_ms
    task = result.task_result
    return {
        "run_id": None if result.run is None else result.run.run_id.hex(),
        "build": build,
        "role": role,
        "frames": result.frames,
        "failed": len(result.failures),
        "failures": result.failures,
        "accuracy": None
        if accuracy is None or top5 is None
        else {
            "top1": accuracy.value,
            "ci95": list(accuracy.ci95),
            "top5": top5.value,
            "correct": accuracy.correct,
            "labelled": accuracy.count,
        },
        "task": None if task is None else asdict(task),
        "labels": notes,
        "warnings": [] if result.clamping is None else [result.clamping],
        "latency_ms": None if latency is None else {"p50": latency[0], "p99": latency[1]},
        "plain_output_equal": result.plain_output_equal,
    }


def print_result(result: "PlaybackResult", build: str, role: str, notes: list[str]) -> None:
    """Print the outcome for a reader; what is amiss goes to stderr."""
    accuracy, latency = result.accuracy, result.latency_ms
    line = f"{build} ({role}): {result.frames} frames"
    if accuracy is not None:
        low, high = accuracy.ci95
        line += f", top-1 {accuracy.value:.1%} (95 % interval {low:.1%} to {high:.1%})"
    task = result.task_result
    if task is not None:
        low, high = task.ci95
        line += f", {task.metric} {task.value:.3f} (95 % interval {low:.3f} to {high:.3f})"
    if latency is not None:
        line += f", model {latency[0]:.2f} ms median, {latency[1]:.2f} ms p99"
    if result.failures:
        line += f", {len(result.failures)} inputs failed"
    print(line)
    if result.plain_output_equal is False:
        print("the uninstrumented run of the first input gave other bytes", file=sys.stderr)
    for note in notes:
        print(f"labels: {note}", file=sys.stderr)
    for name, message in list(result.failures.items())[:FAILURES_SHOWN]:
        print(f"failed: {name}: {message}", file=sys.stderr)
    if result.clamping is not None:
        print(f"warning: {result.clamping}", file=sys.stderr)
    if len(result.failures) > FAILURES_SHOWN:
        print(f"failed: {len(result.failures) - FAILURES_SHOWN} more", file=sys.stderr)
