"""What many questions about the same few runs begin with, worked out once.

Over few frames most of a query's time is planning: each question about two runs plans anew
which frames they have, how these pair and how far tensors are apart. `Known` keeps those rows
in tables, and makes cursors on which the library's internal macros read the tables instead;
what is built on these macros is the library's own, unchanged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from .interrupt import Cursors

if TYPE_CHECKING:
    import duckdb

LARGEST_PAIRING = 500
"""Paired frames up to which the distances of their tensors are kept, some 60 kB a frame."""

_NUMBERS = count()


@dataclass(frozen=True, slots=True)
class _Macro:
    """An internal macro of the library whose rows are kept.

    Args:
        name: Its name.
        by: Arguments that its rows belong to.
        others: Further arguments with their defaults.
        where: What further arguments make of its rows.
    """

    name: str
    by: tuple[str, ...]
    others: str = ""
    where: str = "TRUE"


# Run ids name runs whatever role is wanted, so the role makes no difference here.
_OF_RUNS = (
    _Macro("_run_selected", ("selector",), "wanted_role := ''"),
    _Macro("_frame_seen", ("selector",), "wanted_role := ''"),
)
_OF_FRAMES = (
    _Macro("_layer_models", ("edge", "reference")),
    _Macro("_frame_measured", ("edge", "reference")),
)
_OF_TENSORS = (
    _Macro("_layer_pairs", ("edge", "reference")),
    _Macro(
        "_tensor_pairs",
        ("edge", "reference"),
        "with_layers := TRUE, with_others := TRUE",
        "CASE WHEN k.match_role = 'layer' THEN with_layers ELSE with_others END",
    ),
)
"""Each after those that it is built on."""


class Known:
    """Rows about runs and pairs of runs that were asked for before.

    On its cursors, macros about any other runs raise DuckDB's ``InvalidInputException``: rows
    that were not kept must not look like rows that are not there.

    Args:
        connection: A connection from `exray.queries.engine.connect`; what is kept lives in it.
        cursors: Makes cursors of the same database.
    """

    def __init__(self, connection: "duckdb.DuckDBPyConnection", cursors: Cursors) -> None:
        self._connection, self._cursors = connection, cursors
        self._kept: set[tuple[str, tuple[str, ...]]] = set()
        self._made: set[str] = set()
        # its own, because one connection may be asked about several lakes one after the other
        self._schema = f"known_{next(_NUMBERS)}"
        connection.execute(f"CREATE SCHEMA {self._schema}")
        connection.execute(f"CREATE TABLE {self._schema}.asked (macro VARCHAR, key VARCHAR)")

    def cursor(self) -> "duckdb.DuckDBPyConnection":
        """Return a cursor whose library reads what is kept."""
        cursor = self._cursors.cursor()
        cursor.execute(f"SET search_path = '{self._schema},main'")
        return cursor

    def keep_frames(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Keep the frames of pairs of selections, and how they pair.

        Args:
            pairs: Edge and reference: run ids in hex with commas, as `Selection.selector` has
                them.
        """
        for selector in dict.fromkeys(name for pair in pairs for name in pair):
            self._keep(_OF_RUNS, (selector,))
        for pair in pairs:
            self._keep(_OF_FRAMES, pair)

    def keep_tensors(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Keep how far the tensors of pairs are apart, whose layers have to be matched by now.

        Where more than `LARGEST_PAIRING` frames pair nothing is kept, and the library works
        from the tensors: planning is little then, and rows are many.

        Args:
            pairs: As of `keep_frames`, which was asked for the same.
        """
        counts = self._connection.execute(
            f"SELECT count(*) FROM {self._schema}._frame_measured_rows GROUP BY known_key"
        ).fetchall()
        if all(int(count) <= LARGEST_PAIRING for (count,) in counts):
            for pair in pairs:
                self._keep(_OF_TENSORS, pair)

    def forget(self, selector: str) -> None:
        """Drop what is kept of runs, alone and in pairs: it may be asked for anew."""
        for name, given in [kept for kept in self._kept if selector in kept[1]]:
            self._kept.remove((name, given))
            for table, column in ((f"{name}_rows", "known_key"), ("asked", "key")):
                self._connection.execute(
                    f"DELETE FROM {self._schema}.{table} WHERE {column} = $1", ["|".join(given)]
                )

    def _keep(self, macros: Sequence[_Macro], given: tuple[str, ...]) -> None:
        """Ask macros about runs and keep their rows, unless they are kept already."""
        key = "|".join(given)
        for macro in macros:
            if (macro.name, given) in self._kept:
                continue
            arguments = ", ".join(f"{name} := ${name}" for name in macro.by)
            rows = f"SELECT $key AS known_key, * FROM main.{macro.name}({arguments})"
            table = f"{self._schema}.{macro.name}_rows"
            with self.cursor() as cursor:
                is_first = macro.name not in self._made
                into = f"CREATE TABLE {table} AS" if is_first else f"INSERT INTO {table}"
                cursor.execute(
                    f"{into} {rows}", {"key": key, **dict(zip(macro.by, given, strict=True))}
                )
                if is_first:
                    cursor.execute(_reading(macro, self._schema))
                    self._made.add(macro.name)
                cursor.execute(
                    f"INSERT INTO {self._schema}.asked VALUES ($1, $2)", [macro.name, key]
                )
            self._kept.add((macro.name, given))


def _reading(macro: _Macro, schema: str) -> str:
    """Return the statement that makes a macro's namesake, which reads the kept rows."""
    arguments = ", ".join([*(f"{name} := ''" for name in macro.by), *filter(None, [macro.others])])
    key = " || '|' || ".join(macro.by)
    return (
        f"CREATE MACRO {schema}.{macro.name}({arguments}) AS TABLE"
        f" SELECT k.* EXCLUDE (known_key) FROM {schema}.{macro.name}_rows AS k"
        f" WHERE {macro.where} AND k.known_key = ("
        f"SELECT CASE WHEN count(*) > 0 THEN {key}"
        f" ELSE error('no rows are kept of runs ' || {key}) END"
        f" FROM {schema}.asked AS a WHERE a.macro = '{macro.name}' AND a.key = {key})"
    )
