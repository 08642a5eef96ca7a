"""Compiled models of LiteRT whose operators are recorded.

LiteRT's own ``ai_edge_litert.compiled_model.CompiledModel`` has no way to switch profiling
on, so the model is compiled here, with the same methods and the same results.
"""

import functools
import os
import threading
import time
from collections.abc import Mapping, Sequence
from ctypes import byref, c_bool, c_int32
from typing import Any, Self

from .capture import Array
from .compiled_build import (
    Compiled,
    Edge,
    Environment,
    Signature,
    compile_model,
    cpu_settings,
)
from .compiled_capi import (
    NOT_FOUND,
    OUT_OF_BOUNDS,
    Handle,
    Layout,
    RankedTensorType,
    litert_error,
)
from .compiled_run import check_buffers, pick_buffers, run_signature
from .compiled_tensor import TensorBuffer
from .compiled_trace import CompiledExecution, CompiledTracer, Profiler, TracedSignature
from .guard import guard, log_once
from .inference import trace_call
from .patching import FindRecorder, is_untraced
from .recorder import Recorder


def _nothing_recorded() -> Recorder | None:
    return None


_find_recorder: FindRecorder = _nothing_recorded


def trace_compiled_models(find_recorder: FindRecorder) -> None:
    """Record the runs of every `CompiledModel` with the recorder that *find_recorder* returns."""
    global _find_recorder
    _find_recorder = find_recorder


