"""What the native probe costs an application, invocation by invocation.

For each network and kernel family, a plain and a recorded interpreter are invoked in turn,
so that whatever else the machine does falls on both. Printed are, at level `latency`, the
ratio of the medians as measured inside the invocation, and what the frame around it takes:
the probe to hash inputs and output, and Python; at level `summary` on builtin kernels the
time that statistics and sketch take for each element; with the default budget the mean
overhead of all frames, with its 95 % interval; and the resident memory of a process that
summarises against one that does not.

Two interpreters of one network differ by some percent all their lives, as their memory lies
in other pages that share the caches otherwise. So both ratios are of the ratio that the same
two show once nothing is recorded any more: what is left of the probe then, a look-up for each
operator, is in neither.

    python benchmarks/overhead.py [--invocations 200] [--only V2]
"""

import argparse
import gc
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from networks import FILES, V2_KERAS, convert_to_float, data_folder, random_input
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from exray.exporters import ExportResult, RecordBatch
from exray.exporters.buffer import RecordBuffer
from exray.instrumentation import api
from exray.instrumentation.config import resolve
from exray.instrumentation.recorder import Recorder
from exray.schema.records import FrameRecord

KERNELS = {"xnnpack": "AUTO", "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES"}

WARM_UP = 10

MEMORY_FRAMES = 30

DIGITS = 4
"""Elements that make every input another, as a camera's are: the budget's choice is of the input."""

BUDGET_S = 5.0
"""A budget is kept over many frames: seconds to learn what frames cost, and again to measure."""

BUDGET_FRAMES = 1000
"""Fewest frames of each: of a slow network few are recorded, and the mean is of those."""

BLOCK = 20
"""Invocations that are one observation of the mean overhead."""

QUIET_S = 3.0
"""How long the same two are compared without a recording, seconds."""

QUIET_FRAMES = 300
"""Fewest invocations of each meanwhile."""


_numbers = itertools.count()


@dataclass
class LastFrame:
    """Exporter that keeps what the measurements need of the frames, and lets the rest go."""

    frame: FrameRecord | None = None
    inside_ns: list[int] = field(default_factory=list[int])
    own_ns: list[int] = field(default_factory=list[int])
    levels: dict[str, int] = field(default_factory=dict[str, int])

    def export(self, batch: RecordBatch) -> ExportResult:
        """Keep the newest frame, and the time of every inference."""
        for frame in batch.frames:
            self.frame = frame
            self.levels[frame.level] = self.levels.get(frame.level, 0) + 1
            self.inside_ns += [inference.dur_ns for inference in frame.inferences]
            self.own_ns.append(frame.overhead_ns or 0)
        return ExportResult.SUCCESS

    def forget(self) -> None:
        """Begin anew."""
        api.flush()
        self.inside_ns.clear()
        self.own_ns.clear()
        self.levels.clear()

    def shutdown(self) -> None:
        """Do nothing."""


def start_recording(level: str, sampling: str) -> LastFrame:
    """Record from here on as `exray.configure()` does, into a buffer that exports to memory."""
    sink = LastFrame()
    config = resolve(build="bench", level=level, lake="unused", sampling=sampling)
    api.start(Recorder(config, RecordBuffer(sink)))
    return sink


