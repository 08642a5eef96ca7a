"""Compiled models, ours and LiteRT's own, ready to run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exray.litert import CompiledModel

from .builders import FLOAT, Array, make_input


def wheel() -> Any:
    """Return LiteRT's module of its own class, without types; skips where it is absent."""
    return pytest.importorskip("ai_edge_litert.compiled_model")


def random_inputs(shapes: Sequence[tuple[str, Sequence[int]]], seed: int = 0) -> list[Array]:
    """Return arrays of the dtypes and shapes that a model takes."""
    rng = np.random.default_rng(seed)
    return [
        (rng.random(tuple(shape), np.float32) * (1 if dtype.startswith("float") else 255))
        .astype(np.int32)
        .astype(dtype)
        if not dtype.startswith("float")
        else rng.random(tuple(shape), np.float32).astype(dtype)
        for dtype, shape in shapes
    ]


def run_once(model: Any, values: Sequence[Array], signature: int = 0) -> list[Array]:
    """Run a compiled model of either class on new buffers and return its outputs."""
    inputs, outputs = model.create_input_buffers(signature), model.create_output_buffers(signature)
    for buffer, value in zip(inputs, values, strict=True):
        buffer.write(value)
    model.run_by_index(signature, inputs, outputs)
    return [read_whole(buffer) for buffer in outputs]


def read_whole(buffer: Any) -> Array:
    """Return what a buffer of either class holds."""
    details = buffer.get_tensor_details()
    count = int(np.prod(details["shape"], dtype=np.int64))
    array: Array = buffer.read(count, np.dtype(details["dtype"])).reshape(details["shape"])
    return array


def inputs_of(model: Any, signature: int = 0) -> list[Array]:
    """Return random inputs for a signature of a compiled model of either class."""
    details = [b.get_tensor_details() for b in model.create_input_buffers(signature)]
    return random_inputs([(d["dtype"], d["shape"]) for d in details])


def run_tiny(model: Path = FLOAT, dtype: Any = np.float32, **options: Any) -> Array:
    """Compile a tiny classifier, run it once and return its output."""
    pytest.importorskip("ai_edge_litert")
    return run_once(CompiledModel.from_file(str(model), **options), [make_input(dtype=dtype)])[0]