class CompiledModel:
    """A model compiled for the CPU, whose runs are recorded with each operator's time.

    As ``ai_edge_litert.compiled_model.CompiledModel``, whose methods it has. Made by
    `from_file()` or `from_buffer()`. Runs on several threads take turns.

    Args:
        compiled: The compiled model.
        source: Its file, or its bytes.
        init_ns: Time that compiling took.
    """

    def __init__(
        self, compiled: Compiled, source: str | os.PathLike[str] | bytes, init_ns: int
    ) -> None:
        self._compiled: Compiled | None = compiled
        self._environment = compiled.environment
        self._source = source
        self._init_ns = init_ns
        self._lock = threading.RLock()
        self._profiler: Profiler | None = None
        if compiled.profiler:
            self._profiler = Profiler(compiled.api, compiled.profiler, compiled.handle)
        self._exray_model: CompiledTracer | None = None
        self._is_resized = False

    @classmethod
    def from_file(
        cls,
        model_path: str | os.PathLike[str],
        hardware_accel: int | None = None,
        environment: Environment | None = None,
        options: Any = None,
    ) -> Self:
        """Compile a model file.

        Args:
            model_path: The .tflite file.
            hardware_accel: ``HardwareAccelerator.CPU``, the only one here.
            environment: One of `exray.litert.Environment` that models share.
            options: ``ai_edge_litert.options.Options``: threads, kernels and XNNPACK's
                settings of its ``cpu_options``. Default: one thread.

        Raises:
            RuntimeError: LiteRT cannot compile it.
            UsageError: Another accelerator is asked for, or this LiteRT is not understood.
            MissingExtraError: LiteRT is not installed.
        """
        return cls._compile(os.fspath(model_path), hardware_accel, environment, options)

    @classmethod
    def from_buffer(
        cls,
        model_data: bytes,
        hardware_accel: int | None = None,
        environment: Environment | None = None,
        options: Any = None,
    ) -> Self:
        """Compile a model that is in memory; arguments and errors of `from_file()`."""
        return cls._compile(bytes(model_data), hardware_accel, environment, options)

    @classmethod
    def _compile(
        cls,
        source: str | bytes,
        hardware_accel: int | None,
        environment: Environment | None,
        options: Any,
    ) -> Self:
        settings = cpu_settings(options, hardware_accel)
        if environment is not None and not isinstance(environment, Environment):  # pyright: ignore[reportUnnecessaryIsInstance] - who knows
            msg = (
                f"environment is a {type(environment).__module__}.{type(environment).__name__}, "
                "which belongs to another runtime; leave it out, or pass one of "
                "exray.litert.Environment.create()."
            )
            raise TypeError(msg)
        recorder = _find_recorder()
        start_ns = time.perf_counter_ns()
        compiled = compile_model(
            source, environment=environment, settings=settings, profiling=recorder is not None
        )
        model = cls(compiled, source, time.perf_counter_ns() - start_ns)
        if recorder is not None:
            with guard("trace a compiled model"):
                model._exray_model = model._make_tracer(recorder)
        return model

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the model, once the runs of other threads have ended."""
        self._compiled = self._profiler = None

    @property
    def environment(self) -> Environment:
        """The environment that the model was compiled in."""
        return self._environment

    @property
    def _opened(self) -> Compiled:
        if self._compiled is None:
            msg = "CompiledModel has been closed"
            raise ValueError(msg)
        return self._compiled

    # --- signatures --------------------------------------------------------------------

    def get_signature_list(self) -> dict[str, dict[str, list[str]]]:
        """Return the names of the inputs and outputs of every signature."""
        return {s.key: _names(s) for s in self._opened.signatures}

    def get_signature_by_index(self, index: int) -> dict[str, Any]:
        """Return a signature's key and the names of its inputs and outputs."""
        signature = self._opened.signature(index)
        return {"key": signature.key, **_names(signature)}

    def get_num_signatures(self) -> int:
        """Return how many signatures the model has."""
        return len(self._opened.signatures)

    def get_signature_index(self, key: str) -> int:
        """Return a signature's index, -1 where there is none of that key."""
        return next((s.index for s in self._opened.signatures if s.key == key), -1)

    def get_input_tensor_details(self, signature_key: str) -> dict[str, Any]:
        """Return name, index, dtype and present shape of a signature's inputs, by their names."""
        signature = self._opened.signature_named(signature_key)
        return _details(signature.inputs, self._input_layouts(signature))

    def get_output_tensor_details(self, signature_key: str) -> dict[str, Any]:
        """Return name, index, dtype and present shape of a signature's outputs, by their names."""
        signature = self._opened.signature_named(signature_key)
        return _details(signature.outputs, self._output_layouts(signature))

    def is_fully_accelerated(self) -> bool:
        """Return whether accelerators took over the whole model."""
        compiled, found = self._opened, c_bool()
        name = "LiteRtCompiledModelIsFullyAccelerated"
        compiled.api.call(name, compiled.handle.pointer, byref(found))
        return found.value

    # --- buffers -----------------------------------------------------------------------

    def get_input_buffer_requirements(
        self, input_index: int, signature_index: int = 0
    ) -> dict[str, Any]:
        """Return size in bytes and supported types of the buffer of an input."""
        return self._requirements_told("Input", signature_index, input_index)

    def get_output_buffer_requirements(
        self, output_index: int, signature_index: int = 0
    ) -> dict[str, Any]:
        """Return size in bytes and supported types of the buffer of an output."""
        return self._requirements_told("Output", signature_index, output_index)

    def create_input_buffer_by_name(self, signature_key: str, input_name: str) -> TensorBuffer:
        """Return a new buffer for one input of a signature."""
        signature = self._opened.signature_named(signature_key)
        place = _place(signature.inputs, input_name, "Input")
        layout = self._input_layouts(signature)[place]
        return self._create_buffer("Input", signature, signature.inputs[place], place, layout)

    def create_output_buffer_by_name(self, signature_key: str, output_name: str) -> TensorBuffer:
        """Return a new buffer for one output of a signature."""
        signature = self._opened.signature_named(signature_key)
        place = _place(signature.outputs, output_name, "Output")
        layout = self._output_layouts(signature)[place]
        return self._create_buffer("Output", signature, signature.outputs[place], place, layout)

    def create_input_buffers(self, signature_index: int) -> list[TensorBuffer]:
        """Return new buffers for all inputs of a signature."""
        signature = self._opened.signature(signature_index)
        layouts = self._input_layouts(signature)
        return [
            self._create_buffer("Input", signature, edge, place, layouts[place])
            for place, edge in enumerate(signature.inputs)
        ]

    def create_output_buffers(self, signature_index: int) -> list[TensorBuffer]:
        """Return new buffers for all outputs of a signature."""
        signature = self._opened.signature(signature_index)
        layouts = self._output_layouts(signature)
        return [
            self._create_buffer("Output", signature, edge, place, layouts[place])
            for place, edge in enumerate(signature.outputs)
        ]

    def _input_layouts(self, signature: Signature) -> list[Layout]:
        compiled, layouts = self._opened, [Layout() for _ in signature.inputs]
        for place, layout in enumerate(layouts):
            compiled.api.call(
                "LiteRtGetCompiledModelInputTensorLayout",
                compiled.handle.pointer,
                signature.index,
                place,
                byref(layout),
            )
        return layouts

    def _output_layouts(self, signature: Signature) -> list[Layout]:
        compiled, count = self._opened, len(signature.outputs)
        layouts = (Layout * count)()
        compiled.api.call(
            "LiteRtGetCompiledModelOutputTensorLayouts",
            compiled.handle.pointer,
            signature.index,
            count,
            byref(layouts),
            True,  # follow a resized input
        )
        return list(layouts)

    def _requirements(self, role: str, signature: Signature, place: int) -> int:
        edges = signature.inputs if role == "Input" else signature.outputs
        if not 0 <= place < len(edges):
            msg = f"{role} index {place} is out of range: {signature.key!r} has {len(edges)}."
            raise litert_error(OUT_OF_BOUNDS, msg)
        compiled = self._opened
        name = f"LiteRtGetCompiledModel{role}BufferRequirements"
        return compiled.api.get_object(
            name, compiled.handle.pointer, signature.index, place, about=f"{role.lower()} {place}"
        )

    def _requirements_told(self, role: str, signature_index: int, place: int) -> dict[str, Any]:
        api = self._opened.api
        wanted = self._requirements(role, self._opened.signature(signature_index), place)
        count = api.get_int("LiteRtGetNumTensorBufferRequirementsSupportedBufferTypes", wanted)
        name = "LiteRtGetTensorBufferRequirementsSupportedTensorBufferType"
        return {
            "buffer_size": api.get_size("LiteRtGetTensorBufferRequirementsBufferSize", wanted),
            "supported_types": [api.get_int(name, wanted, i) for i in range(count)],
        }

    def _create_buffer(
        self, role: str, signature: Signature, edge: Edge, place: int, layout: Layout
    ) -> TensorBuffer:
        compiled, environment = self._opened, self._opened.owner
        kind = RankedTensorType(edge.element_type, layout)
        pointer = compiled.api.get_object(
            "LiteRtCreateManagedTensorBufferFromRequirements",
            environment.pointer,
            byref(kind),
            self._requirements(role, signature, place),
            about=f"{role.lower()} {edge}",
        )
        buffer = Handle(compiled.api, "LiteRtDestroyTensorBuffer", pointer, environment)
        return TensorBuffer(compiled.api, buffer)

    # --- resizing ----------------------------------------------------------------------

    def resize_input_tensor(
        self, input_index: int, dims: Sequence[int], signature_index: int = 0, strict: bool = True
    ) -> None:
        """Give an input another shape; buffers made before keep their own.

        Args:
            input_index: Its place in the signature.
            dims: The new shape.
            signature_index: The signature.
            strict: Only free dimensions may change.
        """
        compiled, signature = self._opened, self._opened.signature(signature_index)
        name = "LiteRtCompiledModelResizeInputTensor" + ("" if strict else "NonStrict")
        shape = (c_int32 * len(dims))(*dims)
        with self._lock:
            self._is_resized = True
            compiled.api.call(
                name,
                compiled.handle.pointer,
                signature.index,
                input_index,
                byref(shape),
                len(dims),
                about=f"input {input_index} to {list(dims)}",
            )

    def resize_input_tensor_by_name(
        self, signature_key: str, input_name: str, dims: Sequence[int], strict: bool = True
    ) -> None:
        """Give an input that is known by its name another shape."""
        index = self.get_signature_index(signature_key)
        if index < 0:
            msg = f"Unknown signature: {signature_key}"
            raise ValueError(msg)
        names = [edge.name for edge in self._opened.signature(index).inputs]
        if input_name not in names:
            msg = f"Unknown input '{input_name}' for signature '{signature_key}'"
            raise ValueError(msg)
        self.resize_input_tensor(names.index(input_name), dims, index, strict)

    # --- execution ---------------------------------------------------------------------

    def run_by_name(
        self,
        signature_key: str,
        input_map: Mapping[str, TensorBuffer],
        output_map: Mapping[str, TensorBuffer],
    ) -> None:
        """Run a signature, its buffers by the names of its inputs and outputs.

        Raises:
            RuntimeError: There is no such signature, a buffer is missing or does not fit, or
                LiteRT cannot run it.
        """
        signature = self._opened.signature_named(signature_key)
        self._run(
            signature,
            pick_buffers(signature, signature.inputs, input_map, "input"),
            pick_buffers(signature, signature.outputs, output_map, "output"),
        )

    def run_by_index(
        self,
        signature_index: int,
        input_buffers: Sequence[TensorBuffer],
        output_buffers: Sequence[TensorBuffer],
    ) -> None:
        """Run a signature, its buffers in the order of its inputs and outputs.

        Raises:
            RuntimeError: As `run_by_name()`.
        """
        self._run(self._opened.signature(signature_index), input_buffers, output_buffers)

    def _run(
        self,
        signature: Signature,
        inputs: Sequence[TensorBuffer],
        outputs: Sequence[TensorBuffer],
    ) -> None:
        compiled = self._opened
        with self._lock:
            check_buffers(signature, inputs, outputs, is_resized=self._is_resized)
            call = functools.partial(run_signature, compiled, signature, inputs, outputs)
            execution: CompiledExecution | None = None
            with guard("trace a compiled model"):
                execution = self._execution(signature, inputs, outputs)
            if execution is None:
                call()
                return
            try:
                trace_call(execution.tracer, execution, functools.partial(execution.timed, call))
            finally:
                execution.finish()

    # --- recording ---------------------------------------------------------------------

    def _execution(
        self,
        signature: Signature,
        inputs: Sequence[TensorBuffer],
        outputs: Sequence[TensorBuffer],
    ) -> CompiledExecution | None:
        recorder = None if is_untraced() else _find_recorder()
        if recorder is None:
            return None
        tracer = self._exray_model
        if tracer is None:
            tracer = self._exray_model = self._make_tracer(recorder)
        elif tracer.recorder is not recorder:
            tracer.rebind(recorder)
        return CompiledExecution(tracer, _traced(signature), inputs, outputs, _read, self._profiler)

    def _make_tracer(self, recorder: Recorder) -> CompiledTracer:
        if self._profiler is None:
            log_once(
                "compiled before",
                "a CompiledModel that was compiled before exray.configure() has no profiler: "
                "its inputs, outputs and times are recorded, its operators are not. Compile it "
                "after.",
            )
        settings = self._opened.settings
        return CompiledTracer(
            recorder,
            content=self._source,
            kernels=settings.kernels,
            threads=settings.threads or None,
            init_ns=self._init_ns,
        )


def _names(signature: Signature) -> dict[str, list[str]]:
    return {
        "inputs": [edge.name for edge in signature.inputs],
        "outputs": [edge.name for edge in signature.outputs],
    }


def _details(edges: Sequence[Edge], layouts: Sequence[Layout]) -> dict[str, Any]:
    return {
        edge.name: {
            "name": edge.tensor_name,
            "index": edge.tensor_index,
            "dtype": edge.dtype_name,
            "shape": list(layout.shape),
        }
        for edge, layout in zip(edges, layouts, strict=True)
    }


def _place(edges: Sequence[Edge], name: str, role: str) -> int:
    for place, edge in enumerate(edges):
        if edge.name == name:
            return place
    known = ", ".join(repr(edge.name) for edge in edges)
    raise litert_error(NOT_FOUND, f"{role} tensor not found: {name}; there are {known}.")


def _read(buffer: TensorBuffer) -> Array:
    return buffer.array()


@functools.cache
def _traced(signature: Signature) -> TracedSignature:
    inputs, outputs = (
        tuple(edge.tensor_name for edge in edges) for edges in (signature.inputs, signature.outputs)
    )
    return TracedSignature(signature.key, inputs, outputs, signature.is_primary)
