"""A set's way from requests to files of the lake, in two steps.

First it is decoded; then, when it is known which of its spans came before, the others are
written.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from exray.collector.decode import Received, RequestDecoder
from exray.lake import Lake
from exray.lake.typing import DataFile

from .recent import Keys
from .rows import NewSpans, Rows, rows_of

Files = dict[str, list[DataFile]]
"""What was written, by table."""


@dataclass(frozen=True, slots=True)
class Found:
    """What requests hold.

    Args:
        keys: Of their spans.
        run_ids: Runs that have a row in the lake once they are written.
        rejected_spans: Spans without whole ids.
        poison: Requests that cannot be read, by number, and why.
    """

    keys: Keys
    run_ids: set[bytes]
    rejected_spans: int
    poison: dict[int, str]


class Decoder:
    """Decodes and writes in this process.

    Args:
        lake: Where files are written.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._decoder = RequestDecoder()
        self._rows: Rows | None = None

    def decode(self, requests: Sequence[Received], known_runs: Sequence[str]) -> Found:
        """Return what *requests* hold, and keep it for `write`.

        Args:
            requests: Those of a set, or of a part of it.
            known_runs: Runs that have a row in the lake, ids in hex.
        """
        self._rows = None
        rows = self._rows = rows_of(requests, self._decoder, known_runs)
        decoded = rows.decoded
        return Found(rows.keys, decoded.run_ids(), decoded.rejected_spans, rows.poison)

    def write(
        self, is_new: NewSpans, known_runs: Sequence[str], writer: str, sequence: int
    ) -> Files:
        """Write the spans that are new, and all else, of what was decoded last.

        Args:
            is_new: Which of `Found.keys` are.
            known_runs: As for `decode`.
            writer: With *sequence* in the files' names.
            sequence: Number of the set.

        Raises:
            LakeError: The lake cannot be written.
        """
        assert self._rows is not None
        tables = self._rows.kept(is_new, known_runs)
        self._rows = None
        return self._lake.write(tables, writer=writer, sequence=sequence)
