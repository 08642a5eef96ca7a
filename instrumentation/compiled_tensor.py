"""Tensor buffers of LiteRT: where a compiled model reads its inputs and writes its outputs."""

import contextlib
import ctypes
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .capture import Array
from .compiled_capi import READ, WRITE, CApi, Handle, RankedTensorType, load_capi

ALIGNMENT = 64
"""``LITERT_HOST_MEMORY_BUFFER_ALIGNMENT`` of litert_tensor_buffer.h, bytes."""

_ELEMENT_TYPES: Mapping[int, str] = {  # LiteRtElementType of litert_model_types.h
    1: "float32",
    2: "int32",
    3: "uint8",
    4: "int64",
    6: "bool",
    7: "int16",
    8: "complex64",
    9: "int8",
    10: "float16",
    11: "float64",
    12: "complex128",
    13: "uint64",
    16: "uint32",
    17: "uint16",
    18: "int4",
    19: "bfloat16",
    20: "int2",
}

_PACKED = frozenset({"int2", "int4"})
"""Types of which several share a byte: ml_dtypes has their names, with a byte for each."""


def element_name(element_type: int) -> str:
    """Return numpy's name of an element type, or LiteRT's number where there is none."""
    return _ELEMENT_TYPES.get(element_type, f"element type {element_type}")


def numpy_dtype(name: str) -> "np.dtype[Any]":
    """Return the dtype that an element type's name stands for.

    Raises:
        ValueError: numpy cannot hold it, as with int4 or strings.
    """
    if name == "bfloat16":
        with contextlib.suppress(ImportError):  # LiteRT's own classes need it, its library not
            import ml_dtypes

            bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
            return bfloat16
        name = "bfloat16 without ml_dtypes"
    if name not in _ELEMENT_TYPES.values() or name in _PACKED:
        msg = f"Unsupported dtype: {name}"
        raise ValueError(msg)
    return np.dtype(name)


def _element_type(dtype: DTypeLike) -> "tuple[int, np.dtype[Any]]":
    try:
        wanted = np.dtype(dtype)
    except TypeError as error:
        msg = f"Unsupported dtype: {dtype}"
        raise ValueError(msg) from error
    for number, name in _ELEMENT_TYPES.items():
        if name == wanted.name and name not in _PACKED:
            return number, wanted
    msg = f"Unsupported dtype: {dtype}"
    raise ValueError(msg)


