"""One file of OTLP requests into a lake, a set at a time, however often it is asked."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import xxhash

from exray.collector.decode import Received, RequestDecoder
from exray.collector.drain.group import SET_BYTES
from exray.collector.drain.recent import RecentSpans
from exray.collector.drain.rows import rows_of
from exray.lake import Lake

from .files import BadRequest, FileItem, FileRequest, read_requests
from .present import PresentRows

Progress = Callable[[int], None]
"""Called with the bytes that are done."""


@dataclass(slots=True)
class Ingested:
    """What a file held.

    Args:
        requests: Requests that were read.
        spans: Spans in them, each counted once.
        new_rows: Rows that were not in the lake before, of all tables.
        problems: What could not be read, each with its place.
    """

    requests: int = 0
    spans: int = 0
    new_rows: int = 0
    problems: list[str] = field(default_factory=list[str])


def ingest_file(path: Path, lake: Lake, progress: Progress = lambda done_bytes: None) -> Ingested:
    """Add the rows of a file to *lake*, but for those that it gave before.

    A file is known by its first request: moved, grown or cut short by a crash of the first
    attempt, its rows come once. Its rows are dated by when the file was last written.

    Args:
        path: See `files.read_requests`.
        lake: The lake.
        progress: Told how much is done.

    Raises:
        UsageError: It is no file of OTLP.
        LakeError: The lake cannot be written.
        OSError: The file cannot be read.
    """
    found = Ingested()
    items = read_requests(path)
    first = next((item for item in _noted(items, found) if isinstance(item, FileRequest)), None)
    if first is None:
        return found
    writer = first.digest.hex()
    present = PresentRows(lake, writer)
    decoder, recent = RequestDecoder(), RecentSpans()
    written_ns = path.stat().st_mtime_ns
    rest = (item for item in _noted(items, found) if isinstance(item, FileRequest))
    for number, members in enumerate(_sets(chain([first], rest))):
        requests = [
            Received(place, r.signal, r.encoding, written_ns, r.body)
            for place, r in enumerate(members)
        ]
        rows = rows_of(requests, decoder, [])
        is_new = recent.find_new(rows.keys)
        recent.add(number, rows.keys[is_new])
        for place, why in rows.poison.items():
            found.problems.append(f"{members[place].place}: {why}")
        tables = present.without(rows.kept(is_new, []))
        lake.commit(tables, writer=writer + _digest(members), sequence=0)
        found.requests += len(members) - len(rows.poison)
        found.spans += int(is_new.sum())
        found.new_rows += sum(table.num_rows for table in tables.values())
        progress(members[-1].done_bytes)
    return found


def _noted(items: Iterator[FileItem], found: Ingested) -> Iterator[FileItem]:
    """Yield items, and write down what is wrong with some."""
    for item in items:
        if isinstance(item, BadRequest):
            found.problems.append(f"{item.place}: {item.problem}")
        yield item


def _sets(requests: Iterator[FileRequest]) -> Iterator[Sequence[FileRequest]]:
    members: list[FileRequest] = []
    size = 0
    for request in requests:
        members.append(request)
        size += len(request.body)
        if size >= SET_BYTES:
            yield members
            members, size = [], 0
    if members:
        yield members


def _digest(members: Sequence[FileRequest]) -> str:
    """Return a name for just these requests: a commit of theirs that was cut short goes on."""
    digest = xxhash.xxh3_128()
    for member in members:
        digest.update(member.digest)
    return digest.hexdigest()
