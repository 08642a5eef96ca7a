from typing import Any

import numpy as np
import pytest

from exray.instrumentation.compiled_tensor import ALIGNMENT, element_name, numpy_dtype
from exray.litert import TensorBuffer

from .builders import litert

litert()

DTYPES = ["float32", "float16", "bfloat16", "int8", "uint8", "int16", "int32", "int64", "bool"]


def buffer_of(array: Any) -> TensorBuffer:
    return TensorBuffer.create_from_host_memory(array)


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_is_written_and_read_back(name: str) -> None:
    dtype = numpy_dtype(name)
    values = np.array([[0, 1, 3], [7, 9, 1]]).astype(dtype)
    buffer = buffer_of(np.zeros((2, 3), dtype))
    buffer.write(values)

    assert buffer.get_tensor_details() == {"dtype": name, "shape": [2, 3]}
    assert buffer.read(6, dtype).tobytes() == values.tobytes()
    assert buffer.array().dtype == dtype
    assert buffer.array().tobytes() == values.tobytes()


def test_a_buffer_shares_the_memory_of_an_aligned_array() -> None:
    memory = np.zeros(256, np.uint8)
    offset = -memory.ctypes.data % ALIGNMENT
    array = memory[offset : offset + 16].view(np.float32)
    buffer = buffer_of(array)
    array[2] = 5

    assert buffer.array().tolist() == [0, 0, 5, 0]


def test_an_array_that_is_not_aligned_is_copied() -> None:
    memory = np.zeros(256, np.uint8)
    offset = -memory.ctypes.data % ALIGNMENT + 4
    array = memory[offset : offset + 16].view(np.float32)
    array[:] = [1, 2, 3, 4]

    assert buffer_of(array).array().tolist() == [1, 2, 3, 4]


def test_an_array_of_any_memory_layout_is_written_in_order() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    buffer = buffer_of(np.zeros((3, 2), np.float32))
    buffer.write(values.T)

    assert buffer.array().tolist() == values.T.tolist()


def test_fewer_bytes_than_it_holds_are_written_to_its_beginning() -> None:
    buffer = buffer_of(np.zeros(4, np.int32))
    buffer.write(np.array([1, 2], np.int32))

    assert buffer.read(3, np.int32).tolist() == [1, 2, 0]


def test_more_bytes_than_it_holds_are_refused_with_both_sizes() -> None:
    buffer = buffer_of(np.zeros((1, 2), np.int8))

    with pytest.raises(RuntimeError, match=r"float32 \[2\] of 8 bytes for int8 \[1, 2\] of 2"):
        buffer.write(np.zeros(2, np.float32))
    with pytest.raises(RuntimeError, match="3 elements of int8 take 3 bytes"):
        buffer.read(3, np.int8)


def test_what_is_no_array_or_of_no_dtype_of_litert_s_is_refused() -> None:
    buffer = buffer_of(np.zeros(2, np.int8))
    not_an_array: Any = [1, 2]

    with pytest.raises(ValueError, match="must be a NumPy array"):
        buffer.write(not_an_array)
    with pytest.raises(ValueError, match="Unsupported dtype: <U1"):
        buffer.write(np.array(["a"]))
    with pytest.raises(ValueError, match="Unsupported dtype: nonsense"):
        buffer.read(1, "nonsense")
    with pytest.raises(ValueError, match="C-contiguous"):
        buffer_of(np.zeros((4, 4), np.float32)[:, ::2])


def test_a_destroyed_buffer_says_so_and_is_destroyed_once() -> None:
    buffer = buffer_of(np.zeros(2, np.int8))
    buffer.destroy()
    buffer.destroy()

    for use in (
        buffer.array,
        buffer.get_tensor_details,
        lambda: buffer.write(np.zeros(2, np.int8)),
    ):
        with pytest.raises(ValueError, match="has been destroyed"):
            use()


def test_element_types_that_numpy_lacks_keep_their_name_and_are_not_read() -> None:
    assert (element_name(18), element_name(99)) == ("int4", "element type 99")
    with pytest.raises(ValueError, match="Unsupported dtype: int4"):
        numpy_dtype("int4")
