"""LiteRT's C API for compiled models, in the wheel's own ``libLiteRt.so``.

The wheel's Python classes link their runtime statically and have no switch for profiling;
the shared library beside them has one. What is declared here is LiteRT's, from the headers
``litert/c/*.h`` of github.com/google-ai-edge/LiteRT. It holds for the versions in
`FIRST_VERSION` to `NEXT_VERSION` and is refused on others: before 2.1.6 a model is created
without its environment, and an argument out of place crashes the process.
"""

import ctypes
import importlib.util
import os
import sys
import weakref
from collections.abc import Callable, Mapping
from ctypes import c_char_p, c_int, c_int32, c_size_t, c_uint32, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

from exray.schema.errors import MissingExtraError, UsageError

from .environment import package_version

FIRST_VERSION, NEXT_VERSION = (2, 1, 6), (2, 4)
"""Versions of LiteRT that the declarations hold for: from the first, before the second."""

MOST_DIMENSIONS = 8
"""``LITERT_TENSOR_MAX_RANK`` of litert_layout.h."""

CPU = 1
"""``kLiteRtHwAcceleratorCpu`` of litert_common.h."""

READ, WRITE = 0, 1
"""``LiteRtTensorBufferLockMode`` of litert_common.h."""


class Layout(ctypes.Structure):
    """``LiteRtLayout`` of litert_layout.h: rank and dimensions, then strides."""

    rank: int
    dimensions: "ctypes.Array[c_int32]"

    _fields_ = [
        ("rank", ctypes.c_uint, 7),
        ("has_strides", ctypes.c_uint, 1),
        ("dimensions", c_int32 * MOST_DIMENSIONS),
        ("strides", c_uint32 * MOST_DIMENSIONS),
    ]

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions; a dynamic one is negative."""
        return tuple(self.dimensions[: self.rank])


class RankedTensorType(ctypes.Structure):
    """``LiteRtRankedTensorType`` of litert_model_types.h, whose size is asserted there."""

    element_type: int
    layout: Layout

    _fields_ = [("element_type", c_int), ("layout", Layout)]


assert ctypes.sizeof(RankedTensorType) == 72

_OBJECT = c_void_p
_OUT = c_void_p  # address of what the call fills in
_INDEX = c_size_t  # LiteRtParamIndex

_CALLS: Mapping[str, tuple[Any, ...]] = {
    # litert_environment.h, litert_model.h
    "LiteRtCreateEnvironment": (c_int, c_void_p, _OUT),
    "LiteRtCreateModelFromFile": (_OBJECT, c_char_p, _OUT),
    "LiteRtCreateModelFromBuffer": (_OBJECT, c_char_p, c_size_t, _OUT),
    "LiteRtGetNumModelSubgraphs": (_OBJECT, _OUT),
    "LiteRtGetModelSubgraph": (_OBJECT, _INDEX, _OUT),
    "LiteRtGetNumModelSignatures": (_OBJECT, _OUT),
    "LiteRtGetModelSignature": (_OBJECT, _INDEX, _OUT),
    "LiteRtGetSignatureKey": (_OBJECT, _OUT),
    "LiteRtGetSignatureSubgraph": (_OBJECT, _OUT),
    "LiteRtGetNumSignatureInputs": (_OBJECT, _OUT),
    "LiteRtGetNumSignatureOutputs": (_OBJECT, _OUT),
    "LiteRtGetSignatureInputName": (_OBJECT, _INDEX, _OUT),
    "LiteRtGetSignatureOutputName": (_OBJECT, _INDEX, _OUT),
    "LiteRtGetSignatureInputTensorByIndex": (_OBJECT, _INDEX, _OUT),
    "LiteRtGetSignatureOutputTensorByIndex": (_OBJECT, _INDEX, _OUT),
    "LiteRtGetTensorName": (_OBJECT, _OUT),
    "LiteRtGetTensorIndex": (_OBJECT, _OUT),
    "LiteRtGetRankedTensorType": (_OBJECT, _OUT),
    # litert_options.h, litert_opaque_options.h
    "LiteRtCreateOptions": (_OUT,),
    "LiteRtSetOptionsHardwareAccelerators": (_OBJECT, c_int),
    "LiteRtCreateOpaqueOptions": (c_char_p, c_void_p, c_void_p, _OUT),
    "LiteRtAddOpaqueOptions": (_OBJECT, _OBJECT),
    # litert_compiled_model.h
    "LiteRtCreateCompiledModel": (_OBJECT, _OBJECT, _OBJECT, _OUT),
    "LiteRtGetCompiledModelInputBufferRequirements": (_OBJECT, _INDEX, _INDEX, _OUT),
    "LiteRtGetCompiledModelOutputBufferRequirements": (_OBJECT, _INDEX, _INDEX, _OUT),
    "LiteRtGetCompiledModelInputTensorLayout": (_OBJECT, _INDEX, _INDEX, _OUT),
    "LiteRtGetCompiledModelOutputTensorLayouts": (
        _OBJECT,
        _INDEX,
        c_size_t,
        _OUT,
        ctypes.c_bool,
    ),
    "LiteRtCompiledModelResizeInputTensor": (_OBJECT, _INDEX, _INDEX, c_void_p, c_size_t),
    "LiteRtCompiledModelResizeInputTensorNonStrict": (
        _OBJECT,
        _INDEX,
        _INDEX,
        c_void_p,
        c_size_t,
    ),
    "LiteRtCompiledModelIsFullyAccelerated": (_OBJECT, _OUT),
    "LiteRtCompiledModelGetProfiler": (_OBJECT, _OUT),
    "LiteRtRunCompiledModel": (_OBJECT, _INDEX, c_size_t, c_void_p, c_size_t, c_void_p),
    # litert_profiler.h
    "LiteRtStartProfiler": (_OBJECT,),
    "LiteRtStopProfiler": (_OBJECT,),
    "LiteRtGetNumProfilerEvents": (_OBJECT, _OUT),
    "LiteRtGetProfilerEvents": (_OBJECT, c_int, c_void_p),
    # litert_tensor_buffer.h, litert_tensor_buffer_requirements.h
    "LiteRtCreateManagedTensorBufferFromRequirements": (_OBJECT, c_void_p, _OBJECT, _OUT),
    "LiteRtCreateTensorBufferFromHostMemory": (c_void_p, c_void_p, c_size_t, c_void_p, _OUT),
    "LiteRtGetTensorBufferTensorType": (_OBJECT, _OUT),
    "LiteRtGetTensorBufferSize": (_OBJECT, _OUT),
    "LiteRtLockTensorBuffer": (_OBJECT, _OUT, c_int),
    "LiteRtUnlockTensorBuffer": (_OBJECT,),
    "LiteRtGetTensorBufferRequirementsBufferSize": (_OBJECT, _OUT),
    "LiteRtGetNumTensorBufferRequirementsSupportedBufferTypes": (_OBJECT, _OUT),
    "LiteRtGetTensorBufferRequirementsSupportedTensorBufferType": (_OBJECT, c_int, _OUT),
}
"""Arguments of every function that returns a status."""

_DESTROYERS = (
    "LiteRtDestroyEnvironment",
    "LiteRtDestroyModel",
    "LiteRtDestroyOptions",
    "LiteRtDestroyCompiledModel",
    "LiteRtDestroyTensorBuffer",
)

_STATUS: Mapping[int, str] = {  # LiteRtStatus of litert_common.h
    1: "InvalidArgument",
    2: "MemoryAllocationFailure",
    3: "RuntimeFailure",
    4: "MissingInputTensor",
    5: "Unsupported",
    6: "NotFound",
    7: "TimeoutExpired",
    8: "WrongVersion",
    9: "Unknown",
    10: "AlreadyExists",
    500: "FileIO",
    501: "InvalidFlatbuffer",
    502: "DynamicLoading",
    503: "Serialization",
    504: "Compilation",
    1000: "IndexOOB",
    1001: "InvalidIrType",
    1002: "InvalidGraphInvariant",
    1003: "GraphModification",
}

INVALID, RUNTIME_FAILURE, NOT_FOUND, OUT_OF_BOUNDS = 1, 3, 6, 1000
"""Statuses that are told here before LiteRT is asked, which may abort the process."""


def litert_error(status: int, message: str) -> RuntimeError:
    """Return an error as the wheel's class raises it: type, status, and what happened."""
    return RuntimeError(f"CompiledModel error: code={status}, message={message}")