def make_interpreter(model: Path, kernels: str) -> Any:
    """Return an interpreter of one thread that is ready to run."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        str(model), num_threads=1, experimental_op_resolver_type=OpResolverType[KERNELS[kernels]]
    )
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], random_input(detail))
    for _ in range(WARM_UP):
        interpreter.invoke()
    return interpreter


@dataclass
class Pair:
    """Nanoseconds of the plain and of the recorded invocations, taken in turn."""

    plain_ns: list[int]
    recorded_ns: list[int]


def in_turn(plain: Any, recorded: Any, count: int) -> Pair:
    """Invoke both *count* times each, on other inputs each time; who is first changes too."""
    pair = Pair([], [])
    sides = [(plain, pair.plain_ns), (recorded, pair.recorded_ns)]
    detail = plain.get_input_details()[0]
    value = random_input(detail)
    gc.collect()
    for _ in range(count):
        sides.reverse()
        vary(value)
        for interpreter, spent in sides:
            interpreter.set_tensor(detail["index"], value)
            start_ns = time.perf_counter_ns()
            interpreter.invoke()
            spent.append(time.perf_counter_ns() - start_ns)
    return pair


def vary(value: NDArray[Any]) -> None:
    """Make an input another one, of the same size."""
    number = next(_numbers)
    digits = [number >> 7 * place & 127 for place in range(DIGITS)]
    value.reshape(-1)[:DIGITS] = np.array(digits) / (128 if value.dtype.kind == "f" else 1)


def measure(model: Path, kernels: str, count: int) -> dict[str, str]:
    """Return one row of the table."""
    plain = make_interpreter(model, kernels)
    row: dict[str, str] = {}

    sink = start_recording("latency", "all")
    recorded = make_interpreter(model, kernels)
    sink.forget()
    pair = in_turn(plain, recorded, count)
    api.shutdown()
    plain_us = statistics.median(pair.plain_ns) / 1e3
    inside_us = statistics.median(sink.inside_ns) / 1e3
    around = [
        whole - inside for whole, inside in zip(pair.recorded_ns, sink.inside_ns, strict=True)
    ]
    quiet = in_turn(plain, recorded, count)
    without = statistics.median(quiet.recorded_ns) / statistics.median(quiet.plain_ns)
    row["plain us"] = f"{plain_us:.0f}"
    row["latency ratio"] = f"{inside_us / plain_us / without:.3f}"
    row["frame us"] = f"{statistics.median(around) / 1e3:.0f}"
    own_us = statistics.median(sink.own_ns) / 1e3
    row["hashes us"] = f"{own_us:.0f}"
    python = [beside - own for beside, own in zip(around, sink.own_ns, strict=True)]
    row["Python us"] = f"{statistics.median(python) / 1e3:.0f}"

    sink = start_recording("summary", "all")
    recorded = make_interpreter(model, kernels)
    pair = in_turn(plain, recorded, max(count // 4, 20))
    row["summary ms"] = f"{statistics.median(pair.recorded_ns) / 1e6:.2f}"
    row["ns per element"] = per_element(recorded, sink) if kernels == "builtin" else "-"
    api.shutdown()

    sink = start_recording("summary", "budget")
    recorded = make_interpreter(model, kernels)
    for_seconds(plain, recorded, BUDGET_S)  # learns what frames cost
    sink.forget()
    pair = for_seconds(plain, recorded, BUDGET_S, BUDGET_FRAMES)
    api.shutdown()
    quiet = for_seconds(plain, recorded, QUIET_S, QUIET_FRAMES)
    overhead, half_width = mean_overhead(pair, quiet)
    row["budget: mean overhead"] = f"{100 * overhead:+.1f} ± {100 * half_width:.1f} %"
    row["traced"] = f"{sum(sink.levels.values())} of {len(pair.plain_ns)}"
    row["summarised"] = str(sink.levels.get("summary", 0))
    return row


def for_seconds(plain: Any, recorded: Any, limit_s: float, least: int = 0) -> Pair:
    """Invoke both in turn for some time, and at least *least* times each."""
    whole, end_s = Pair([], []), time.monotonic() + limit_s
    while time.monotonic() < end_s or len(whole.plain_ns) < least:
        pair = in_turn(plain, recorded, 100)
        whole.plain_ns += pair.plain_ns
        whole.recorded_ns += pair.recorded_ns
    return whole


def mean_overhead(pair: Pair, quiet: Pair) -> tuple[float, float]:
    """Return by what share recording made the invocations longer, and its 95 % half-width.

    Args:
        pair: Invocations of a plain and of a recorded interpreter.
        quiet: Of the same two, while nothing is recorded.
    """
    (ratio, error), (without, error_without) = ratio_of_sums(pair), ratio_of_sums(quiet)
    return ratio / without - 1, 1.96 * float(np.hypot(error, error_without))


def ratio_of_sums(pair: Pair) -> tuple[float, float]:
    """Return how much longer the second ones took than the plain ones, and its standard error.

    Which frames are recorded, and what else the machine does, comes in clusters: the error is
    that of a ratio of sums over blocks of consecutive invocations (Cochran 1977, 6.4).
    """
    whole = len(pair.plain_ns) // BLOCK * BLOCK
    plain, recorded = (
        np.array(spent[:whole], float).reshape(-1, BLOCK).sum(axis=1)
        for spent in (pair.plain_ns, pair.recorded_ns)
    )
    ratio = recorded.sum() / plain.sum()
    blocks = len(plain)
    spread = np.sqrt(blocks / (blocks - 1) * ((recorded - ratio * plain) ** 2).sum())
    return float(ratio), float(spread / plain.sum())


def per_element(interpreter: Any, sink: LastFrame) -> str:
    """Return what one element's statistics, sketch and hash take, from twenty frames."""
    from exray.instrumentation.litert_patching import litert_model_of

    model = litert_model_of(interpreter)
    assert model is not None
    spent: list[int] = []
    end = model.end

    def watch() -> int:
        spent.append(end())
        return spent[-1]

    model.end = watch  # type: ignore[method-assign]
    for _ in range(20):
        interpreter.invoke()
    api.flush()
    assert sink.frame is not None and sink.frame.inferences[0].tensors is not None
    block = sink.frame.inferences[0].tensors
    layers = [i for i, row in enumerate(block.rows) if block.sites[row["site"]].role == "layer"]
    elements = int(block.rows["count"][layers].sum())
    return f"{statistics.median(spent) / elements:.2f}"


