"""A set's requests shared out among decoders, and what they find put together."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from exray.collector.decode import Received
from exray.lake import Lake
from exray.schema.errors import LakeError

from .decoder import Decoder, Files, Found
from .decoder_process import Asked, Beside, Here
from .group import Stretch
from .recent import Keys, RecentSpans
from .rows import NewSpans


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the requests of a set hold.

    Args:
        keys: Of the spans that are new.
        run_ids: Runs that have a row in the lake once it is written.
        repeated_spans: Spans that came before.
        rejected_spans: Spans without whole ids.
        poison: Requests that cannot be read, by number, and why.
    """

    keys: Keys
    run_ids: set[bytes]
    repeated_spans: int
    rejected_spans: int
    poison: dict[int, str]


class Decoders:
    """Decode and write the logs of a set at the same time, all of one log in one process.

    A device sends on one connection, to one receiver, into one log: so what belongs together
    is decoded together.

    Args:
        lake: Where files are written.
        count: How many there are, this process among them.
    """

    def __init__(self, lake: Lake, count: int = 1) -> None:
        self._count = count
        # This process works when it is asked, so it is asked last.
        others: list[Asked] = [Beside(lake.place) for _ in range(count - 1)]
        self._all: list[Asked] = [*others, Here(Decoder(lake))]
        self._busy: list[int] = []
        self._new: list[NewSpans] = []
        self._known_runs: Sequence[str] = ()

    def decode(self, stretch: Stretch, recent: RecentSpans, known_runs: Sequence[str]) -> Decoded:
        """Return what a set holds, and keep it for `write`.

        Args:
            stretch: The set.
            recent: Spans that came before; not changed.
            known_runs: Runs that have a row in the lake, ids in hex.

        Raises:
            LogError: A decoder's process ended.
        """
        parts = shared_out(stretch, self._count)
        self._known_runs = known_runs
        self._busy = [n for n in range(self._count) if parts[n] or n == self._count - 1]
        for n in self._busy:
            self._all[n].decode(parts[n], known_runs)
        found = [cast("Found", answer) for answer in self._answers()]
        keys = np.concatenate([part.keys for part in found])
        is_new = recent.find_new(keys)
        self._new = np.split(is_new, np.cumsum([len(part.keys) for part in found])[:-1])
        return Decoded(
            keys[is_new],
            set[bytes]().union(*(part.run_ids for part in found)),
            len(keys) - int(is_new.sum()),
            sum(part.rejected_spans for part in found),
            {number: why for part in found for number, why in part.poison.items()},
        )

    def write(self, writer: str, sequence: int) -> Files:
        """Write what was decoded last, without the spans that came before.

        Args:
            writer: With *sequence* in the files' names.
            sequence: Number of the set.

        Raises:
            LakeError: The lake cannot be written.
            LogError: A decoder's process ended.
        """
        # The name says how the set was shared out, for that decides what is in the file.
        names = [f"{writer}-{n}of{self._count}" if self._count > 1 else writer for n in self._busy]
        for n, is_new, name in zip(self._busy, self._new, names, strict=True):
            self._all[n].write(is_new, self._known_runs, name, sequence)
        files: Files = defaultdict(list)
        for answer in self._answers():
            for table, written in cast("Files", answer).items():
                files[table] += written
        return files

    def close(self) -> None:
        """Let the other processes go."""
        for decoder in self._all:
            decoder.close()

    def _answers(self) -> list[object]:
        """Wait for all that were asked, then raise what one of them raised."""
        answers = [self._all[n].answer() for n in self._busy]
        for answer in answers:
            if isinstance(answer, LakeError):
                raise answer
        return answers


def shared_out(stretch: Stretch, count: int) -> list[list[Received]]:
    """Return the requests of each of *count* decoders: whole logs, the largest first.

    The same set is always shared out alike.
    """
    logs: dict[str, list[Received]] = defaultdict(list)
    for request, (log, _) in zip(stretch.requests, stretch.origins, strict=True):
        logs[log.log_id].append(request)
    sizes = {log_id: sum(len(r.body) for r in requests) for log_id, requests in logs.items()}
    parts: list[list[Received]] = [[] for _ in range(count)]
    loads = [0] * count
    for log_id in sorted(sizes, key=lambda log_id: (-sizes[log_id], log_id)):
        least = loads.index(min(loads))
        parts[least] += logs[log_id]
        loads[least] += sizes[log_id]
    return parts