def failed_call(name: str, status: int, about: str) -> RuntimeError:
    """Return the error of a function that did not return OK."""
    outcome = f"{name} failed: kLiteRtStatusError{_STATUS.get(status, status)}"
    return litert_error(status, f"{outcome}; {about}" if about else outcome)


class CApi:
    """The functions of one ``libLiteRt.so``.

    Args:
        library: Its path.
        version: Of the package that it belongs to, for messages.

    Raises:
        UsageError: It lacks a function that is needed.
    """

    def __init__(self, library: Path, version: str) -> None:
        self._functions: dict[str, Any] = {}
        loaded = ctypes.CDLL(str(library))
        missing = [name for name in (*_CALLS, *_DESTROYERS) if not hasattr(loaded, name)]
        if missing:
            raise _unsuitable(version, f"its {library.name} lacks {', '.join(missing)}")
        for name, arguments in _CALLS.items():
            function = getattr(loaded, name)
            function.restype, function.argtypes = c_int, arguments
            self._functions[name] = function
        for name in _DESTROYERS:
            function = getattr(loaded, name)
            function.restype, function.argtypes = None, (_OBJECT,)
            self._functions[name] = function

    def call(self, name: str, *arguments: Any, about: str = "") -> None:
        """Call a function.

        Args:
            name: The function.
            arguments: As `_CALLS` declares them.
            about: What it was called for, added to the message of an error.

        Raises:
            RuntimeError: It returned another status than OK.
        """
        status = self._functions[name](*arguments)
        if status:
            raise failed_call(name, status, about)

    def function(self, name: str) -> Callable[..., Any]:
        """Return a function itself."""
        function: Callable[..., Any] = self._functions[name]
        return function

    def get_object(self, name: str, *arguments: Any, about: str = "") -> int:
        """Return the object that a call yields in its last argument."""
        found = c_void_p()
        self.call(name, *arguments, ctypes.byref(found), about=about)
        return found.value or 0

    def get_size(self, name: str, *arguments: Any) -> int:
        """Return the number that a call yields in its last argument."""
        found = c_size_t()
        self.call(name, *arguments, ctypes.byref(found))
        return found.value

    def get_int(self, name: str, *arguments: Any) -> int:
        """Return the C int, or enum, that a call yields in its last argument."""
        found = c_int()
        self.call(name, *arguments, ctypes.byref(found))
        return found.value

    def get_text(self, name: str, *arguments: Any) -> str:
        """Return the string that a call yields in its last argument."""
        found = c_char_p()
        self.call(name, *arguments, ctypes.byref(found))
        return (found.value or b"").decode("utf-8", "replace")


