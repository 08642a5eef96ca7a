"""A model compiled through LiteRT's C API, and what is in it."""

import ctypes
import os
from collections.abc import Mapping
from ctypes import byref, c_char_p, c_void_p
from dataclasses import dataclass
from typing import Any, Self

from exray.schema.errors import UsageError

from .compiled_capi import (
    CPU,
    NOT_FOUND,
    OUT_OF_BOUNDS,
    CApi,
    Handle,
    RankedTensorType,
    litert_error,
    load_capi,
)
from .compiled_tensor import element_name

KERNEL_MODES: Mapping[int, str] = {0: "xnnpack", 1: "reference", 2: "builtin"}
"""``LiteRtCpuKernelMode`` of litert_cpu_options.h, as its text names them."""


class Environment:
    """LiteRT's environment, which models may share.

    It is this API's own: that of ``ai_edge_litert.environment`` belongs to another runtime.

    Args:
        api: The functions.
    """

    def __init__(self, api: CApi) -> None:
        pointer = api.get_object("LiteRtCreateEnvironment", 0, None)
        self._handle: Handle | None = Handle(api, "LiteRtDestroyEnvironment", pointer)

    @classmethod
    def create(cls) -> "Environment":
        """Make an environment."""
        return cls(load_capi())

    @property
    def handle(self) -> Handle:
        """LiteRT's environment.

        Raises:
            ValueError: It was closed.
        """
        if self._handle is None:
            msg = "Environment is no longer valid"
            raise ValueError(msg)
        return self._handle

    def close(self) -> None:
        """Make no more models in it; it lives as long as those that it has."""
        self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# --- options ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CpuSettings:
    """How the CPU runs a model.

    Args:
        threads: 0 for as many as LiteRT likes.
        kernels: Kernel family, None for LiteRT's choice.
        text: All of it as LiteRT reads it.
    """

    threads: int
    kernels: str | None
    text: str


def cpu_settings(options: Any, hardware_accel: int | None) -> CpuSettings:
    """Return the settings that the arguments of ``from_file()`` ask for.

    Args:
        options: An ``ai_edge_litert.options.Options``, or None for one thread.
        hardware_accel: The older way to name the accelerator.

    Raises:
        ValueError: Both are given.
        UsageError: Another accelerator than the CPU is asked for.
    """
    if options is not None and hardware_accel is not None:
        msg = "Pass either options or hardware_accel, not both."
        raise ValueError(msg)
    wanted: dict[str, Any] = {"hardware_accel": hardware_accel or CPU, "cpu_num_threads": 1}
    if options is not None:
        wanted = dict(options._as_flat_kwargs())
    if int(wanted["hardware_accel"]) != CPU:
        msg = (
            f"exray.litert.CompiledModel got accelerators {int(wanted['hardware_accel'])}, and "
            f"compiles for the CPU alone ({CPU}), where operators report their times. For GPU "
            "and NPU use ai_edge_litert.compiled_model.CompiledModel, whose runs are recorded "
            "with their inputs and outputs."
        )
        raise UsageError(msg)
    return _settings_from_wanted(wanted)


def _settings_from_wanted(wanted: Mapping[str, Any]) -> CpuSettings:
    threads = max(int(wanted.get("cpu_num_threads", 0)), 0)
    kernels = KERNEL_MODES.get(int(wanted.get("cpu_kernel_mode", -1)))
    flags = int(wanted.get("xnnpack_flags", -1))
    cache = str(wanted.get("xnnpack_weight_cache_path", ""))
    # The keys are those that litert/runtime/litert_cpu_options.cc parses.
    lines = [
        f"num_threads = {threads}" if threads else "",
        f'kernel_mode = "{kernels}"' if kernels else "",
        f"flags = {flags}" if flags >= 0 else "",
        f'weight_cache_file_path = "{cache}"' if cache else "",
        "enable_ynnpack = true" if wanted.get("cpu_enable_ynnpack") else "",
    ]
    return CpuSettings(threads, kernels, "".join(f"{line}\n" for line in lines if line))


def _make_options(api: CApi, settings: CpuSettings, profiling: bool) -> Handle:
    pointer = api.get_object("LiteRtCreateOptions")
    options = Handle(api, "LiteRtDestroyOptions", pointer)
    api.call("LiteRtSetOptionsHardwareAccelerators", options.pointer, CPU)
    if settings.text:
        _add_text(api, options, b"xnnpack", settings.text)
    if profiling:
        _add_text(api, options, b"runtime_options_string", "enable_profiling = true\n")
    return options


def _add_text(api: CApi, options: Handle, identifier: bytes, text: str) -> None:
    """Add options that LiteRT reads as text; it frees the copy that is made here."""
    libc = ctypes.CDLL(None)
    libc.strdup.restype, libc.strdup.argtypes = c_void_p, (c_char_p,)
    opaque = api.get_object(
        "LiteRtCreateOpaqueOptions",
        identifier,
        libc.strdup(text.encode()),
        ctypes.cast(libc.free, c_void_p),
    )
    api.call("LiteRtAddOpaqueOptions", options.pointer, opaque)


