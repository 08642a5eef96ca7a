"""Records builds in memory and diagnoses them: what all cases of a network share, made once.

A build's records become DuckDB's own tables beside those of the reference and of the sound
build; answers about these two alone are kept from one case to the next.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from exray.diagnosis.align_runs import find_alignment
from exray.diagnosis.causes import Finder, Replay
from exray.diagnosis.conclusion import Diagnosis
from exray.diagnosis.diagnose import diagnose_scene, make_scene
from exray.diagnosis.finders import FINDERS
from exray.diagnosis.symptoms import find_times
from exray.exporters.convert import tables_from_records
from exray.instrumentation import api
from exray.instrumentation.config import resolve
from exray.instrumentation.recorder import Recorder
from exray.lake import Lake
from exray.playback.dataset import Item, open_dataset
from exray.playback.feed import Array, fit, prepare
from exray.playback.runners import InputSpec, plan_runner
from exray.queries.engine import connect_tables, show_tables
from exray.queries.interrupt import Watch
from exray.queries.known import Known
from exray.queries.select import resolve_pair
from exray.testing import MemorySink

REFERENCE, SOUND, EDGE = "reference", "sound", "edge"

ASKED: tuple[Finder, ...] = tuple(f for f in FINDERS if f is not find_times)
"""All finders but that of times: nothing planted is slow, and other work shares the machine."""

CHOSEN: dict[str, str | None] = {"model": None, "device": None, "kernels": None}

Tables = dict[str, "pa.Table"]

Making = Callable[[Item, InputSpec], Array]
"""How a recorded input becomes a model's input, real values of its shape."""


def as_stored(item: Item, target: InputSpec) -> Array:
    """Return what is a model's input already."""
    return prepare(item.load(), None, target)


def recorded(
    model: Path,
    inputs: Path,
    build: str,
    *,
    role: str = "edge",
    kernels: str = "xnnpack",
    threads: int | None = None,
    making: Making = as_stored,
) -> Tables:
    """Run a model over its inputs and return what was recorded, as tables."""
    config = resolve(
        build=build,
        role=role,
        lake=model.parent,
        level="summary",
        sampling="all",
        default_privacy="open",
    )
    sink = MemorySink()
    api.shutdown()
    api.start(Recorder(config, sink))
    try:
        runner = plan_runner(model, kernels=kernels, threads=threads)()
        for item in open_dataset(inputs):
            value = fit(making(item, runner.input), runner.input)
            with api.frame(item.input_id) as frame:
                frame.prediction(runner.run(value))
    finally:
        api.shutdown()
    return tables_from_records(
        list(sink.runs.values()), list(sink.graphs.values()), sink.frames, [], sink.metrics
    )


def joined(*parts: Tables) -> Tables:
    """Return the rows of several records, table by table."""
    names = {name for part in parts for name in part}
    return {name: pa.concat_tables([p[name] for p in parts if name in p]) for name in names}


def disguised(tables: Tables, sha256: str, other: str, name: str) -> Tables:
    """Return records of one file as if they were another's: the runtime computes wrongly.

    Args:
        tables: What was recorded.
        sha256: Hash of the file that was run.
        other: Hash of the file that is said to have been run.
        name: Its name.
    """
    changed: Tables = {}
    for key, table in tables.items():
        shown = table.slice(0, 0) if key == "graphs" else table  # the other file's own is there
        for column, told in (("model_sha256", other), ("model_name", name)):
            schema: Any = shown.schema
            position: int = schema.get_field_index(column)
            if position < 0:
                continue
            kind: Any = schema.field(position)
            values = shown.column(position).cast(pa.string()).to_pylist()
            was = sha256 if column == "model_sha256" else None
            new = [told if x is not None and was in (x, None) else x for x in values]
            shown = shown.set_column(position, kind, pa.array(new, pa.string()).cast(kind.type))
        changed[key] = shown
    return changed


