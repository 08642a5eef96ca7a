"""What a drain must find again after a crash: how far it is, what it was about to do.

::

    wal/drain/state.json        the place in each log, the set that is being written, known runs
    wal/drain/recent-<n>.keys   spans of set n, see `recent`
    wal/drain/quarantine/       what could not be read, and why

A set is planned before any of it is written: after a crash the same requests become the same
rows under the same name, and the lake takes each part once.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from exray.collector.logs import id_of, logs_of
from exray.exporters.log import Cursor
from exray.exporters.log_reader import read_cursor, write_cursor
from exray.lake.storage import make_folder, sync_folder, write_synced

from .recent import Keys, RecentSpans

FOLDER = "drain"
"""Below the log's folder."""

MAX_RUNS = 4096
"""Runs that are remembered to have a row in the lake."""

_STATE = "state.json"


@dataclass(slots=True)
class DrainState:
    """How far a drain is.

    Args:
        cursors: By the logs' ids: everything before these places is in the lake.
        plan: Ends of the set that was begun, None where none was.
        runs: Ids, in hex, of runs that have a row in the lake, the latest last.
        windows: Sets whose spans are remembered.
        counts: Since the log was made: requests, spans, repeated spans and so on.
    """

    cursors: dict[str, Cursor] = field(default_factory=dict[str, Cursor])
    plan: dict[str, Cursor] | None = None
    runs: list[str] = field(default_factory=list[str])
    windows: list[int] = field(default_factory=list[int])
    counts: dict[str, int] = field(default_factory=dict[str, int])

    def number_of(self, ends: Mapping[str, Cursor]) -> int:
        """Return the number of the set that ends there: it ascends, for some cursor moves on.

        That of a single log is the sequence of its last request.
        """
        return sum(cursor.sequence for cursor in (self.cursors | dict(ends)).values())

    def add_runs(self, run_ids: set[bytes]) -> None:
        """Remember runs, the oldest making way."""
        known = dict.fromkeys(self.runs) | dict.fromkeys(sorted(r.hex() for r in run_ids))
        self.runs = list(known)[-MAX_RUNS:]


class StateFolder:
    """The files of a drain.

    Args:
        wal: The folder of the logs.
        step: Called with the name of each step that is done; a test dies there.
    """

    def __init__(self, wal: Path, step: Callable[[str], None]) -> None:
        self._wal = wal
        self._folder = wal / FOLDER
        self._step = step
        self.quarantine = self._folder / "quarantine"
        make_folder(self._folder)

    def load(self) -> tuple[DrainState, RecentSpans]:
        """Return what was saved last, or the state of a drain that begins."""
        try:
            stored = json.loads((self._folder / _STATE).read_bytes())
            state = _state_from(stored, id_of(self._wal))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            logs = logs_of(self._wal)
            state = DrainState({log.log_id: read_cursor(log.folder) for log in logs})
        recent = RecentSpans()
        for sequence in state.windows:
            keys = self._read_keys(sequence)
            if keys is not None:
                recent.add(sequence, keys)
        self._sweep(state.windows)
        return state, recent

    def save_plan(self, state: DrainState, ends: Mapping[str, Cursor]) -> None:
        """Keep on disk that the set up to *ends* has been begun."""
        state.plan = dict(ends)
        self._write(_STATE, _json(state))
        self._step("planned")

    def finish(
        self, state: DrainState, ends: Mapping[str, Cursor], keys: Keys, recent: RecentSpans
    ) -> None:
        """Keep on disk that the set up to *ends* is in the lake."""
        number = state.number_of(ends)
        self._write(_keys_name(number), keys.astype("<u8").tobytes())
        self._step("remembered")
        recent.add(number, keys)
        before = set(state.windows)
        state.cursors, state.plan = state.cursors | dict(ends), None
        state.windows = recent.sequences
        self._write(_STATE, _json(state))
        self._step("moved")
        for log in logs_of(self._wal):
            if log.log_id in ends:
                write_cursor(log.folder, ends[log.log_id])
        self._step("released")
        for number in before - set(state.windows):
            (self._folder / _keys_name(number)).unlink(missing_ok=True)

    def _read_keys(self, sequence: int) -> Keys | None:
        try:
            data = (self._folder / _keys_name(sequence)).read_bytes()
            return np.frombuffer(data, "<u8").reshape(-1, 2).astype(np.uint64)
        except (FileNotFoundError, ValueError):
            return None

    def _sweep(self, windows: list[int]) -> None:
        """Remove what a crash left."""
        wanted = {_keys_name(sequence) for sequence in windows}
        for path in self._folder.glob("recent-*.keys"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)
        for path in self._folder.glob(".*.new"):
            path.unlink(missing_ok=True)

    def _write(self, name: str, content: bytes) -> None:
        scratch = self._folder / f".{name}.{os.getpid()}.new"
        scratch.unlink(missing_ok=True)
        write_synced(scratch, memoryview(content))
        scratch.replace(self._folder / name)
        sync_folder(self._folder)


def _keys_name(sequence: int) -> str:
    return f"recent-{sequence}.keys"


def _json(state: DrainState) -> bytes:
    return json.dumps(asdict(state), indent=1).encode()


def _state_from(stored: dict[str, Any], first_id: str) -> DrainState:
    """Return a stored state; one of before there were several logs is of the first."""
    if "cursor" in stored:
        plan = stored["plan"]
        stored["cursors"] = {first_id: stored["cursor"]}
        stored["plan"] = None if plan is None else {first_id: plan}
    plan = stored["plan"]
    return DrainState(
        cursors=_cursors(stored["cursors"]),
        plan=None if plan is None else _cursors(plan),
        runs=[str(run) for run in stored["runs"]],
        windows=[int(number) for number in stored["windows"]],
        counts={str(name): int(count) for name, count in stored["counts"].items()},
    )


def _cursors(stored: dict[str, dict[str, int]]) -> dict[str, Cursor]:
    return {str(log_id): Cursor(**place) for log_id, place in stored.items()}
