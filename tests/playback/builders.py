"""Networks of one operator, images, and the command line in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

DATA = Path(__file__).parent.parent / "data"

FLOAT, INT8, TWO_INPUTS = (DATA / f"tiny_{name}.tflite" for name in ("float", "int8", "split"))
"""Classifiers of 8x8 RGB with five classes, and a model with two inputs."""

SCALE, ZERO_POINT = 0.5, 28
"""Quantization of the integer inputs that `make_model` gives."""


def make_model(
    path: Path,
    *,
    shape: tuple[int, ...] = (1, 4, 4, 3),
    signature: tuple[int, ...] | None = None,
    dtype: str = "FLOAT32",
    quantized: bool = False,
    op: str = "ABS",
    version: int = 1,
    custom_code: str | None = None,
) -> Path:
    """Write a .tflite file of one operator that maps its only input to its only output.

    Args:
        path: The file to write.
        shape: Of input and output.
        signature: As *shape*, with -1 for a free dimension; None where all are fixed.
        dtype: Of the input; the output is a float.
        quantized: Give the input scale and zero point.
        op: Name of the operator in the schema; DEQUANTIZE turns integers into floats.
        version: Of the operator.
        custom_code: Name of a custom operator, in place of *op*.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated

    schema: Any = schema_py_generated  # generated, without types

    def tensor(name: str, dtype: str) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.type = name, list(shape), getattr(schema.TensorType, dtype)
        made.shapeSignature = None if signature is None else list(signature)
        made.buffer = 0
        return made

    entry, result = tensor("in", dtype), tensor("out", "FLOAT32")
    if quantized:
        entry.quantization = schema.QuantizationParametersT()
        entry.quantization.scale, entry.quantization.zeroPoint = [SCALE], [ZERO_POINT]
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    subgraph = schema.SubGraphT()
    subgraph.tensors, subgraph.operators = [entry, result], [operator]
    subgraph.inputs, subgraph.outputs = [0], [1]
    code = schema.OperatorCodeT()
    code.version = version
    code.builtinCode = getattr(schema.BuiltinOperator, "CUSTOM" if custom_code else op)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.customCode = custom_code
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [subgraph]
    model.buffers = [schema.BufferT()]
    builder: Any = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def make_images(folder: Path, count: int = 3, size: tuple[int, int] = (8, 8)) -> Path:
    """Write noise as 000.png, 001.png, ...; *size* is height and width."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    for i in range(count):
        pixels = rng.integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03}.png")
    return folder


def make_arrays(path: Path, inputs: Array, **others: Array) -> Path:
    """Write an npz with *inputs*, and what else it is to hold."""
    # As Any: the checkers take the arrays for the function's own options.
    save: Any = np.savez
    save(path, inputs=inputs, **others)
    return path


def run_exray(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does, in a process of its own."""
    return subprocess.run(
        exray_command(*arguments),
        capture_output=True,
        text=True,
        env=exray_environment(),
        timeout=300,
        check=False,
        **options,
    )


def exray_command(*arguments: object) -> list[str]:
    """Return a command that runs exray in the interpreter of the tests."""
    code = "from exray.cli import main; main()"
    return [sys.executable, "-c", code, *(str(argument) for argument in arguments)]


def exray_environment() -> dict[str, str]:
    """Return an environment in which nothing of exray is set."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("EXRAY_", "OTEL_")) and name != "COLUMNS"
    }
