"""A log read from a place on, and the file that remembers the place."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from exray.lake.storage import sync_folder, write_synced

from .log import BEGINNING, Cursor, LogItem, read_segment, segment_path, segments

CURSOR_FILE = "cursor"
"""Where the one reader that decides what may be dropped keeps its place."""


class LogReader:
    """Reads a log, also while another process writes it.

    Iterating yields what is there and ends; iterating again goes on behind it, with what
    has come since. Segments that were dropped meanwhile are skipped.

    Args:
        folder: The log's.
        cursor: Where to begin.
    """

    def __init__(self, folder: Path, cursor: Cursor = BEGINNING) -> None:
        self._folder = folder
        self.cursor = cursor
        """The place behind the last item yielded."""

    def __iter__(self) -> Iterator[LogItem]:
        """Yield records and damaged parts, to the present end of the log."""
        while True:
            present = [s for s in segments(self._folder) if s >= self.cursor.segment]
            if not present:
                return
            segment, *later = present
            if segment != self.cursor.segment:
                self.cursor = Cursor(self.cursor.sequence, segment, 0)
            yield from self._of_segment(segment, is_sealed=bool(later))
            if not later:
                return
            self.cursor = Cursor(self.cursor.sequence, later[0], 0)

    def _of_segment(self, segment: int, *, is_sealed: bool) -> Iterator[LogItem]:
        try:
            path = segment_path(self._folder, segment)
            for item in read_segment(path, self.cursor, is_sealed=is_sealed):
                self.cursor = item.end
                yield item
        except FileNotFoundError:  # dropped between its listing and its opening
            return


def read_cursor(folder: Path) -> Cursor:
    """Return the place that `write_cursor` has kept, the beginning where there is none."""
    try:
        stored = json.loads((folder / CURSOR_FILE).read_bytes())
        return Cursor(int(stored["sequence"]), int(stored["segment"]), int(stored["offset"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # Of a damaged file nothing is known: what is read twice is recognised later.
        return BEGINNING


def write_cursor(folder: Path, cursor: Cursor) -> None:
    """Keep a place on disk: after a crash there is the old one or the new one.

    Raises:
        OSError: It cannot be written.
    """
    scratch = folder / f".{CURSOR_FILE}.{os.getpid()}"
    scratch.unlink(missing_ok=True)
    write_synced(scratch, memoryview(json.dumps(asdict(cursor)).encode()))
    scratch.replace(folder / CURSOR_FILE)
    sync_folder(folder)
