"""See what others commit to a lake, without reading logs that have not grown."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .lake import COMMIT_ORDER

if TYPE_CHECKING:
    from .lake import Lake

NO_COMMIT = -1
"""Position of a table that does not exist yet."""


class LakeFollower:
    """Tells which tables of a lake have news since it was last asked.

    A look costs two look-ups in the file system per table: whether the last commit seen is
    still there, and whether the next one is.

    Args:
        lake: The lake to follow.
    """

    def __init__(self, lake: "Lake") -> None:
        self._lake = lake
        self._positions: dict[str, int] = {}
        self._entries: dict[str, tuple[str, str]] = {}

    def changed_files(self) -> dict[str, list[str]]:
        """Return the files of every table with news; of all tables the first time.

        Each frame's other rows are among them or were before: frames are written last, so
        they are listed first. After an error the same tables count as news again.

        Raises:
            LakeError: A table's log is damaged.
        """
        if not self._has_news():
            return {}
        positions = dict(self._positions)
        changed: dict[str, list[str]] = {}
        for table in reversed(COMMIT_ORDER):
            # Read before the files are, so what is committed in between is seen again.
            position = self._position(table)
            if position != positions.get(table):
                changed[table] = self._lake.files(table)
                positions[table] = position
        self._positions = positions
        self._entries = {
            table: (_commit_file(table, position), _commit_file(table, position + 1))
            for table, position in positions.items()
        }
        return changed

    def forget(self) -> None:
        """Let all tables count as news."""
        self._positions.clear()
        self._entries.clear()

    def _has_news(self) -> bool:
        """Tell whether any table's log is not as it was seen last: no table's, usually."""
        storage = self._lake.storage
        for table, (seen, following) in self._entries.items():
            if self._positions[table] == NO_COMMIT:
                if _commits(storage.names(_log(table))):
                    return True
            elif storage.exists(following) or not storage.exists(seen):
                return True
        return not self._entries

    def _position(self, table: str) -> int:
        """Return the number of the table's newest commit."""
        storage = self._lake.storage
        position = self._positions.get(table, NO_COMMIT)
        if position == NO_COMMIT or not storage.exists(_commit_file(table, position)):
            position = max(_commits(storage.names(_log(table))), default=NO_COMMIT)
        while storage.exists(_commit_file(table, position + 1)):
            position += 1
        return position


def _log(table: str) -> str:
    return f"{table}/_delta_log"


def _commit_file(table: str, position: int) -> str:
    return f"{_log(table)}/{position:020}.json"


def _commits(names: Iterable[str]) -> list[int]:
    stems = (name.removesuffix(".json") for name in names if name.endswith(".json"))
    return [int(stem) for stem in stems if stem.isdigit()]
