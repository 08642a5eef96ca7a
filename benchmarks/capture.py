"""What recording a frame costs, against running without it and against a text dump.

Measures in one run, on MobileNetV2 1.0 224 in float and int8: the plain interpreter, the
plain interpreter with preserved tensors, exray at each level, and a dump of all tensors
as text, one file a frame, as ML-EXray writes it. Prints milliseconds and bytes per frame
and the ratios to the plain run.

Needs TensorFlow (to convert the float model) and the folder that EXRAY_TEST_DATA names;
without that it measures the demo's networks.
"""

import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from networks import FILES, V2_KERAS, convert_to_float, data_folder
from rich.console import Console
from rich.table import Table

import exray

FRAMES = 60
WARM_UP = 2
TEXT_FRAMES = 1  # one takes seconds


@dataclass
class Cost:
    """Per frame: time in the application, time with all writing done, bytes on disk."""

    name: str
    app_ms: float
    whole_ms: float
    size_bytes: float


def main() -> None:
    """Measure both models and print a table for each."""
    warnings.filterwarnings("ignore", message="Warning: Enabling `experimental_preserve_all")
    if not os.environ.get("EXRAY_TEST_DATA"):
        measure_demo()
        return
    folder = data_folder()
    with tempfile.TemporaryDirectory() as work:
        float_model = convert_to_float(folder / V2_KERAS, Path(work, "v2_float.tflite"))
        for title, model in (("V2 float", float_model), ("V2 int8", folder / FILES["V2 int8"])):
            report(title, measure(model, Path(work)))


def measure_demo() -> None:
    """Measure the demo's networks, which need no data and no TensorFlow."""
    print(
        "EXRAY_TEST_DATA is not set, which names the folder of real networks: the demo's are "
        "measured instead. They run in microseconds, so the ratios are far higher."
    )
    with (
        tempfile.TemporaryDirectory() as work,
        as_file(files("exray.playback").joinpath("demo")) as demo,
    ):
        for precision in ("float", "int8"):
            costs = measure(demo / f"demo_{precision}.tflite", Path(work))
            report(f"demo {precision}", costs)


def measure(model: Path, work: Path) -> list[Cost]:
    """Measure one model in every way, the plain one first."""
    costs = [run_plain(model, preserve=False), run_plain(model, preserve=True)]
    for level in ("off", "latency", "summary"):
        lake = work / f"lake-{level}"
        shutil.rmtree(lake, ignore_errors=True)
        costs.append(run_exray(model, lake, level))
    costs.append(run_text_dump(model, work / "dump"))
    return costs


def make_interpreter(model: Path, **options: Any) -> Any:
    """Return an interpreter that is ready to run."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(model), **options)
    interpreter.allocate_tensors()
    return interpreter


def run_frames(interpreter: Any, frames: int, after: Callable[[int], None]) -> float:
    """Run *frames* different inputs, *after* each; return the mean time, milliseconds."""
    detail = interpreter.get_input_details()[0]
    rng = np.random.default_rng(0)
    # Every input is another one: equal frames would compress to nothing.
    inputs = [rng.random(detail["shape"], np.float32) for _ in range(WARM_UP + frames)]
    if detail["dtype"] != np.float32:
        inputs = [(x * 255).astype(detail["dtype"]) for x in inputs]
    for value in inputs[:WARM_UP]:
        interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
    start = time.perf_counter()
    for number, value in enumerate(inputs[WARM_UP:]):
        interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        after(number)
    return (time.perf_counter() - start) * 1e3 / frames


def run_plain(model: Path, *, preserve: bool) -> Cost:
    """Measure the interpreter alone."""
    interpreter = make_interpreter(model, experimental_preserve_all_tensors=preserve)
    cost = run_frames(interpreter, FRAMES, lambda number: None)
    return Cost("plain, preserved tensors" if preserve else "plain", cost, cost, 0.0)


def run_exray(model: Path, lake: Path, level: str) -> Cost:
    """Measure the same program after two more lines."""
    exray.configure(build="bench", lake=lake, level=level, sampling="all")
    try:
        interpreter = make_interpreter(model)
        app_ms = run_frames(interpreter, FRAMES, lambda number: None)
        start = time.perf_counter()
        if not exray.flush(120):
            sys.exit(f"the records could not be written to {lake}")
        flush_ms = (time.perf_counter() - start) * 1e3
    finally:
        exray.shutdown()
    files = lake.rglob("*.parquet") if lake.exists() else []
    recorded = FRAMES + WARM_UP  # which is recorded too
    size = sum(file.stat().st_size for file in files) / recorded
    return Cost(f"exray {level}", app_ms, app_ms + flush_ms / recorded, size)


def run_text_dump(model: Path, folder: Path) -> Cost:
    """Print every tensor of the model as text, one file a frame."""
    interpreter = make_interpreter(model, experimental_preserve_all_tensors=True)
    indices = [detail["index"] for detail in interpreter.get_tensor_details()]
    folder.mkdir(exist_ok=True)

    def dump(number: int) -> None:
        with (folder / f"{number}.txt").open("w") as file:
            for index in indices:
                try:
                    values = interpreter.get_tensor(index)
                except ValueError:
                    continue  # never allocated
                print(values.flatten().tolist(), file=file)

    cost = run_frames(interpreter, TEXT_FRAMES, dump)
    size = sum(file.stat().st_size for file in folder.iterdir()) / TEXT_FRAMES
    shutil.rmtree(folder)
    return Cost("text dump of all tensors", cost, cost, size)


def report(title: str, costs: list[Cost]) -> None:
    """Print one model's table."""
    table = Table(title=f"{title}, {FRAMES} frames", title_justify="left")
    table.add_column("")
    for name in ("ms in app", "ratio", "ms with writing", "ratio", "KB per frame"):
        table.add_column(name, justify="right")
    plain = costs[0]
    for cost in costs:
        table.add_row(
            cost.name,
            f"{cost.app_ms:.2f}",
            f"{cost.app_ms / plain.app_ms:.2f}",
            f"{cost.whole_ms:.2f}",
            f"{cost.whole_ms / plain.whole_ms:.2f}",
            f"{cost.size_bytes / 1e3:.1f}",
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
