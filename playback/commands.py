"""``exray run``: recorded inputs through one pipeline, recorded in the lake."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exray.schema.errors import UsageError

if TYPE_CHECKING:
    from .pipeline import PlaybackResult

app = typer.Typer()

FAILURES_SHOWN = 5
"""Unreadable inputs named on the terminal; all of them stand in the JSON."""


@app.command()
def run(
    model: Annotated[Path, typer.Argument(help="A .tflite, .keras or .h5 file, or a SavedModel.")],
    inputs: Annotated[Path, typer.Option(help="Folder of images, or an .npz file.")],
    build: Annotated[str, typer.Option(help="Name of the build, as 'compare' will take it.")],
    role: Annotated[str, typer.Option(help="edge or reference.")] = "edge",
    labels: Annotated[
        str | None, typer.Option(help="CSV[:COLUMN] with the true class of each input.")
    ] = None,
    label_offset: Annotated[int, typer.Option(help="Added to each label.")] = 0,
    preprocess: Annotated[
        Path | None, typer.Option(help="YAML file that declares the preprocessing.")
    ] = None,
    kernels: Annotated[str, typer.Option(help="xnnpack, builtin or reference.")] = "xnnpack",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the runtime.")] = None,
    level: Annotated[str, typer.Option(help="off, latency or summary.")] = "summary",
    limit: Annotated[int | None, typer.Option(min=1, help="Use the first LIMIT inputs.")] = None,
    lake: Annotated[Path, typer.Option(envvar="EXRAY_LAKE", help="Folder of the lake.")] = Path(
        "lake"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run a model over recorded inputs and record every layer in the lake."""
    from exray.instrumentation.config import ROLES, Level

    from .dataset import open_dataset
    from .labels import load_labels
    from .pipeline import Pipeline, play
    from .progress import show_progress
    from .runners import RESOLVERS
    from .spec import load_spec

    _check("role", role, ROLES)
    _check("kernels", kernels, tuple(RESOLVERS))
    pipeline = Pipeline(
        model=model,
        spec=load_spec(preprocess) if preprocess else None,
        build=build,
        role=role,
        lake=lake,
        level=Level.parse(level),
        kernels=kernels,
        threads=threads,
    )
    truth = load_labels(labels, label_offset) if labels else None
    dataset = open_dataset(inputs, limit=limit, label_offset=label_offset)
    with show_progress(f"{build} ({role})", enabled=not as_json) as progress:
        result = play(pipeline, dataset, truth, progress)
    if as_json:
        print(json.dumps(result_json(result, pipeline.build, pipeline.role)))
    else:
        print_result(result, pipeline.build, pipeline.role, lake)


def _check(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        msg = f"--{option} {value!r} is unknown; expected one of {', '.join(allowed)}"
        raise UsageError(msg)


def result_json(result: "PlaybackResult", build: str, role: str) -> dict[str, object]:
    """Return what ``run --json`` prints."""
    accuracy = result.accuracy
    latency = result.latency_ms
    return {
        "run_id": result.run.run_id.hex() if result.run else None,
        "build": build,
        "role": role,
        "frames": result.frames,
        "failed": len(result.failures),
        "failures": result.failures,
        "labels_left_over": result.labels_left_over,
        "accuracy": None
        if accuracy is None
        else {"top1": accuracy.value, "ci95": list(accuracy.ci95)},
        "latency_ms": None if latency is None else {"p50": latency[0], "p99": latency[1]},
        "plain_output_equal": result.plain_output_equal,
    }


def print_result(result: "PlaybackResult", build: str, role: str, lake: Path) -> None:
    """Print the outcome for a reader; what failed goes to stderr."""
    accuracy, latency = result.accuracy, result.latency_ms
    line = f"{build} ({role}): {result.frames} frames"
    if accuracy is not None:
        low, high = accuracy.ci95
        line += f", top-1 {accuracy.value:.1%} (95 % interval {low:.1%} to {high:.1%})"
    if latency is not None:
        line += f", model {latency[0]:.2f} ms median, {latency[1]:.2f} ms p99"
    print(line)
    if result.plain_output_equal is False:
        print("the uninstrumented run of the first input gave other bytes", file=sys.stderr)
    if result.labels_left_over:
        print(f"labels: {result.labels_left_over}", file=sys.stderr)
    for input_id, message in list(result.failures.items())[:FAILURES_SHOWN]:
        print(f"failed: {input_id}: {message}", file=sys.stderr)
    if len(result.failures) > FAILURES_SHOWN:
        print(f"failed: {len(result.failures) - FAILURES_SHOWN} more", file=sys.stderr)
    if result.run is not None:
        print(f"recorded as run {result.run.run_id.hex()} in {lake}")
