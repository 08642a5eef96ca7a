"""``exray run``: recorded inputs through one pipeline, recorded in the lake."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from exray.options import DEFAULT_LAKE, JsonOption, LakeOption
from exray.schema.errors import DataError, UsageError

from .options import (
    BuildOption,
    InputsOption,
    KernelsOption,
    LabelOffsetOption,
    LabelsOption,
    LayersOption,
    LevelOption,
    LimitOption,
    ModelArgument,
    PreprocessOption,
    PrivacyOption,
    RoleOption,
    ThreadsOption,
)

if TYPE_CHECKING:
    from .result import PlaybackResult
    from .task import Task

app = typer.Typer()

FAILURES_SHOWN = 5
"""Failed inputs named on the terminal; all of them stand in the JSON."""


@app.command()
def run(
    model: ModelArgument,
    inputs: InputsOption,
    build: BuildOption,
    role: RoleOption = "edge",
    labels: LabelsOption = None,
    label_offset: LabelOffsetOption = 0,
    preprocess: PreprocessOption = None,
    kernels: KernelsOption = None,
    threads: ThreadsOption = None,
    level: LevelOption = "summary",
    layers: LayersOption = None,
    privacy: PrivacyOption = None,
    limit: LimitOption = None,
    lake: LakeOption = DEFAULT_LAKE,
    as_json: JsonOption = False,
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
    has_labels = labels is not None or any(item.label is not None for item in dataset)
    if label_offset and not has_labels:
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