class TensorBuffer:
    """A buffer of a compiled model, with the methods of LiteRT's own class of that name.

    Made by `CompiledModel.create_input_buffers()` and the like, or over an array of the
    application's by `create_from_host_memory()`.

    Args:
        api: The functions.
        handle: LiteRT's buffer, which this object owns.
    """

    def __init__(self, api: CApi, handle: Handle) -> None:
        self._api = api
        self._handle: Handle | None = handle
        found = RankedTensorType()
        api.call("LiteRtGetTensorBufferTensorType", handle.pointer, ctypes.byref(found))
        self.dtype_name = element_name(found.element_type)
        self.shape = found.layout.shape
        self.size_bytes = api.get_size("LiteRtGetTensorBufferSize", handle.pointer)

    def __str__(self) -> str:
        return f"{self.dtype_name} {list(self.shape)}"

    @classmethod
    def create_from_host_memory(cls, data_array: Array) -> "TensorBuffer":
        """Make a buffer that shares an array's memory.

        Args:
            data_array: C-contiguous, of the shape and dtype that the model takes. One that
                does not lie at a multiple of 64 bytes is copied to where it does.

        Raises:
            ValueError: It is no numpy array, not C-contiguous, or of an unsupported dtype.
        """
        element_type, _ = _checked(data_array)
        if not data_array.flags.c_contiguous:
            msg = "data_array must be C-contiguous for zero-copy host-memory binding"
            raise ValueError(msg)
        array = _aligned(data_array)
        kind = RankedTensorType(element_type=element_type)
        kind.layout.rank = array.ndim
        kind.layout.dimensions[: array.ndim] = list(array.shape)
        api = load_capi()
        pointer = api.get_object(
            "LiteRtCreateTensorBufferFromHostMemory",
            ctypes.byref(kind),
            array.ctypes.data,
            array.nbytes,
            None,
            about=f"array {array.dtype} {list(array.shape)}",
        )
        return cls(api, Handle(api, "LiteRtDestroyTensorBuffer", pointer, array))

    @property
    def handle(self) -> Handle:
        """LiteRT's buffer.

        Raises:
            ValueError: It was destroyed.
        """
        if self._handle is None:
            msg = "TensorBuffer has been destroyed"
            raise ValueError(msg)
        return self._handle

    def write(self, data_array: Array) -> None:
        """Copy an array's bytes into the buffer, from its beginning.

        Args:
            data_array: As many bytes as the buffer holds, or fewer.

        Raises:
            ValueError: It is no numpy array, or of an unsupported dtype.
            RuntimeError: It is larger than the buffer.
        """
        _checked(data_array)
        array = np.ascontiguousarray(data_array)
        if array.nbytes > self.size_bytes:
            msg = (
                "WriteTensorBuffer: source buffer is larger than the tensor buffer: "
                f"{array.dtype} {list(data_array.shape)} of {array.nbytes} bytes for {self} of "
                f"{self.size_bytes}. Pass an array of the buffer's shape and dtype."
            )
            raise RuntimeError(msg)
        with self._locked(WRITE) as address:
            ctypes.memmove(address, array.ctypes.data, array.nbytes)

    def read(self, num_elements: int, output_dtype: DTypeLike) -> Array:
        """Return a copy of the buffer's first elements.

        Args:
            num_elements: How many.
            output_dtype: How to take the bytes.

        Returns:
            Shape (num_elements,).

        Raises:
            ValueError: The dtype is unsupported.
            RuntimeError: The buffer holds fewer.
        """
        _, dtype = _element_type(output_dtype)
        result: Array = np.empty(num_elements, dtype)
        if result.nbytes > self.size_bytes:
            msg = (
                "ReadTensorToBuffer: destination buffer is larger than the tensor buffer: "
                f"{num_elements} elements of {dtype} take {result.nbytes} bytes, {self} holds "
                f"{self.size_bytes}."
            )
            raise RuntimeError(msg)
        with self._locked(READ) as address:
            ctypes.memmove(result.ctypes.data, address, result.nbytes)
        return result

    def get_tensor_details(self) -> dict[str, Any]:
        """Return the buffer's ``dtype`` and ``shape``."""
        assert self.handle
        return {"dtype": self.dtype_name, "shape": list(self.shape)}

    def destroy(self) -> None:
        """Release the buffer now; it cannot be used after."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.destroy()

    def array(self) -> Array:
        """Return a copy of the whole buffer in its own shape and dtype."""
        count = int(np.prod(self.shape, dtype=np.int64))
        return self.read(count, numpy_dtype(self.dtype_name)).reshape(self.shape)

    @contextmanager
    def _locked(self, mode: int) -> Generator[int]:
        """Give the address of the buffer's memory, which LiteRT leaves alone meanwhile."""
        pointer = self.handle.pointer
        locked = ctypes.c_void_p()
        self._api.call("LiteRtLockTensorBuffer", pointer, ctypes.byref(locked), mode)
        try:
            yield locked.value or 0
        finally:
            self._api.call("LiteRtUnlockTensorBuffer", pointer)


def _checked(data_array: Array) -> "tuple[int, np.dtype[Any]]":
    if not isinstance(data_array, np.ndarray):  # pyright: ignore[reportUnnecessaryIsInstance] - who knows
        msg = "data_array must be a NumPy array"
        raise ValueError(msg)  # noqa: TRY004 - as LiteRT's own class does
    return _element_type(data_array.dtype)


def _aligned(array: Array) -> Array:
    """Return *array*, or a copy of it, at an address that LiteRT takes."""
    if array.ctypes.data % ALIGNMENT == 0:
        return array
    memory: NDArray[np.uint8] = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    offset = -memory.ctypes.data % ALIGNMENT
    aligned: Array = memory[offset : offset + array.nbytes].view(array.dtype).reshape(array.shape)
    aligned[...] = array
    return aligned
