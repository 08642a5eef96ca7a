"""One set: the requests between two places of each log, and the rows that they become."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exray.collector.decode import Received, RequestDecoder
from exray.collector.logs import ReceiverLog
from exray.exporters.log import BEGINNING, CorruptRecord, Cursor, LogItem, LogRecord
from exray.exporters.log_reader import LogReader
from exray.lake.validate import check_set

from .recent import Keys, RecentSpans, span_keys

if TYPE_CHECKING:
    import pyarrow as pa

SET_BYTES = 96 << 20
"""Size of requests at which a set is full: as many spans as make files of a good size."""

logger = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True)
class Rows:
    """What the requests of a set become.

    Args:
        tables: For the lake.
        keys: Of the spans in them.
        run_ids: Runs that have a row in the lake from now on.
        repeated_spans: Spans left out because they had come before.
        rejected_spans: Spans without whole ids.
        poison: Requests that cannot be read, by number, and why.
    """

    tables: "dict[str, pa.Table]"
    keys: Keys
    run_ids: set[bytes]
    repeated_spans: int
    rejected_spans: int
    poison: dict[int, str]


def rows_of(
    requests: Sequence[Received],
    decoder: RequestDecoder,
    recent: RecentSpans,
    known_runs: Sequence[str],
) -> Rows:
    """Return the rows of a set, without the spans that are known already.

    A request that breaks the decoder, or whose rows no table takes, is poison like one that
    is no OTLP: it is found by decoding each by itself.

    Args:
        requests: Those of the set.
        decoder: Used for one set after the other.
        recent: Spans that came before; not changed.
        known_runs: Runs that have a row in the lake, ids in hex.
    """
    try:
        return _rows(requests, decoder, recent, known_runs)
    except MemoryError:
        raise
    except Exception:
        logger.exception("exray: a set of requests cannot be decoded; trying them one by one")
    sound: list[Received] = []
    broken: dict[int, str] = {}
    for request in requests:
        try:
            _rows([request], decoder, recent, known_runs)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  whatever a decoder raises
            broken[request.number] = f"the decoder failed: {error!r}"
        else:
            sound.append(request)
    rows = _rows(sound, decoder, recent, known_runs)
    rows.poison.update(broken)
    return rows


def _rows(
    requests: Sequence[Received],
    decoder: RequestDecoder,
    recent: RecentSpans,
    known_runs: Sequence[str],
) -> Rows:
    decoded = decoder.decode(requests)
    keys = span_keys(decoded.spans)
    is_new = recent.find_new(keys)
    repeated = len(keys) - int(is_new.sum())
    if repeated:
        spans: Any = decoded.spans
        decoded.spans, keys = spans.filter(is_new), keys[is_new]
    tables = decoded.tables(map(bytes.fromhex, known_runs))
    check_set(tables)
    return Rows(
        tables, keys, decoded.run_ids(), repeated, decoded.rejected_spans, dict(decoded.poison)
    )
