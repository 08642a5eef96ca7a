"""From what a user calls a BUILD to the runs that are meant."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from exray.schema.errors import SelectionError

if TYPE_CHECKING:
    import duckdb

LISTED = 10
"""Builds or runs that an error names before it only counts the rest."""

_RUNS = """
SELECT
  hex_id(s.run_id), s.build, s.role, s.model_name, s.model_sha256, s.kernels, s.device,
  r.device_id, r.runtime_name, r.model_precision
FROM _run_selected($selector, $role) AS s
INNER JOIN runs AS r ON s.run_id = r.run_id
ORDER BY r.started_ns, s.run_id
"""


@dataclass(frozen=True, slots=True)
class SelectedRun:
    """A run that a selector names; `run_id` in hex, `device` the device's model or its id."""

    run_id: str
    build: str
    role: str
    model_name: str
    model_sha256: str
    kernels: str
    device: str
    device_id: str
    runtime: str
    precision: str

    def has(self, option: str, value: str) -> bool:
        """Whether *value* names this run's model, device or kernels, as *option* says."""
        if option == "model":
            named = bool(value) and self.model_sha256.startswith(value)
            return named or value == self.model_name
        if option == "device":
            return value in (self.device, self.device_id)
        return value == self.kernels

    def shown(self, option: str) -> str:
        """What tells this run from others in an error about *option*."""
        if option == "model":
            return f"{self.model_name} ({self.model_sha256[:12]})"
        return self.device if option == "device" else self.kernels


@dataclass(frozen=True, slots=True)
class Selection:
    """Runs of one model, device and kernel family.

    Args:
        runs: At least one, oldest first.
    """

    runs: tuple[SelectedRun, ...]

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs' ids in hex, oldest first."""
        return tuple(run.run_id for run in self.runs)

    @property
    def selector(self) -> str:
        """What to hand to a macro's argument ``edge``, ``reference`` or ``build``."""
        return ",".join(self.run_ids)

    @property
    def build(self) -> str:
        """The build, or all builds if run ids of several were given."""
        return ", ".join(dict.fromkeys(run.build for run in self.runs))

    @property
    def role(self) -> str:
        """The role that the runs were recorded in; both if they differ."""
        return ", ".join(dict.fromkeys(run.role for run in self.runs))

    @property
    def model_name(self) -> str:
        """The model's name."""
        return self.runs[0].model_name

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the model file, hex."""
        return self.runs[0].model_sha256

    @property
    def kernels(self) -> str:
        """The kernel family."""
        return self.runs[0].kernels

    @property
    def device(self) -> str:
        """The device's model, or its id where the model is not known."""
        return self.runs[0].device

    @property
    def runtime(self) -> str:
        """The runtime's name."""
        return self.runs[0].runtime

    @property
    def precision(self) -> str:
        """Type of most weights and activations."""
        return self.runs[0].precision


def resolve(
    connection: "duckdb.DuckDBPyConnection",
    selector: str,
    role: str | None,
    *,
    model: str | None = None,
    device: str | None = None,
    kernels: str | None = None,
) -> Selection:
    """Find the runs that *selector* means, all of one model, device and kernel family.

    Args:
        connection: A connection from `exray.queries.engine.connect`.
        selector: A build, the beginning of one run's id, or full run ids with commas.
        role: edge or reference: which one counts where the build holds both. None: any.
        model: Keep runs of this model: its name, or the beginning of its SHA-256.
        device: Keep runs on this device: its model or its id.
        kernels: Keep runs with this kernel family.

    Raises:
        SelectionError: Nothing is left, or more than one model, device or kernel family.
    """
    found = matching_runs(connection, selector, role)
    return _unambiguous(narrow(found, model, device, kernels, selector), selector)


def resolve_pair(
    connection: "duckdb.DuckDBPyConnection",
    edge: str,
    reference: str,
    *,
    model: str | None = None,
    device: str | None = None,
    kernels: str | None = None,
) -> tuple[Selection, Selection]:
    """Find the runs that two selectors mean, each of one model, device and kernel family.

    Args:
        connection: A connection from `exray.queries.engine.connect`.
        edge: A build, the beginning of one run's id, or full run ids with commas.
        reference: The same of the reference.
        model: Keep runs of this model: its name, or the beginning of its SHA-256. ``A,B``
            keeps A on the edge and B in the reference, of which one may be left empty. A
            value alone counts on either side that has such runs.
        device: Keep runs on this device: its model or its id. ``A,B`` likewise.
        kernels: Keep runs with this kernel family. ``A,B`` likewise.

    Raises:
        SelectionError: Nothing is left, or more than one model, device or kernel family.
    """
    selectors = (edge, reference)
    sides = (
        matching_runs(connection, edge, "edge"),
        matching_runs(connection, reference, "reference"),
    )
    for option, wanted in (("model", model), ("device", device), ("kernels", kernels)):
        if wanted is not None:
            sides = _narrow_pair(sides, option, wanted, selectors)
    return _unambiguous(sides[0], edge), _unambiguous(sides[1], reference)


