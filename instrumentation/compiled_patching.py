"""LiteRT's own class of compiled models, patched to be traced at its boundary.

It says nothing of its operators: inputs, outputs and time of each run are recorded. For
operators there is `exray.litert.CompiledModel`.
"""

import contextlib
import functools
import hashlib
import inspect
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from .capture import Array
from .compiled_build import KERNEL_MODES
from .compiled_model import trace_compiled_models
from .compiled_tensor import numpy_dtype
from .compiled_trace import CompiledExecution, CompiledTracer, TracedSignature
from .guard import guard, log_once
from .inference import trace_call
from .patching import (
    FindRecorder,
    is_untraced,
    patch_when_imported,
    replace_classmethod,
    replace_method,
)
from .recorder import Recorder
from .tflite_file import TfliteSignature, read_signatures

COMPILED_MODULE = "ai_edge_litert.compiled_model"
"""Where LiteRT defines its class."""

TRACER_ATTRIBUTE = "_exray_model"
"""Attribute of a compiled model that holds its `CompiledTracer`."""


def patch_compiled(find_recorder: FindRecorder) -> None:
    """Trace compiled models: ours, and LiteRT's own class now or when it is imported."""
    trace_compiled_models(find_recorder)
    patch_when_imported(COMPILED_MODULE, _patch_module, find_recorder)


def is_compiled_model(model: object) -> bool:
    """Whether *model* is of LiteRT's own class."""
    return any(
        (base.__module__, base.__name__) == (COMPILED_MODULE, "CompiledModel")
        for base in type(model).__mro__
    )


def compiled_tracer_of(model: object) -> CompiledTracer | None:
    """Return the tracer of a compiled model, ours or LiteRT's own, that has one."""
    tracer = getattr(model, "__dict__", {}).get(TRACER_ATTRIBUTE)
    return tracer if isinstance(tracer, CompiledTracer) else None


def trace_compiled_model(
    recorder: Recorder,
    model: Any,
    *,
    content: str | os.PathLike[str] | bytes | None,
    options: Mapping[str, Any] | None = None,
    init_ns: int | None = None,
) -> None:
    """Let a compiled model of LiteRT's own class be traced from its next run on.

    Args:
        recorder: Takes what is recorded.
        model: The compiled model.
        content: Its file or bytes; None where they are not known.
        options: What it was compiled with, as LiteRT's own flat arguments.
        init_ns: Time that compiling took.
    """
    log_once(
        "compiled boundary",
        "a CompiledModel of ai_edge_litert tells nothing of its operators: its inputs, outputs "
        "and times are recorded, its operators are not. For operators use "
        "exray.litert.CompiledModel, which has the same methods.",
    )
    settings = options or {}
    tracer = BoundaryTracer(
        recorder,
        content=content,
        digest="" if content else _digest(model),
        kernels=_kernels(settings),
        threads=int(settings.get("cpu_num_threads", 0)) or None,
        init_ns=init_ns,
    )
    object.__setattr__(model, TRACER_ATTRIBUTE, tracer)


def _digest(model: Any) -> str:
    """Return a digest of the names of the model's inputs and outputs."""
    return hashlib.sha256(repr(model.get_signature_list()).encode()).hexdigest()


def _kernels(settings: Mapping[str, Any]) -> str:
    """Return the kernel family; nothing tells what an accelerator beside the CPU left to it."""
    if int(settings.get("hardware_accel", 1)) != 1:
        return "unknown"
    return KERNEL_MODES.get(int(settings.get("cpu_kernel_mode", -1)), "xnnpack")


class BoundaryTracer(CompiledTracer):
    """A compiled model of LiteRT's own class; arguments of `CompiledTracer`.

    The model is asked for names alone: to tell a tensor's shape LiteRT allocates anew, which
    after a run may fail, and the next run with it.
    """

    def __init__(
        self, recorder: Recorder, *, content: str | os.PathLike[str] | bytes | None, **rest: Any
    ) -> None:
        super().__init__(recorder, content=content, **rest)
        self._in_file: Mapping[str, TfliteSignature] = {}
        self._signatures: dict[int, TracedSignature] = {}
        if content and self.has_graph:
            with guard("read a model's signatures"):
                read = content if isinstance(content, bytes) else Path(content).read_bytes()
                self._in_file = read_signatures(read, name="model")

    def signature(self, model: Any, index: int) -> TracedSignature | None:
        """Return a signature of *model* by its index, None where there is none.

        LiteRT ends the process where it is asked for one that is not there.
        """
        if not 0 <= index < model.get_num_signatures():
            return None
        signature = self._signatures.get(index)
        if signature is None:
            told = model.get_signature_by_index(index)
            # A file without signatures has one here, by the tensors' own names.
            found = self._in_file.get(told["key"], TfliteSignature(index, {}, {}))
            signature = self._signatures[index] = TracedSignature(
                told["key"],
                tuple(found.inputs.get(name, name) for name in told["inputs"]),
                tuple(found.outputs.get(name, name) for name in told["outputs"]),
                is_primary=found.subgraph_index == 0,
            )
        return signature