# --- signatures -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Edge:
    """An input or output of a signature.

    Args:
        name: What the signature calls it.
        tensor_name: What the graph calls it.
        tensor_index: Its number in the subgraph.
        element_type: LiteRT's number of the type.
        shape: As the file has it; a free dimension is negative.
    """

    name: str
    tensor_name: str
    tensor_index: int
    element_type: int
    shape: tuple[int, ...]

    @property
    def dtype_name(self) -> str:
        """numpy's name of the element type."""
        return element_name(self.element_type)

    def __str__(self) -> str:
        return f"{self.name!r} ({self.dtype_name} {list(self.shape)})"


@dataclass(frozen=True, slots=True)
class Signature:
    """A way to run a model; *is_primary* where it runs the file's first subgraph."""

    index: int
    key: str
    inputs: tuple[Edge, ...]
    outputs: tuple[Edge, ...]
    is_primary: bool


def _read_signatures(api: CApi, model: Handle) -> tuple[Signature, ...]:
    primary = api.get_object("LiteRtGetModelSubgraph", model.pointer, 0)
    signatures: list[Signature] = []
    for index in range(api.get_size("LiteRtGetNumModelSignatures", model.pointer)):
        pointer = api.get_object("LiteRtGetModelSignature", model.pointer, index)
        signatures.append(
            Signature(
                index,
                api.get_text("LiteRtGetSignatureKey", pointer),
                _read_edges(api, pointer, "Input"),
                _read_edges(api, pointer, "Output"),
                api.get_object("LiteRtGetSignatureSubgraph", pointer) == primary,
            )
        )
    return tuple(signatures)


def _read_edges(api: CApi, signature: int, role: str) -> tuple[Edge, ...]:
    edges: list[Edge] = []
    for index in range(api.get_size(f"LiteRtGetNumSignature{role}s", signature)):
        tensor = api.get_object(f"LiteRtGetSignature{role}TensorByIndex", signature, index)
        number, kind = ctypes.c_uint32(), RankedTensorType()
        api.call("LiteRtGetTensorIndex", tensor, byref(number))
        api.call("LiteRtGetRankedTensorType", tensor, byref(kind))
        edges.append(
            Edge(
                api.get_text(f"LiteRtGetSignature{role}Name", signature, index),
                api.get_text("LiteRtGetTensorName", tensor),
                number.value,
                kind.element_type,
                kind.layout.shape,
            )
        )
    return tuple(edges)


# --- compilation ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled model.

    Args:
        api: The functions.
        environment: That it was compiled in.
        owner: LiteRT's environment, which outlives it.
        handle: LiteRT's compiled model, which keeps alive all that it needs.
        signatures: In the file's order.
        settings: That it was compiled with.
        profiler: LiteRT's profiler, 0 where it was compiled without.
    """

    api: CApi
    environment: Environment
    owner: Handle
    handle: Handle
    signatures: tuple[Signature, ...]
    settings: CpuSettings
    profiler: int

    def signature(self, index: int) -> Signature:
        """Return a signature by its index.

        Raises:
            RuntimeError: There is none.
        """
        if 0 <= index < len(self.signatures):
            return self.signatures[index]
        msg = f"Signature index {index} is out of range: the model has {len(self.signatures)}."
        raise litert_error(OUT_OF_BOUNDS, msg)

    def signature_named(self, key: str) -> Signature:
        """Return a signature by its key.

        Raises:
            RuntimeError: There is none.
        """
        for signature in self.signatures:
            if signature.key == key:
                return signature
        known = ", ".join(repr(signature.key) for signature in self.signatures)
        raise litert_error(NOT_FOUND, f"Signature not found: {key}; the model has {known}.")


def compile_model(
    source: str | os.PathLike[str] | bytes,
    *,
    environment: Environment | None,
    settings: CpuSettings,
    profiling: bool,
) -> Compiled:
    """Compile a model.

    Args:
        source: Its path, or its bytes.
        environment: To compile it in; None for one of its own.
        settings: How the CPU runs it.
        profiling: Let operators report their times.

    Raises:
        RuntimeError: LiteRT cannot.
        MissingExtraError: LiteRT is not installed.
        UsageError: It is of a version that is not understood.
    """
    api = load_capi()
    environment = environment or Environment(api)
    owner = environment.handle
    model = _make_model(api, owner, source)
    options = _make_options(api, settings, profiling)
    pointer = api.get_object(
        "LiteRtCreateCompiledModel", owner.pointer, model.pointer, options.pointer
    )
    # The model, and what it was made with, are destroyed after what was compiled of it.
    destroyer = "LiteRtDestroyCompiledModel"
    compiled = Handle(api, destroyer, pointer, options, model, owner)
    profiler = 0
    if profiling:
        profiler = api.get_object("LiteRtCompiledModelGetProfiler", compiled.pointer)
    signatures = _read_signatures(api, model)
    return Compiled(api, environment, owner, compiled, signatures, settings, profiler)


def _make_model(api: CApi, owner: Handle, source: str | os.PathLike[str] | bytes) -> Handle:
    if isinstance(source, bytes):
        pointer = api.get_object(
            "LiteRtCreateModelFromBuffer",
            owner.pointer,
            source,
            len(source),
            about=f"model of {len(source)} bytes",
        )
        return Handle(api, "LiteRtDestroyModel", pointer, source, owner)
    path = os.fsencode(source)
    about = f"model {os.fsdecode(path)!r}"
    pointer = api.get_object("LiteRtCreateModelFromFile", owner.pointer, path, about=about)
    return Handle(api, "LiteRtDestroyModel", pointer, owner)
