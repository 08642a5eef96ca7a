"""Packed bodies: smaller in the log, the same when they are read."""

import random
from pathlib import Path

import pytest

from exray.exporters.log import CorruptRecord, Encoding, LogRecord, segment_path, segments
from exray.exporters.log_packing import LEAST_BYTES, Packing, pack, unpack
from exray.exporters.log_reader import LogReader
from exray.exporters.log_writer import LogWriter
from exray.schema.errors import DataError

PLAIN = b"layer conv1 " * 2000
MOST = 1 << 20


def test_packed_body_is_smaller_and_comes_back() -> None:
    packing, stored = pack(PLAIN)
    assert packing is Packing.SNAPPY and len(stored) < len(PLAIN) // 4
    assert unpack(packing, stored, MOST) == PLAIN


@pytest.mark.parametrize(
    "body", [b"", b"x" * (LEAST_BYTES - 1), random.Random(1).randbytes(10_000)]
)
def test_body_that_gains_nothing_is_stored_as_it_is(body: bytes) -> None:
    assert pack(body) == (Packing.NONE, body)


@pytest.mark.parametrize(
    "stored",
    [
        pack(PLAIN)[1][:-3],
        bytes(pack(PLAIN)[1][:3]) + b"\xff" * 40,
        b"\x01" + pack(PLAIN)[1][1:],  # says to be shorter than it is
        b"\xff\xff\xff\xff\x0f" + PLAIN,  # of 4 GiB
        b"\xff" * 20,
        b"",
    ],
)
def test_damaged_packing_is_an_error(stored: bytes) -> None:
    with pytest.raises(DataError, match="packed body"):
        unpack(Packing.SNAPPY, stored, MOST)


def test_log_gives_bodies_back_unpacked(tmp_path: Path) -> None:
    packing, stored = pack(PLAIN)
    writer = LogWriter(tmp_path)
    writer.append("traces", Encoding.PROTOBUF, stored, 7, packing)
    writer.append("traces", Encoding.PROTOBUF, b"small", 7)
    writer.close()
    found = list(LogReader(tmp_path))
    assert [item.body for item in found if isinstance(item, LogRecord)] == [PLAIN, b"small"]
    assert segment_path(tmp_path, segments(tmp_path)[0]).stat().st_size < len(PLAIN)


def test_record_that_does_not_unpack_is_damage_and_the_rest_is_read(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.append("traces", Encoding.PROTOBUF, b"\x05no snappy", 7, Packing.SNAPPY)
    writer.append("traces", Encoding.PROTOBUF, b"sound", 7)
    writer.close()
    damaged, sound = LogReader(tmp_path)
    assert isinstance(damaged, CorruptRecord) and "packed" in damaged.problem
    assert isinstance(sound, LogRecord) and sound.body == b"sound"
