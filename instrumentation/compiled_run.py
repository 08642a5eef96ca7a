"""One run of a signature through LiteRT's C API, and the checks before it.

LiteRT itself takes an output buffer that is too small, or of another dtype, and writes to it.
"""

from collections.abc import Mapping, Sequence
from ctypes import byref, c_void_p

import numpy as np

from .compiled_build import Compiled, Edge, Signature
from .compiled_capi import INVALID, NOT_FOUND, RUNTIME_FAILURE, failed_call, litert_error
from .compiled_tensor import TensorBuffer, numpy_dtype


def pick_buffers(
    signature: Signature, edges: Sequence[Edge], buffers: Mapping[str, TensorBuffer], role: str
) -> list[TensorBuffer]:
    """Return the buffers of a map in the order of a signature's inputs or outputs.

    Raises:
        RuntimeError: One is missing.
    """
    missing = [edge.name for edge in edges if edge.name not in buffers]
    if missing:
        msg = (
            f"The given map is missing some {role} TensorBuffers: signature {signature.key!r} "
            f"needs {', '.join(map(repr, missing))} too."
        )
        raise litert_error(NOT_FOUND, msg)
    return [buffers[edge.name] for edge in edges]


def run_signature(
    compiled: Compiled,
    signature: Signature,
    inputs: Sequence[TensorBuffer],
    outputs: Sequence[TensorBuffer],
) -> None:
    """Run a signature on buffers that were checked.

    Raises:
        RuntimeError: LiteRT cannot.
    """
    given = (c_void_p * len(inputs))(*[buffer.handle.pointer for buffer in inputs])
    taken = (c_void_p * len(outputs))(*[buffer.handle.pointer for buffer in outputs])
    name = "LiteRtRunCompiledModel"
    handle, index = compiled.handle.pointer, signature.index
    status = compiled.api.function(name)(
        handle, index, len(inputs), byref(given), len(outputs), byref(taken)
    )
    if status:
        raise failed_call(name, status, _told(signature, inputs, outputs))


def _told(
    signature: Signature, inputs: Sequence[TensorBuffer], outputs: Sequence[TensorBuffer]
) -> str:
    return (
        f"signature {signature.key!r} takes {', '.join(map(str, signature.inputs))}, got "
        f"{', '.join(map(str, inputs))}; it gives {', '.join(map(str, signature.outputs))}, "
        f"got {', '.join(map(str, outputs))}"
    )


def check_buffers(
    signature: Signature,
    inputs: Sequence[TensorBuffer],
    outputs: Sequence[TensorBuffer],
    *,
    is_resized: bool,
) -> None:
    """Refuse buffers that are not the signature's.

    Args:
        signature: That will be run.
        inputs: Buffers in its order.
        outputs: The same of the outputs.
        is_resized: An input was given another shape, so that the file's says nothing.

    Raises:
        RuntimeError: Their number, a dtype, or the size of an output does not fit.
        TypeError: One is no buffer of this API.
        ValueError: One was destroyed.
    """
    _check_kind(signature, signature.inputs, inputs, "input")
    _check_kind(signature, signature.outputs, outputs, "output")
    if is_resized or any(n < 0 for edge in signature.inputs for n in edge.shape):
        return
    for edge, buffer in zip(signature.outputs, outputs, strict=True):
        if any(n < 0 for n in edge.shape):
            continue
        count = int(np.prod(edge.shape, dtype=np.int64))
        needed = count * numpy_dtype(edge.dtype_name).itemsize
        if buffer.size_bytes < needed:
            msg = (
                f"output {edge} needs {needed} bytes, got a buffer {buffer} of "
                f"{buffer.size_bytes}. Make it with create_output_buffers()."
            )
            raise litert_error(INVALID, msg)


def _check_kind(
    signature: Signature, edges: Sequence[Edge], buffers: Sequence[TensorBuffer], role: str
) -> None:
    if len(buffers) != len(edges):
        msg = (
            f"signature {signature.key!r} takes {len(edges)} {role} buffers, got "
            f"{len(buffers)}: {', '.join(map(str, edges))}."
        )
        raise litert_error(RUNTIME_FAILURE, msg)
    for edge, buffer in zip(edges, buffers, strict=True):
        if not isinstance(buffer, TensorBuffer):  # pyright: ignore[reportUnnecessaryIsInstance] - who knows
            msg = (
                f"{role} {edge} got a {type(buffer).__module__}.{type(buffer).__name__}; "
                f"expected a buffer of create_{role}_buffers(), or exray.litert.TensorBuffer."
            )
            raise TypeError(msg)
        if buffer.dtype_name != edge.dtype_name:
            msg = (
                f"{role} {edge} got a buffer {buffer} of {buffer.size_bytes} bytes. Make it "
                f"with create_{role}_buffers()."
            )
            raise litert_error(INVALID, msg)
