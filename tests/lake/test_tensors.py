import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exray.lake import storage, tensors
from exray.lake.tensors import KeptFrame, TensorRing, compress, decompress
from exray.schema.errors import DataError, LakeFullError

MIB = 1 << 20


def make_frame(number: int, *contents: bytes) -> KeptFrame:
    """Return a frame whose tensors' hashes count up from 100 times its number."""
    named = {100 * number + i: packed(content) for i, content in enumerate(contents)}
    return KeptFrame(number, number.to_bytes(8, "big"), named)


def packed(content: bytes) -> bytes:
    compressed = compress(np.frombuffer(content, np.uint8))
    assert compressed is not None
    return compressed


def noise(seed: int, size: int = 1000) -> bytes:
    """Return bytes that do not get smaller."""
    return np.random.default_rng(seed).bytes(size)


def files(root: Path) -> list[str]:
    """Return the contents on disk."""
    return sorted(path.stem for path in root.glob("_tensors/??/*"))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.float32).reshape(3, 4),
        np.asfortranarray(np.arange(12).reshape(3, 4)),
        np.zeros((0, 3), np.int8),
        np.array(5.0),
        np.array([True, False]),
    ],
)
def test_a_tensor_comes_back_byte_for_byte(array: Any) -> None:
    content = compress(array)

    assert content is not None
    assert decompress(content, array.nbytes) == array.tobytes()


def test_objects_have_no_bytes_to_keep() -> None:
    assert compress(np.array(["a"], object)) is None


@pytest.mark.parametrize("size_bytes", [3, 5])
def test_a_content_of_another_size_is_damaged(size_bytes: int) -> None:
    with pytest.raises(DataError, match="a tensor's content"):
        decompress(packed(b"four"), size_bytes)


def test_a_kept_tensor_is_read_by_its_hash(tmp_path: Path) -> None:
    ring = TensorRing(tmp_path)

    assert ring.add([KeptFrame(1, b"frame001", {-5: packed(b"minus"), 7: packed(b"seven")})]) == []

    assert TensorRing(tmp_path).read(-5, 5) == b"minus"
    assert ring.read(7, 5) == b"seven"
    assert ring.read(8, 5) is None
    assert files(tmp_path) == ["0000000000000007", "fffffffffffffffb"]


def test_equal_tensors_stand_once(tmp_path: Path) -> None:
    ring = TensorRing(tmp_path)
    frames = [KeptFrame(n, bytes([n] * 8), {7: packed(b"seven")}) for n in (1, 2)]

    ring.add(frames)

    assert len(files(tmp_path)) == 1
    assert len([*tmp_path.glob("_tensors/frames/*.txt")]) == 2


def test_the_oldest_frames_make_way(tmp_path: Path) -> None:
    ring = TensorRing(tmp_path, limit_bytes=2500)

    for number in range(1, 5):
        ring.add([make_frame(number, noise(number))])

    assert files(tmp_path) == [f"{n:016x}" for n in (300, 400)]
    assert ring.read(200, 1000) is None
    assert ring.read(400, 1000) == noise(4)


def test_a_content_that_a_later_frame_names_too_stays(tmp_path: Path) -> None:
    ring = TensorRing(tmp_path, limit_bytes=2500)
    shared = packed(noise(0))
    for number in (1, 2, 3):
        own = {7: shared, 100 + number: packed(noise(number))}
        ring.add([KeptFrame(number, number.to_bytes(8, "big"), own)])

    assert ring.read(7, 1000) == noise(0)
    assert files(tmp_path) == [f"{n:016x}" for n in (7, 103)]


def test_the_limit_is_never_exceeded(tmp_path: Path) -> None:
    ring = TensorRing(tmp_path, limit_bytes=5000)
    rng = np.random.default_rng(1)

    for number in range(1, 30):
        sizes = rng.integers(1, 1500, 3).tolist()
        ring.add([make_frame(number, *(noise(number + s, s) for s in sizes))])
        on_disk = sum(path.stat().st_size for path in tmp_path.glob("_tensors/??/*"))
        assert on_disk <= 5000


def test_a_frame_larger_than_the_ring_is_told_of_and_displaces_nothing(tmp_path: Path) -> None:
    ring = TensorRing(tmp_path, limit_bytes=1500)
    ring.add([make_frame(1, noise(1))])
    large = make_frame(2, noise(2), noise(3))

    assert ring.add([large]) == [large]

    assert ring.read(100, 1000) == noise(1)


def test_a_frame_that_is_kept_already_is_not_written_again(tmp_path: Path) -> None:
    ring = TensorRing(tmp_path)
    frame = make_frame(1, noise(1))
    ring.add([frame])
    before = (tmp_path / "_tensors" / "frames" / frame.name).stat().st_mtime_ns

    ring.add([frame])

    assert (tmp_path / "_tensors" / "frames" / frame.name).stat().st_mtime_ns == before


def test_frames_of_another_process_count_and_make_way_too(tmp_path: Path) -> None:
    ours, theirs = (TensorRing(tmp_path, limit_bytes=2500) for _ in range(2))
    ours.add([make_frame(1, noise(1))])
    theirs.add([make_frame(2, noise(2))])

    ours.add([make_frame(3, noise(3))])
    theirs.add([make_frame(4, noise(4))])

    assert files(tmp_path) == [f"{n:016x}" for n in (300, 400)]


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    TensorRing(tmp_path).add([make_frame(1, noise(1))])
    folder = tmp_path / "_tensors"
    (folder / "ab").mkdir()
    (folder / "ab" / "ab00000000000000.zst").write_bytes(b"no list names it")
    (folder / "ab" / "half.new").write_bytes(b"half")

    TensorRing(tmp_path).add([make_frame(2, noise(2))])

    assert files(tmp_path) == [f"{n:016x}" for n in (100, 200)]


def test_a_full_disk_is_an_error_that_leaves_nothing_unnamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = TensorRing(tmp_path)
    ring.add([make_frame(1, noise(1))])
    write, calls = storage.write_synced, iter(range(10))

    def write_until_full(path: Path, content: memoryview) -> None:
        if next(calls) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    monkeypatch.setattr(tensors, "write_synced", write_until_full)

    with pytest.raises(LakeFullError):
        ring.add([make_frame(2, noise(2), noise(3))])

    assert files(tmp_path) == [f"{100:016x}"]
    monkeypatch.undo()
    ring.add([make_frame(2, noise(2), noise(3))])
    assert ring.read(201, 1000) == noise(3)


def test_nothing_to_keep_makes_no_folder(tmp_path: Path) -> None:
    TensorRing(tmp_path).add([make_frame(1)])

    assert [*tmp_path.iterdir()] == []


def test_many_processes_write_one_ring(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from tests.lake.test_tensors import make_frame, noise
from exray.lake.tensors import TensorRing
ring = TensorRing(Path({str(tmp_path)!r}), 30_000)
for i in range(8):
    ring.add([make_frame(1 + 8 * int(sys.argv[1]) + i, noise(i), noise(i + 100))])
"""
    root = Path(__file__).parents[2]
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(number)], cwd=root)
        for number in range(3)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]

    named = {
        line.split()[0]
        for path in tmp_path.glob("_tensors/frames/*.txt")
        for line in path.read_text().splitlines()
    }
    assert set(files(tmp_path)) == named
    assert 20 <= len(named) <= 28  # two of 1000 bytes and a head for each frame
