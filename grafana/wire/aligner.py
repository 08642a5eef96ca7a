"""Alignments that a lake lacks, worked out beside the statements and held in memory."""

import logging
import threading
from typing import TYPE_CHECKING

from exray.diagnosis.align_runs import find_alignment
from exray.queries.interrupt import REPEAT_S
from exray.queries.select import Selection, matching_runs
from exray.schema.errors import ExrayError

if TYPE_CHECKING:
    import duckdb

    from .database import LakeDatabase

_log = logging.getLogger(__name__)

_LACKING = """
SELECT
  arg_max(build, inputs),
  model_sha256,
  arg_max(reference_build, inputs),
  reference_model_sha256
FROM _rollup_references AS p
WHERE
  model_sha256 <> reference_model_sha256
  AND NOT EXISTS (
    SELECT 1 FROM alignments AS a
    WHERE a.edge_model_sha256 = p.model_sha256
      AND a.reference_model_sha256 = p.reference_model_sha256
  )
GROUP BY model_sha256, reference_model_sha256
"""


class Aligner:
    """Sees to it that layers of models with common inputs answer to each other.

    `exray grafana refresh` and `exray compare` write what they find to the lake; a server
    writes nothing, so what it finds lasts as long as it does.

    Args:
        database: What is looked through, and what shows the alignments found.
    """

    def __init__(self, database: "LakeDatabase") -> None:
        self._database = database
        self._cursor = database.cursor()
        self._is_stopped = False
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._work, name="exray-align", daemon=True)
        database.on_new_runs = self._news.set

    def start(self) -> None:
        """Look through the lake now, and again whenever there are new runs."""
        self._news.set()
        self._thread.start()

    def stop(self) -> None:
        """End, in the middle of a query if need be."""
        self._is_stopped = True
        self._news.set()
        while self._thread.is_alive():
            self._cursor.interrupt()
            self._thread.join(REPEAT_S)
        self._cursor.close()

    def _work(self) -> None:
        import duckdb

        while self._news.wait() and not self._is_stopped:
            self._news.clear()
            try:
                self._align()
            except (duckdb.Error, ExrayError) as error:
                if not self._is_stopped:
                    _log.warning("layers could not be aligned: %s", error)

    def _align(self) -> None:
        for build, model, reference_build, reference_model in self._cursor.execute(
            _LACKING
        ).fetchall():
            edge = _newest(self._cursor, build, "edge", model)
            reference = _newest(self._cursor, reference_build, "reference", reference_model)
            found = find_alignment(self._cursor, edge, reference)
            if found.rows is not None:
                self._database.hold(found.rows)


def _newest(
    cursor: "duckdb.DuckDBPyConnection", build: str, role: str, model_sha256: str
) -> Selection:
    """Return the newest run of a build's that had this model: any will do, and one is enough."""
    runs = matching_runs(cursor, build, role)
    return Selection(tuple(run for run in runs if run.model_sha256 == model_sha256)[-1:])
