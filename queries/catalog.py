"""What the SQL library holds: its modules, and each view and macro as its header describes it.

A header is the comment right above a definition::

    -- One sentence.
    --
    -- More, if need be.
    --
    -- Arguments:
    --   name: meaning, unit.
    -- Columns:
    --   name TYPE: meaning, unit.

Scalar macros have ``Returns:`` with one ``TYPE: meaning`` instead of columns. What begins
with ``_`` is internal: it may change, and needs no more than a sentence.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

MODULES = (
    "base/hex.sql",
    "base/ts.sql",
    "base/ms.sql",
    "base/finite.sql",
    "base/sqnr.sql",
    "base/sketch.sql",
    "base/weighted.sql",
    "base/frame.sql",
    "pairing/run.sql",
    "pairing/frame.sql",
    "pairing/layer.sql",
    "divergence/tensor.sql",
    "divergence/layer_sketches.sql",
    "divergence/input_sketches.sql",
    "divergence/tensor_pairs.sql",
    "divergence/tensor_numbers.sql",
    "divergence/input.sql",
    "divergence/layer_frame.sql",
    "divergence/layer_scored.sql",
    "divergence/layer.sql",
    "culprit/layer.sql",
    "culprit/layer_decomposition.sql",
    "distribution/tensor_buckets.sql",
    "distribution/tensor_histogram.sql",
    "distribution/tensor_quantiles.sql",
    "distribution/tensor_channels.sql",
    "latency/frame.sql",
    "latency/stage.sql",
    "latency/inference.sql",
    "latency/layer.sql",
    "latency/op.sql",
    "latency/layer_delegation.sql",
    "latency/delegate.sql",
    "latency/latency_samples.sql",
    "outcome/outcome.sql",
    "outcome/outcome_outputs.sql",
    "outcome/task.sql",
    "health/layer.sql",
    "health/state.sql",
    "host/host.sql",
    "rollup/rollup_groups.sql",
    "rollup/rollup_wanted.sql",
    "rollup/rollup_frames.sql",
    "rollup/rollup_layer_times.sql",
    "rollup/rollup_outputs.sql",
    "rollup/rollup_numbers.sql",
    "rollup/rollup_rows.sql",
    "rollup/rollup_samples.sql",
    "rollup/rollup_tensors.sql",
    "trend/layer.sql",
    "trend/build.sql",
    "trend/build_peers.sql",
    "trend/build_flips.sql",
    "trend/build_tensors.sql",
    "trend/frame_hours.sql",
    "trend/device.sql",
    "trace/frame_times.sql",
    "trace/trace.sql",
    "trace/layer_frames.sql",
)
"""Files of the library, each after those it needs: a definition is bound when it is made."""

Kind = Literal["view", "table macro", "scalar macro"]
"""What a definition defines."""

_DEFINITION = re.compile(
    r"((?:^--[^\n]*\n)*)"
    r"^CREATE OR REPLACE (VIEW|MACRO) (\w+)(?:\(([^)]*)\))? AS( TABLE)?\b",
    re.MULTILINE,
)
_TYPE = r"[A-Z][A-Z0-9_]*(?:\[\])?"
_ENTRIES = {
    "Arguments": re.compile(r"  (?P<name>\w+)(?P<type>): (.*)"),
    "Columns": re.compile(rf"  (?P<name>\w+) (?P<type>{_TYPE}): (.*)"),
    "Returns": re.compile(rf"  (?P<name>)(?P<type>{_TYPE}): (.*)"),
}


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a macro.

    Args:
        default: Its default as SQL, None where there is none.
        text: Its meaning.
    """

    name: str
    default: str | None
    text: str


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column of a view or table macro; of a scalar macro its value, with an empty name."""

    name: str
    type: str
    text: str


@dataclass(frozen=True, slots=True)
class Definition:
    """A view or macro of the library.

    Args:
        name: Name in SQL.
        module: File that defines it, relative to the library.
        paragraphs: What it does; the first begins with the sentence that sums it up.
        arguments: In the order of its signature.
        columns: In the order of its result.
        documented: Names of the arguments that its header describes, in that order.
    """

    name: str
    kind: Kind
    module: str
    paragraphs: tuple[str, ...]
    arguments: tuple[Argument, ...]
    columns: tuple[ResultColumn, ...]
    documented: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The first sentence."""
        return re.split(r"(?<=\.)\s", self.paragraphs[0], maxsplit=1)[0] if self.paragraphs else ""

    @property
    def public(self) -> bool:
        """Whether users may rely on it."""
        return not self.name.startswith("_")


@cache
def definitions() -> tuple[Definition, ...]:
    """Return every definition of the library, in the order in which they are made."""
    library = files("exray.queries")
    return tuple(
        definition
        for module in MODULES
        for definition in parse(module, library.joinpath(module).read_text("utf-8"))
    )


def queries() -> dict[str, Definition]:
    """Return what can be asked for by name: public views and table macros."""
    return {d.name: d for d in definitions() if d.public and d.kind != "scalar macro"}


def parse(module: str, text: str) -> Iterator[Definition]:
    """Read the definitions of a module and their headers.

    Args:
        module: Its name, as `Definition.module` is to have it.
        text: Its content.
    """
    for header, created, name, signature, table in _DEFINITION.findall(text):
        sections = _sections(header)
        described = {key: (kind, meaning) for key, kind, meaning in sections["Arguments"]}
        kind: Kind = "view" if created == "VIEW" else "table macro" if table else "scalar macro"
        results = sections["Returns" if kind == "scalar macro" else "Columns"]
        yield Definition(
            name=name,
            kind=kind,
            module=module,
            paragraphs=_paragraphs(header),
            arguments=tuple(
                Argument(argument, default, described.get(argument, ("", ""))[1])
                for argument, default in _signature(signature)
            ),
            columns=tuple(ResultColumn(*entry) for entry in results),
            documented=tuple(described),
        )


def _paragraphs(header: str) -> tuple[str, ...]:
    prose = re.split(r"^-- (?:Arguments|Columns|Returns):$", header, flags=re.MULTILINE)[0]
    lines = prose.replace("-- ", "").replace("--", "")
    return tuple(" ".join(part.split()) for part in lines.split("\n\n") if part.strip())


def _sections(header: str) -> dict[str, list[tuple[str, str, str]]]:
    """Entries of each section as name, type and meaning, continuation lines joined."""
    sections: dict[str, list[tuple[str, str, str]]] = {name: [] for name in _ENTRIES}
    current = ""
    for line in header.splitlines():
        text = line.removeprefix("-- ")
        if text.removesuffix(":") in sections:
            current = text.removesuffix(":")
        elif not current:
            continue
        elif entry := _ENTRIES[current].fullmatch(text):
            sections[current].append((entry["name"], entry["type"], entry[3]))
        elif sections[current]:
            name, kind, meaning = sections[current].pop()
            sections[current].append((name, kind, f"{meaning} {text.strip()}"))
    return sections


def _signature(text: str) -> Iterator[tuple[str, str | None]]:
    for part in text.split(","):
        if part.strip():
            name, _, default = part.partition(":=")
            yield name.strip(), default.strip() or None
