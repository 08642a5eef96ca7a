"""What the summary of a tensor costs per element: the native library against numpy.

The tensors stay in cache: float32 after a ReLU, and int8 as quantization leaves it. All
ways are measured in turn, in one process, and the best of many rounds is taken. Statistics
and sketch together are the whole summary less its hash, which is measured on its own; that
also takes off the call through ctypes, which the probe does not make.
"""

import argparse
import ctypes
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from exray.instrumentation.native_library import native_library
from exray.instrumentation.native_summary import summarize_into, tensor_view
from exray.schema import statistics
from exray.schema.records import TENSOR_ROW, Quantization

SHAPES = ((32, 256), (56, 56, 16), (112, 112, 16))
KERNELS = {1: "scalar", 2: "AVX2", 3: "NEON"}
TARGETS_NS = {"float32": 0.6, "int8": 0.4}
QUANTIZATION = Quantization((2.0**-6,), (-128,))
HEADINGS = (
    *("tensor", "kernels", "statistics, sketch", "target", "with hash", "from Python", "numpy"),
    "numpy / from Python",
)


def main() -> None:
    """Measure both types at every size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400)
    rounds = parser.parse_args().rounds
    found = native_library()
    if found.handle is None:
        sys.exit(f"no native library: {found.reason}")
    table = Table(title=f"ns per element, {machine()}", title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=heading == "tensor")
    for shape in SHAPES:
        for array in make_tensors(shape):
            for path, name in KERNELS.items():
                if found.handle.exray_summary_path(path) == path:
                    table.add_row(*measure(found.handle, name, array, rounds))
    Console(width=110).print(table)


def machine() -> str:
    """Name the processor and numpy's version."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = names[0].split(":")[1].strip() if names else name
    return f"{name}, numpy {np.__version__}"


def make_tensors(shape: tuple[int, ...]) -> list[NDArray[Any]]:
    """Return what a layer puts out, in float and quantized."""
    values = np.random.default_rng(0).normal(size=shape).clip(0)
    octets = np.clip(np.round(values * 64) - 128, -128, 127)
    return [values.astype(np.float32), octets.astype(np.int8)]


def measure(library: ctypes.CDLL, kernels: str, array: NDArray[Any], rounds: int) -> list[str]:
    """Return the table's row for one tensor and the kernels in force."""
    rows = np.zeros(1, TENSOR_ROW)
    options: dict[str, Any] = {"quantization": None, "family": 3}
    if array.dtype == np.int8:
        options["quantization"] = QUANTIZATION
    view = ctypes.byref(tensor_view(array, options["quantization"]))
    row, wide = ctypes.c_void_p(rows.ctypes.data), (ctypes.c_float * 256)()
    data, size_bytes = ctypes.c_void_p(array.ctypes.data), ctypes.c_int64(array.nbytes)
    ways: list[Callable[[], object]] = [
        lambda: library.exray_summarise(view, 3, row, wide),
        lambda: library.exray_hash(data, size_bytes),
        lambda: summarize_into(rows, 0, array, **options),
        lambda: statistics.summarize_into(rows, 0, array, **options),
    ]
    whole, hash_only, python, numpy = (t / array.size * 1e9 for t in best_seconds(ways, rounds))
    return [
        f"{array.dtype.name} x {array.size:,}",
        kernels,
        f"{whole - hash_only:.3f}",
        f"{TARGETS_NS[array.dtype.name]}",
        f"{whole:.3f}",
        f"{python:.3f}",
        f"{numpy:.2f}",
        f"{numpy / python:.1f}",
    ]


def best_seconds(ways: list[Callable[[], object]], rounds: int) -> list[float]:
    """Run all *ways* in turn, *rounds* times; return the best time of each."""
    best = [float("inf")] * len(ways)
    for _ in range(rounds):
        for i, way in enumerate(ways):
            start = time.perf_counter()
            way()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


if __name__ == "__main__":
    main()
