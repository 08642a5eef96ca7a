"""Keys, ids and hashes: the same everywhere, never twice."""

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest

from exray.schema import identity
from exray.schema.identity import (
    file_sha256,
    input_key,
    new_run_id,
    new_span_id,
    new_span_ids,
    new_trace_id,
    sketch_family,
    tensor_hash,
)

VECTORS = {
    # printf '%s' ID | sha256sum, first 8 bytes little-endian
    "cat.png": 0x02BE0D69E05C4FB9,  # b94f5ce0690dbe02...
    "": 0x141CFC9842C4B0E3,  # e3b0c44298fc1c14...
    "grün/0001.jpg": 0x41960E61F5E76C87,  # 876ce7f5610e9641...
}


@pytest.mark.parametrize(("input_id", "key"), VECTORS.items())
def test_input_key_is_the_first_8_bytes_of_sha256(input_id: str, key: int) -> None:
    assert input_key(input_id) == key


def test_input_key_is_signed() -> None:
    keys = [input_key(str(i)) for i in range(64)]
    assert min(keys) < 0 < max(keys)
    assert all(-(2**63) <= key < 2**63 for key in keys)


def test_input_key_of_a_file_name_that_is_not_utf8_is_of_its_bytes() -> None:
    name = os.fsdecode(b"\xff.png")
    digest = hashlib.sha256(b"\xff.png").digest()
    assert input_key(name) == int.from_bytes(digest[:8], "little", signed=True)


def test_input_key_takes_any_string() -> None:
    assert input_key("\ud800") != input_key("\ud801")


@pytest.mark.parametrize(("key", "family"), [(0, 0), (17, 1), (-1, 15), (-16, 0), (-(2**63), 0)])
def test_sketch_family_is_bitwise(key: int, family: int) -> None:
    assert sketch_family(key) == family


def test_run_id_is_a_uuid_of_version_7_with_the_time() -> None:
    before_ms = time.time_ns() // 1_000_000
    run_id = new_run_id()
    assert len(run_id) == 16
    assert run_id[6] >> 4 == 7
    assert run_id[8] >> 6 == 0b10
    assert before_ms <= int.from_bytes(run_id[:6], "big") <= before_ms + 10_000


def test_run_ids_ascend_even_when_the_clock_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    times = [now + 50, now + 50, now, now - 3_600 * 10**9, 0]
    first = new_run_id()
    ids = [first]
    for time_ns in times:
        monkeypatch.setattr(time, "time_ns", lambda time_ns=time_ns: time_ns)
        ids.append(new_run_id())
    assert ids == sorted(set(ids))


def test_run_ids_of_a_fork_differ_from_the_parents() -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, b"".join(new_run_id() for _ in range(20)))
        os._exit(0)
    ours = {new_run_id() for _ in range(20)}
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        sent = pipe.read()
    os.waitpid(pid, 0)
    theirs = {sent[i : i + 16] for i in range(0, len(sent), 16)}
    assert len(theirs) == 20
    assert not ours & theirs


def test_trace_and_span_ids_are_of_opentelemetrys_size_and_never_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (len(new_trace_id()), len(new_span_id())) == (16, 8)
    monkeypatch.setattr(os, "urandom", lambda size: bytes(15) + bytes([1] * (size - 15)))
    monkeypatch.setattr(identity, "_entropy", identity._Entropy())
    assert new_span_id() == bytes(7) + b"\x01"


def test_a_forked_child_draws_ids_of_its_own() -> None:
    new_span_id()
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, new_span_id())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 8) != new_span_id()


def test_span_ids_in_bulk_differ_and_are_never_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = new_span_ids(1000)
    assert ids.dtype == np.uint64
    assert len(set(ids.tolist())) == 1000
    monkeypatch.setattr(os, "urandom", bytes)
    monkeypatch.setattr(identity, "_entropy", identity._Entropy())
    assert new_span_ids(2).tolist() == [1, 1]


def test_tensor_hash_is_xxh3_64_signed() -> None:
    # 2d06800538d394c2 is XXH3-64 of nothing, as its own specification gives it
    assert tensor_hash(np.empty(0, np.float32)) == 0x2D06800538D394C2
    assert tensor_hash(np.arange(9, dtype=np.uint8)) == -1629980255024596516


def test_tensor_hash_is_of_the_bytes_in_row_major_order() -> None:
    array = np.arange(12, dtype=np.int32).reshape(3, 4)
    assert tensor_hash(np.asfortranarray(array)) == tensor_hash(array.ravel())
    assert tensor_hash(array.T) != tensor_hash(array)


@pytest.mark.parametrize(
    "array",
    [
        np.array(5.0),
        np.array(["a", "b"]),
        np.array([b"a", None], object),
        np.array(["2020-01-01"], "datetime64[D]"),
        np.array([1 + 2j]),
        np.zeros(2, [("a", "i4"), ("b", "f8")]),
        np.zeros(2, "S0"),
    ],
)
def test_tensor_hash_takes_any_type(array: np.ndarray[tuple[int, ...], np.dtype[np.void]]) -> None:
    assert tensor_hash(array) == tensor_hash(array.copy())


def test_file_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"abc")
    assert file_sha256(path).startswith("ba7816bf8f01cfea414140de5dae2223")
