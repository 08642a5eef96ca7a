"""Logs: what was synced is read back whole, whatever was cut off or damaged."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from exray.exporters.log import (
    HEADER_BYTES,
    MAGIC,
    CorruptRecord,
    Cursor,
    Encoding,
    LogItem,
    LogRecord,
    count_records,
    pack_header,
    segment_path,
    segments,
    unpack_header,
)
from exray.exporters.log_reader import CURSOR_FILE, LogReader, read_cursor, write_cursor
from exray.exporters.log_writer import SEQUENCE_GAP, LogWriter
from exray.schema.errors import LogError, LogFullError


def fill(folder: Path, *bodies: bytes, segment_bytes: int = 1 << 20) -> list[int]:
    """Write *bodies*, each synced; return their sequences."""
    writer = LogWriter(folder, segment_bytes=segment_bytes)
    sequences: list[int] = []
    for body in bodies:
        sequences.append(writer.append("traces", Encoding.PROTOBUF, body, 7))
        writer.sync()
    writer.close()
    return sequences


def items(folder: Path, cursor: Cursor | None = None) -> list[LogItem]:
    return list(LogReader(folder, cursor or Cursor()))


def bodies(folder: Path) -> list[bytes]:
    return [item.body for item in items(folder) if isinstance(item, LogRecord)]


def first_segment(folder: Path) -> Path:
    return segment_path(folder, segments(folder)[0])


def test_record_comes_back_as_it_was_appended(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    sequence = writer.append("logs", Encoding.JSON_GZIP, b"{}", 1234)
    assert writer.sync() == sequence
    (record,) = items(tmp_path)
    assert isinstance(record, LogRecord)
    assert (record.sequence, record.signal, record.encoding) == (
        sequence,
        "logs",
        Encoding.JSON_GZIP,
    )
    assert (record.received_ns, record.body) == (1234, b"{}")
    writer.close()


def test_reader_goes_on_with_what_came_since(tmp_path: Path) -> None:
    writer, reader = LogWriter(tmp_path, segment_bytes=100), LogReader(tmp_path)
    seen: list[bytes] = []
    for number in range(5):
        writer.append("traces", Encoding.PROTOBUF, bytes([number]) * 60, 0)
        writer.sync()
        seen += [item.body[:1] for item in reader if isinstance(item, LogRecord)]
    assert seen == [bytes([number]) for number in range(5)]
    writer.close()


def test_segments_are_sealed_by_size_and_counted(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, segment_bytes=300)
    for _ in range(10):
        writer.append("traces", Encoding.PROTOBUF, bytes(100), 0)
        writer.sync()
    assert len(segments(tmp_path)) > 3
    assert writer.size_bytes == 10 * (HEADER_BYTES + 100)
    assert sum(count_records(segment_path(tmp_path, s)) for s in segments(tmp_path)) == 10
    writer.close()


def test_torn_tail_is_cut_off_at_every_byte_of_the_last_record(tmp_path: Path) -> None:
    fill(tmp_path / "log", b"first", b"second")
    whole = first_segment(tmp_path / "log").read_bytes()
    last = HEADER_BYTES + len(b"first")
    for cut in range(last, len(whole)):
        folder = tmp_path / str(cut)
        folder.mkdir()
        segment_path(folder, 1).write_bytes(whole[:cut])
        assert bodies(folder) == [b"first"], "a reader does not wait for the repair"
        writer = LogWriter(folder)
        assert writer.torn_bytes == cut - last
        writer.append("traces", Encoding.PROTOBUF, b"after", 0)
        writer.close()
        assert bodies(folder) == [b"first", b"after"]
        assert not [item for item in items(folder) if isinstance(item, CorruptRecord)]


def test_last_record_with_a_page_that_never_reached_the_disk_is_torn(tmp_path: Path) -> None:
    fill(tmp_path, b"first", bytes(range(1, 200)))
    path = first_segment(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-50] + bytes(50))
    writer = LogWriter(tmp_path)
    assert writer.torn_bytes == HEADER_BYTES + 199
    writer.close()
    assert bodies(tmp_path) == [b"first"]


@pytest.mark.parametrize("at", [*range(HEADER_BYTES), HEADER_BYTES + 3])
def test_damaged_middle_record_is_reported_and_the_rest_read(tmp_path: Path, at: int) -> None:
    fill(tmp_path, b"first!", b"second", b"third!")
    path = first_segment(tmp_path)
    data = bytearray(path.read_bytes())
    data[HEADER_BYTES + 6 + at] ^= 0x55
    path.write_bytes(data)
    first, corrupt, third = items(tmp_path)
    assert isinstance(first, LogRecord) and first.body == b"first!"
    assert isinstance(corrupt, CorruptRecord)
    assert corrupt.content == bytes(data[HEADER_BYTES + 6 : 2 * (HEADER_BYTES + 6)])
    assert isinstance(third, LogRecord) and third.body == b"third!"


def test_damaged_middle_record_survives_reopening(tmp_path: Path) -> None:
    fill(tmp_path, b"first!", b"second", b"third!")
    path = first_segment(tmp_path)
    data = bytearray(path.read_bytes())
    data[HEADER_BYTES + 6] ^= 0x55
    path.write_bytes(data)
    writer = LogWriter(tmp_path)
    assert writer.torn_bytes == 0
    writer.close()
    assert bodies(tmp_path) == [b"first!", b"third!"]


def test_magic_inside_a_body_is_no_record(tmp_path: Path) -> None:
    fill(tmp_path, b"first", MAGIC * 20, b"third")
    path = first_segment(tmp_path)
    data = bytearray(path.read_bytes())
    data[HEADER_BYTES + 5 + 4] ^= 0xFF
    path.write_bytes(data)
    assert bodies(tmp_path) == [b"first", b"third"]


def test_sequence_is_never_given_twice(tmp_path: Path) -> None:
    (before,) = fill(tmp_path, b"a")
    path = first_segment(tmp_path)
    os.truncate(path, 0)
    (after,) = fill(tmp_path, b"b")
    assert after > before
    writer = LogWriter(tmp_path)
    writer.drop_before(after + 1)
    assert writer.last_sequence >= after + SEQUENCE_GAP
    writer.close()
    (last,) = fill(tmp_path, b"c")
    assert last > after


def test_drop_before_keeps_what_is_still_to_be_read(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, segment_bytes=1)
    sequences: list[int] = []
    for number in range(4):
        sequences.append(writer.append("traces", Encoding.PROTOBUF, bytes([number]), 0))
        writer.sync()
    writer.drop_before(sequences[2])
    assert bodies(tmp_path) == [b"\x02", b"\x03"]
    writer.drop_before(sequences[3] + 1)
    assert bodies(tmp_path) == []
    assert writer.size_bytes == 0
    writer.close()


def test_reader_passes_over_segments_that_were_dropped(tmp_path: Path) -> None:
    writer, reader = LogWriter(tmp_path, segment_bytes=1), LogReader(tmp_path)
    for number in range(3):
        writer.append("traces", Encoding.PROTOBUF, bytes([number]), 0)
        writer.sync()
    iterator = iter(reader)
    next(iterator)
    dropped = writer.drop_oldest()
    assert (dropped.records, dropped.size_bytes) == (1, HEADER_BYTES + 1)
    writer.drop_oldest()
    assert [item.body for item in iterator if isinstance(item, LogRecord)] == [b"\x02"]
    writer.close()


def test_drop_oldest_gives_up_the_segment_that_is_written_if_there_is_no_other(
    tmp_path: Path,
) -> None:
    writer = LogWriter(tmp_path)
    writer.append("traces", Encoding.PROTOBUF, b"a", 0)
    assert writer.drop_oldest().records == 1
    assert writer.drop_oldest().records == 0
    writer.append("traces", Encoding.PROTOBUF, b"b", 0)
    writer.close()
    assert bodies(tmp_path) == [b"b"]


def test_second_process_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    code = (
        "import sys; from pathlib import Path; from exray.exporters.log_writer import LogWriter\n"
        "LogWriter(Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert f"pid {os.getpid()}" in done.stderr
    with pytest.raises(LogError, match="another process"):
        LogWriter(tmp_path)
    writer.close()
    LogWriter(tmp_path).close()


def test_full_disk_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LogWriter(tmp_path)
    writer.append("traces", Encoding.PROTOBUF, b"first", 0)
    writer.sync()
    real = os.pwritev

    def half(descriptor: int, parts: list[bytes], offset: int) -> int:
        real(descriptor, [b"".join(parts)[:20]], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwritev", half)
    with pytest.raises(LogFullError, match="no space left"):
        writer.append("traces", Encoding.PROTOBUF, b"second", 0)
    monkeypatch.undo()
    writer.append("traces", Encoding.PROTOBUF, b"third", 0)
    writer.close()
    assert bodies(tmp_path) == [b"first", b"third"]
    assert all(isinstance(item, LogRecord) for item in items(tmp_path))


def test_write_cut_short_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, real = LogWriter(tmp_path), os.pwritev

    def half(descriptor: int, parts: list[bytes], offset: int) -> int:
        return real(descriptor, [b"".join(parts)[:20]], offset)

    monkeypatch.setattr(os, "pwritev", half)
    writer.append("traces", Encoding.PROTOBUF, b"whole", 0)
    writer.close()
    assert bodies(tmp_path) == [b"whole"]


def test_failed_sync_takes_back_what_it_was_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LogWriter(tmp_path)
    kept = writer.append("traces", Encoding.PROTOBUF, b"kept", 0)
    writer.sync()
    lost = writer.append("traces", Encoding.PROTOBUF, b"lost", 0)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(LogError, match="Input/output"):
        writer.sync()
    monkeypatch.undo()
    after = writer.append("traces", Encoding.PROTOBUF, b"after", 0)
    writer.close()
    assert kept < lost < after
    assert bodies(tmp_path) == [b"kept", b"after"]


def test_cursor_is_kept_across_processes(tmp_path: Path) -> None:
    fill(tmp_path, b"a", b"b")
    reader = LogReader(tmp_path)
    next(iter(reader))
    assert read_cursor(tmp_path) == Cursor()
    write_cursor(tmp_path, reader.cursor)
    assert read_cursor(tmp_path) == reader.cursor
    (second,) = items(tmp_path, read_cursor(tmp_path))
    assert isinstance(second, LogRecord) and second.body == b"b"


def test_damaged_cursor_means_the_beginning(tmp_path: Path) -> None:
    (tmp_path / CURSOR_FILE).write_bytes(b"{")
    assert read_cursor(tmp_path) == Cursor()


def test_log_keeps_its_id(tmp_path: Path) -> None:
    first, other = LogWriter(tmp_path / "a"), LogWriter(tmp_path / "b")
    first_id = first.log_id
    first.close()
    again = LogWriter(tmp_path / "a")
    assert again.log_id == first_id != other.log_id
    again.close()
    other.close()


def test_header_of_an_unknown_encoding_is_none() -> None:
    header = bytearray(pack_header(1, "traces", Encoding.JSON, 0, b""))
    assert unpack_header(bytes(header)) is not None
    assert unpack_header(bytes(header[:-1])) is None
    header[25] = 9
    assert unpack_header(bytes(header)) is None