# --- memory ------------------------------------------------------------------------------


def resident_kb(model: Path, level: str) -> int:
    """Return the resident set of a process of its own after some frames, kilobytes."""
    command = [sys.executable, __file__, "--memory-of", str(model), "--level", level]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])


def print_resident(model: Path, level: str) -> None:
    """Run some frames on builtin kernels and print what the process then holds."""
    if level != "off":
        start_recording(level, "all")
    interpreter = make_interpreter(model, "builtin")
    for _ in range(MEMORY_FRAMES):
        interpreter.invoke()
    gc.collect()
    status = Path("/proc/self/status").read_text()
    print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


# --- tables ------------------------------------------------------------------------------


def main() -> None:
    """Measure every network in both kernel families and print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--invocations", type=int, default=200)
    parser.add_argument("--only", default="", help="networks whose name contains this")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--level", default="off", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        print_resident(Path(options.memory_of), options.level)
        return
    folder = data_folder()
    with tempfile.TemporaryDirectory() as work:
        models = {name: folder / file for name, file in FILES.items()}
        if options.only in "V2 float":
            v2 = convert_to_float(folder / V2_KERAS, Path(work, "v2_float.tflite"))
            models = {"V2 float": v2, **models}
        chosen = {name: path for name, path in models.items() if options.only in name}
        report_times(chosen, options.invocations)
        report_memory(chosen)


def report_times(models: dict[str, Path], count: int) -> None:
    """Print a row for each network and kernel family."""
    console = Console(width=150)
    table = Table(title=f"{count} invocations of each, in turn; one thread", title_justify="left")
    columns: list[str] = []
    for name, model in models.items():
        for kernels in KERNELS:
            row = measure(model, kernels, count)
            if not columns:
                columns = list(row)
                for column in ("network", "kernels", *columns):
                    table.add_column(column, justify="left" if column[0] in "nk" else "right")
            table.add_row(name, kernels, *row.values())
            print(name, kernels, row, file=sys.stderr)
    console.print(table)


def report_memory(models: dict[str, Path]) -> None:
    """Print what a process holds that summarises every frame, on builtin kernels."""
    table = Table(title="resident set, builtin kernels, MB", title_justify="left")
    for column in ("network", "plain", "level summary", "difference"):
        table.add_column(column, justify="right")
    for name, model in models.items():
        plain, summary = resident_kb(model, "off") / 1024, resident_kb(model, "summary") / 1024
        table.add_row(name, f"{plain:.1f}", f"{summary:.1f}", f"{summary - plain:+.1f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
