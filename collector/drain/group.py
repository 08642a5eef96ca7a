"""One set: the requests between two places of each log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exray.collector.decode import Received
from exray.collector.logs import ReceiverLog
from exray.exporters.log import BEGINNING, CorruptRecord, Cursor, LogItem, LogRecord
from exray.exporters.log_reader import LogReader

SET_BYTES = 96 << 20
"""Size of requests at which a set is full: as many spans as make files of a good size."""

Ends = Mapping[str, Cursor]
"""A place of each log, by its id."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Requests of all logs, each between two places of its own.

    Args:
        ends: The places behind them; logs without any are left out.
        requests: Those that are whole, numbered as they stand here.
        origins: Log and sequence of each.
        damaged: What is no request any more.
        is_full: Whether they end because the set is full, so that more is there.
    """

    ends: Ends
    requests: Sequence[Received]
    origins: Sequence[tuple[ReceiverLog, int]] = ()
    damaged: Sequence[tuple[ReceiverLog, CorruptRecord]] = ()
    is_full: bool = False


def next_stretch(logs: Sequence[ReceiverLog], begins: Ends, plan: Ends | None = None) -> Stretch:
    """Return the requests of the next set.

    Args:
        logs: Where they are.
        begins: The places to begin at.
        plan: Where to end, if that is known; else where the set is full, or the logs end.
    """
    ends: dict[str, Cursor] = dict(plan or {})
    requests: list[Received] = []
    origins: list[tuple[ReceiverLog, int]] = []
    damaged: list[tuple[ReceiverLog, CorruptRecord]] = []
    is_full = False
    for log in logs:
        begin = begins.get(log.log_id, BEGINNING)
        end = plan.get(log.log_id, begin) if plan is not None else None
        items, size = _items(log, begin, end, SET_BYTES // len(logs))
        is_full = is_full or size >= SET_BYTES // len(logs)
        if plan is None and items:
            ends[log.log_id] = items[-1].end
        for item in items:
            if isinstance(item, LogRecord):
                requests.append(_received(len(requests), item))
                origins.append((log, item.sequence))
            else:
                damaged.append((log, item))
    return Stretch(ends, requests, origins, damaged, is_full)


def _items(
    log: ReceiverLog, begin: Cursor, end: Cursor | None, most_bytes: int
) -> tuple[list[LogItem], int]:
    """Return what a log holds from one place to another, or until it is enough; and its size."""
    items: list[LogItem] = []
    size = 0
    if end == begin:
        return items, size
    for item in LogReader(log.folder, begin):
        if end is not None and _is_behind(item.end, end):
            break
        items.append(item)
        size += len(item.body) if isinstance(item, LogRecord) else len(item.content)
        if item.end == end or (end is None and size >= most_bytes):
            break
    return items, size


def _is_behind(place: Cursor, end: Cursor) -> bool:
    """Tell whether *place* is after *end*: what was between was dropped meanwhile."""
    return (place.segment, place.offset) > (end.segment, end.offset)


def _received(number: int, record: LogRecord) -> Received:
    return Received(number, record.signal, record.encoding, record.received_ns, record.body)
