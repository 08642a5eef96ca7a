"""What requests become: rows for the tables of a lake, checked before any is written."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from exray.collector.decode import Decoded, Received, RequestDecoder
from exray.lake.validate import check_set

from .recent import Keys, span_keys

if TYPE_CHECKING:
    import pyarrow as pa

NewSpans = NDArray[np.bool_]
"""Shape (spans,): whether each is new."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rows:
    """What requests become, whichever of their spans came before.

    Args:
        decoded: What they hold.
        tables: For the lake.
        keys: Of all spans, in the order of *decoded*.
        poison: Requests that cannot be read, by number, and why.
    """

    decoded: Decoded
    tables: "dict[str, pa.Table]"
    keys: Keys
    poison: dict[int, str]

    def kept(self, is_new: NewSpans, known_runs: Sequence[str]) -> "dict[str, pa.Table]":
        """Return the tables without the spans that are known already.

        Args:
            is_new: Which of `keys` are not.
            known_runs: Runs that have a row in the lake, ids in hex.
        """
        if is_new.all():
            return self.tables
        spans: Any = self.decoded.spans
        self.decoded.spans = spans.filter(is_new)
        return _tables(self.decoded, known_runs)


def rows_of(
    requests: Sequence[Received], decoder: RequestDecoder, known_runs: Sequence[str]
) -> Rows:
    """Return what requests become.

    A request that breaks the decoder, or whose rows no table takes, is poison like one that
    is no OTLP: it is found by decoding each by itself.

    Args:
        requests: Those of a set, or of a part of it.
        decoder: Used for one set after the other.
        known_runs: Runs that have a row in the lake, ids in hex.
    """
    try:
        return _rows(requests, decoder, known_runs)
    except MemoryError:
        raise
    except Exception:
        logger.exception("exray: a set of requests cannot be decoded; trying them one by one")
    sound: list[Received] = []
    broken: dict[int, str] = {}
    for request in requests:
        try:
            _rows([request], decoder, known_runs)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  whatever a decoder raises
            broken[request.number] = f"the decoder failed: {error!r}"
        else:
            sound.append(request)
    rows = _rows(sound, decoder, known_runs)
    rows.poison.update(broken)
    return rows


def _rows(requests: Sequence[Received], decoder: RequestDecoder, known_runs: Sequence[str]) -> Rows:
    decoded = decoder.decode(requests)
    tables = _tables(decoded, known_runs)
    return Rows(decoded, tables, span_keys(decoded.spans), dict(decoded.poison))


def _tables(decoded: Decoded, known_runs: Sequence[str]) -> "dict[str, pa.Table]":
    tables = decoded.tables(map(bytes.fromhex, known_runs))
    check_set(tables)
    return tables