def _unambiguous(runs: tuple[SelectedRun, ...], selector: str) -> Selection:
    several = [
        (option, what, names)
        for option, what in (("model",) * 2, ("device",) * 2, ("kernels", "kernel family"))
        if len(names := sorted({run.shown(option) for run in runs})) > 1
    ]
    if several:
        found = " and ".join(
            f"more than one {what}: {_listing(names)}" for _, what, names in several
        )
        options = " or ".join(f"--{option} {_short(names[0])!r}" for option, _, names in several)
        msg = (
            f"{selector!r} leaves {found}. Choose, such as with {options}; in a comparison "
            "'A,B' is A for the edge and B for the reference."
        )
        raise SelectionError(msg)
    return Selection(runs)


def _short(shown: str) -> str:
    """Return the name in ``name (sha256)``."""
    return shown.split(" (")[0]


Sides = tuple[tuple[SelectedRun, ...], tuple[SelectedRun, ...]]
"""Runs of the edge, and of the reference."""


def _narrow_pair(sides: Sides, option: str, wanted: str, selectors: tuple[str, str]) -> Sides:
    """Keep the runs that one option means, on the sides that it speaks of."""
    values = [value.strip() for value in wanted.split(",")]
    if len(values) > len(sides):
        msg = (
            f"--{option} {wanted!r} has {len(values)} values; expected one, or 'A,B': A for the "
            "edge, B for the reference"
        )
        raise SelectionError(msg)
    first, last = values[0], values[-1]
    kept = (_having(sides[0], option, first), _having(sides[1], option, last))
    if len(values) == 1 and any(kept):  # what one side alone has says nothing of the other
        return kept[0] or sides[0], kept[1] or sides[1]
    edge = kept[0] if first else sides[0]
    reference = kept[1] if last else sides[1]
    if edge and reference:
        return edge, reference
    empty = [i for i, left in enumerate((edge, reference)) if not left]
    there = " and ".join(
        f"{('edge', 'reference')[i]} {selectors[i]!r}; there: {_shown(sides[i], option)}"
        for i in empty
    )
    msg = (
        f"--{option} {wanted!r} leaves no run of {there}. 'A,B' is A for the edge and B for the "
        "reference; either may be left empty."
    )
    raise SelectionError(msg)


def _having(runs: Iterable[SelectedRun], option: str, value: str) -> tuple[SelectedRun, ...]:
    return tuple(run for run in runs if run.has(option, value))


def _shown(runs: Iterable[SelectedRun], option: str) -> str:
    return _listing(dict.fromkeys(run.shown(option) for run in runs))


def matching_runs(
    connection: "duckdb.DuckDBPyConnection", selector: str, role: str | None = None
) -> tuple[SelectedRun, ...]:
    """Return the runs that *selector* names, oldest first, of whatever models.

    Raises:
        SelectionError: It names nothing.
    """
    rows = connection.execute(_RUNS, {"selector": selector, "role": role or ""}).fetchall()
    if not rows:
        raise SelectionError(_nothing_named(connection, selector))
    return tuple(SelectedRun(*row) for row in rows)


def narrow(
    runs: Sequence[SelectedRun],
    model: str | None,
    device: str | None,
    kernels: str | None,
    selector: str,
) -> tuple[SelectedRun, ...]:
    """Keep the runs of these models, devices and kernel families; None keeps all.

    Raises:
        SelectionError: One of the three leaves nothing.
    """
    for option, wanted in (("model", model), ("device", device), ("kernels", kernels)):
        if wanted is None:
            continue
        kept = _having(runs, option, wanted)
        if not kept:
            there = _shown(runs, option)
            msg = f"--{option} {wanted!r} leaves no run of {selector!r}; there: {there}"
            raise SelectionError(msg)
        runs = kept
    return tuple(runs)


def _nothing_named(connection: "duckdb.DuckDBPyConnection", selector: str) -> str:
    prefix = selector.replace("-", "").lower()
    begun = connection.execute(
        "SELECT hex_id(run_id) || ' (' || build || ', ' || role || ')' FROM runs "
        "WHERE starts_with(hex_id(run_id), ?) ORDER BY started_ns",
        [prefix],
    ).fetchall()
    if prefix and len(begun) > 1:
        named = _listing(row[0] for row in begun)
        return f"{selector!r} begins the ids of {len(begun)} runs: {named}. Give more of one."
    builds = [row[0] for row in connection.execute("SELECT DISTINCT build FROM runs").fetchall()]
    if not builds:
        return f"there is no build {selector!r}: the lake holds no runs yet. Record one: exray run"
    builds.sort(key=lambda build: (-SequenceMatcher(None, selector, build).ratio(), build))
    return (
        f"there is no build {selector!r}, and no run's id begins so; "
        f"builds: {_listing(builds)}. List runs: exray runs"
    )


def _listing(names: Iterable[str]) -> str:
    every = list(names)
    shown = ", ".join(every[:LISTED])
    return shown if len(every) <= LISTED else f"{shown} and {len(every) - LISTED} more"
