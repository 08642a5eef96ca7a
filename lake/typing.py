"""Types that the lake's modules share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file that stands on disk and waits to be named in a table's log.

    Args:
        name: Path relative to the table's folder, directories percent-encoded.
        size_bytes: Its length.
        rows: How many rows it holds.
        partition: Raw value of each partition column.
    """

    name: str
    size_bytes: int
    rows: int
    partition: Mapping[str, str]


class TableLog(Protocol):
    """The Delta log of one table: which files are in it, and who wrote what.

    `recorded_sequence` opens a fresh snapshot, and `append` commits against exactly
    that one, so that a commit in between by the same writer is refused.
    """

    def recorded_sequence(self, writer: str) -> int | None:
        """Open the newest snapshot, making the table if need be; return *writer*'s last sequence."""
        ...

    def append(self, files: Sequence[DataFile], writer: str, sequence: int) -> bool:
        """Add *files* to the snapshot opened last; False if another commit of *writer* was faster."""
        ...

    def active_files(self) -> list[str]:
        """Return the newest snapshot's files, relative to the table's folder; none if no table."""
        ...