# --- methods ----------------------------------------------------------------------------


def _patch_module(module: ModuleType, find_recorder: FindRecorder) -> None:
    compiled_model = module.CompiledModel
    for name in ("from_file", "from_buffer"):
        replace_classmethod(compiled_model, name, functools.partial(_make, find_recorder, module))
    for name in ("run_by_index", "run_by_name"):
        replace_method(compiled_model, name, functools.partial(_run, find_recorder))


def _make(find_recorder: FindRecorder, module: ModuleType, original: Any) -> Any:
    signature = inspect.signature(original)

    def from_source(cls: Any, *args: Any, **kwargs: Any) -> Any:
        start_ns = time.perf_counter_ns()
        model = original(cls, *args, **kwargs)
        init_ns = time.perf_counter_ns() - start_ns
        with guard("trace a compiled model"):
            recorder = None if is_untraced() else find_recorder()
            if recorder is not None and recorder.config.auto:
                given = signature.bind(cls, *args, **kwargs).arguments
                trace_compiled_model(
                    recorder,
                    model,
                    content=given.get("model_path") or given.get("model_data"),
                    options=_flat_options(module, given),
                    init_ns=init_ns,
                )
        return model

    return from_source


def _flat_options(module: ModuleType, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the factory's arguments come to; older versions take an accelerator alone."""
    resolve: Callable[..., Any] | None = getattr(module, "_resolve_options", None)
    if resolve is None:
        accelerator = given.get("hardware_accel")
        return {} if accelerator is None else {"hardware_accel": int(accelerator)}
    options = resolve(given.get("options"), given.get("hardware_accel"))
    flat: Mapping[str, Any] = options._as_flat_kwargs()
    return flat


def _run(find_recorder: FindRecorder, original: Any) -> Any:
    signature = inspect.signature(original)

    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = functools.partial(original, self, *args, **kwargs)
        tracer: BoundaryTracer | None = None
        execution: CompiledExecution | None = None
        with guard("trace a compiled model"):
            tracer = _tracer_to_use(self, find_recorder)
            given: Mapping[str, Any] | None = None
            with contextlib.suppress(TypeError):  # the original raises it in its own words
                given = signature.bind(self, *args, **kwargs).arguments
            if tracer is not None and given is not None:
                execution = _execution(tracer, self, given)
        if tracer is None or execution is None:
            return call()
        return trace_call(tracer, execution, call)

    return run


def _tracer_to_use(model: Any, find_recorder: FindRecorder) -> BoundaryTracer | None:
    recorder = find_recorder()
    if recorder is None or is_untraced():
        return None
    tracer = compiled_tracer_of(model)
    if not isinstance(tracer, BoundaryTracer):
        return None
    if tracer.recorder is not recorder:
        tracer.rebind(recorder)
    return tracer


def _execution(
    tracer: BoundaryTracer, model: Any, given: Mapping[str, Any]
) -> CompiledExecution | None:
    """Return the run that a call's arguments ask for; None for one that LiteRT will refuse."""
    if "signature_index" in given:
        signature = tracer.signature(model, int(given["signature_index"]))
        inputs, outputs = given["input_buffers"], given["output_buffers"]
    else:
        index = model.get_signature_index(given["signature_key"])
        signature = tracer.signature(model, index)
        if signature is None:
            return None
        told = model.get_signature_by_index(index)
        inputs = _pick(told["inputs"], given["input_map"])
        outputs = _pick(told["outputs"], given["output_map"])
    if signature is None or inputs is None or outputs is None:
        return None
    return CompiledExecution(tracer, signature, inputs, outputs, read_buffer)


def _pick(names: Sequence[str], buffers: Mapping[str, Any]) -> list[Any] | None:
    if any(name not in buffers for name in names):
        return None
    return [buffers[name] for name in names]


def read_buffer(buffer: Any) -> Array:
    """Return a copy of a buffer of LiteRT's own class, in its own shape and dtype."""
    details = buffer.get_tensor_details()
    dtype, shape = numpy_dtype(details["dtype"]), tuple(details["shape"])
    size_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    # As bytes, because its read() knows fewer dtypes than there are buffers.
    raw: Array = buffer.read(size_bytes, np.uint8)
    return raw.view(dtype).reshape(shape)