class Handle:
    """An object of LiteRT's that lives as long as this one.

    What it needs is destroyed after it, whatever order Python drops them in. At the
    interpreter's exit nothing is destroyed: a thread may still be inside. Neither is it in a
    forked child, where LiteRT's threads do not exist, and to join them would wait forever.

    Args:
        api: The functions.
        destroyer: Name of the one that destroys it.
        pointer: The object.
        needs: What must outlive it.
    """

    def __init__(self, api: CApi, destroyer: str, pointer: int, *needs: object) -> None:
        self.pointer = pointer
        destroy = api.function(destroyer)
        self._finalizer = weakref.finalize(self, _destroy, destroy, pointer, os.getpid(), needs)
        self._finalizer.atexit = False

    def destroy(self) -> None:
        """Destroy the object now; a second time does nothing."""
        self._finalizer()


def _destroy(destroy: Callable[[int], None], pointer: int, pid: int, needs: object) -> None:
    if os.getpid() == pid:
        destroy(pointer)


@cache
def load_capi() -> CApi:
    """Load LiteRT's shared library.

    Raises:
        MissingExtraError: LiteRT is not installed.
        UsageError: It is of a version that is not understood.
    """
    spec = importlib.util.find_spec("ai_edge_litert")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("litert", "exray.litert.CompiledModel")
    version = package_version("ai-edge-litert")
    if not FIRST_VERSION <= _numbers(version) < NEXT_VERSION:
        raise _unsuitable(version, "its C API was not tried")
    name = "libLiteRt.dylib" if sys.platform == "darwin" else "libLiteRt.so"
    library = Path(spec.submodule_search_locations[0], name)
    if not library.is_file():
        raise _unsuitable(version, f"it comes without {name}")
    return CApi(library, version)


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split(".")[:3]
    return tuple(int(part) for part in parts if part.isdecimal())


def _unsuitable(version: str, reason: str) -> UsageError:
    first, following = (".".join(map(str, v)) for v in (FIRST_VERSION, NEXT_VERSION))
    return UsageError(
        f"exray.litert.CompiledModel cannot use LiteRT {version or '(unknown version)'}: {reason}. "
        f"Install ai-edge-litert>={first},<{following}, or use "
        "ai_edge_litert.compiled_model.CompiledModel, whose runs are recorded with their inputs "
        "and outputs, without their operators."
    )