@dataclass(slots=True)
class _Kept:
    """An answer as a cursor gives it."""

    description: list[Any] | None
    rows: list[Any]

    def fetchall(self) -> list[Any]:
        return self.rows

    def fetchone(self) -> Any:
        return self.rows[0] if self.rows else None


@dataclass(slots=True)
class _Remembering:
    """A connection that asks once what concerns only runs that no case changes."""

    connection: Any
    fixed: tuple[str, ...]
    known: dict[tuple[str, str], _Kept] = field(default_factory=dict[tuple[str, str], _Kept])
    last: Any = None

    def cursor(self) -> "_Remembering":
        return _Remembering(self.connection.cursor(), self.fixed, self.known)

    def execute(
        self, query: str, given: dict[str, Any] | list[Any] | None = None
    ) -> "_Remembering":
        selectors: list[Any] = list(given.values()) if isinstance(given, dict) else []
        key = (query, repr(given))
        if not selectors or not all(value in ("", *self.fixed) for value in selectors):
            self.last = self.connection.execute(query, given)
        else:
            if key not in self.known:
                answer = self.connection.execute(query, given)
                self.known[key] = _Kept(answer.description, answer.fetchall())
            self.last = self.known[key]
        return self

    @property
    def description(self) -> Any:
        return self.last.description

    def fetchall(self) -> Any:
        return self.last.fetchall()

    def fetchone(self) -> Any:
        return self.last.fetchone()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


class Stand:
    """A reference and its sound build; diagnoses other builds against them.

    Args:
        folder: Where files of cases are written.
        reference: The reference's file.
        sound: The sound build's.
        inputs: Recorded inputs: model inputs as an npz, or what *making* takes.
        reference_kernels: Kernels that the reference runs on.
        making: How reference and sound build make their inputs.
        preprocess: The same as a spec, None where inputs are the model's.
    """

    def __init__(
        self,
        folder: Path,
        reference: Path,
        sound: Path,
        inputs: Path,
        reference_kernels: str = "xnnpack",
        making: Making = as_stored,
        preprocess: Path | None = None,
    ) -> None:
        self.folder, self.reference, self.sound, self.inputs = folder, reference, sound, inputs
        self.preprocess = preprocess
        self.lake = Lake.open_or_create(folder / "lake")
        self.connection: Any = connect_tables({})
        self.base = joined(
            recorded(
                reference,
                inputs,
                REFERENCE,
                role="reference",
                kernels=reference_kernels,
                making=making,
            ),
            recorded(sound, inputs, SOUND, making=making),
        )
        self._show(self.base)
        sides = resolve_pair(self.connection, SOUND, REFERENCE)
        found = find_alignment(self.connection, *sides)
        if found.rows is not None:
            self.base = joined(self.base, {"alignments": found.rows})
        fixed = (SOUND, REFERENCE, *(side.selector for side in sides))
        self._asking: Any = _Remembering(self.connection, fixed)
        self._known = Known(self._asking, self._asking)

    def diagnose(self, tables: Tables, model: Path, *, baseline: bool = True) -> Diagnosis:
        """Diagnose a build.

        Args:
            tables: Its records; the build is called `EDGE`.
            model: Its file.
            baseline: Whether the sound build is the one before.
        """
        self._show(joined(self.base, tables))
        replay = Replay(
            inputs=self.inputs,
            edge_model=model,
            reference_model=self.reference,
            preprocess=self.preprocess,
        )
        builds = (EDGE, REFERENCE, SOUND if baseline else None)
        scene = make_scene(self.lake, self._asking, Watch(), builds, CHOSEN, replay, self._known)
        found = diagnose_scene(scene, ASKED)
        self._known.forget(scene.edge.selector)
        return found

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(Exception):
            self.connection.close()

    def _show(self, tables: Tables) -> None:
        show_tables(self.connection, tables)
        for name in tables:
            self.connection.execute(f"CREATE OR REPLACE TABLE _{name}_own AS FROM _{name}")
            self.connection.execute(f"CREATE OR REPLACE VIEW _{name} AS FROM _{name}_own")
