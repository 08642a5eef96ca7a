"""Diagnose two builds of a lake: compare them, ask every finder, conclude."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from exray.diagnosis.align_runs import ensure_alignment
from exray.diagnosis.causes import Cause, Finder, Replay, Scene
from exray.diagnosis.comparison_reader import read_comparison
from exray.diagnosis.conclusion import Diagnosis, FinderFailure, conclude
from exray.diagnosis.decomposition_reader import read_decomposition
from exray.diagnosis.entry import difference, tolerated
from exray.diagnosis.finders import FINDERS
from exray.diagnosis.layers.find import same_input
from exray.diagnosis.opening import with_lake
from exray.queries.interrupt import Watch, WatchedCursors
from exray.queries.known import Known
from exray.queries.select import resolve_pair
from exray.schema.errors import UsageError

if TYPE_CHECKING:
    import duckdb

    from exray.lake import Lake
    from exray.queries.select import Selection

Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)


def diagnose(
    lake: "Lake",
    edge: str,
    reference: str,
    *,
    baseline: str | None = None,
    model: str | None = None,
    device: str | None = None,
    kernels: str | None = None,
    replay: Replay | None = None,
    finders: Iterable[Finder] = FINDERS,
) -> Diagnosis:
    """Say why the runs that two BUILDs name part.

    Args:
        lake: The lake that holds both; layers' alignments are written to it where it can be
            written.
        edge: A build, or a run id by its beginning.
        reference: The same of the reference.
        baseline: The previous build of the edge, which went well.
        model: Model name, where a build has several; ``A,B`` is the edge's and the
            reference's, as `exray.queries.resolve_pair` reads them.
        device: Device, likewise.
        kernels: Kernel family, likewise.
        replay: Files to run again; None to judge from the lake alone.
        finders: Who looks for causes.

    Raises:
        SelectionError: A BUILD names nothing, or several models, devices or kernel families.
        UsageError: A file to replay is missing or wrong.
        LakeError: The lake is damaged.
        MissingExtraError: DuckDB is not installed.
    """
    chosen = {"model": model, "device": device, "kernels": kernels}

    def work(scene: Scene) -> Diagnosis:
        found = diagnose_scene(scene, finders)
        if not same_input(scene):  # what the layers differ by came in with it
            return found
        steps = read_decomposition(lake, scene.cursors, scene.edge, scene.reference, scene.replay)
        return replace(found, steps=steps)

    return in_scene(lake, (edge, reference, baseline), chosen, replay or Replay(), work)


def in_scene(
    lake: "Lake",
    builds: tuple[str, str, str | None],
    chosen: dict[str, str | None],
    replay: Replay,
    work: Callable[[Scene], Answer],
) -> Answer:
    """Open a lake, compare what is asked for, and return what *work* makes of it.

    Args:
        lake: The lake that holds the builds.
        builds: Edge, reference, baseline.
        chosen: Options model, device and kernels.
        replay: Files to run again.
        work: Done while the lake is open; Ctrl-C ends its queries.

    Raises:
        SelectionError: A BUILD names nothing, or several models, devices or kernel families.
        UsageError: A file to replay is missing or wrong.
        LakeError: The lake is damaged.
        MissingExtraError: DuckDB is not installed.
    """
    check_files(replay)

    def opened(connection: "duckdb.DuckDBPyConnection", watch: Watch) -> Answer:
        return work(make_scene(lake, connection, watch, builds, chosen, replay))

    return with_lake(lake, "a comparison", opened)


def diagnose_scene(scene: Scene, finders: Iterable[Finder] = FINDERS) -> Diagnosis:
    """Ask every finder about a scene, and conclude.

    Args:
        scene: Two sides that were compared.
        finders: Who looks for causes.

    Raises:
        UsageError: A file to replay is wrong.
    """
    causes, failures = _ask(scene, finders)
    found = conclude(scene.comparison, causes, difference(scene), failures, scene.baseline)
    return replace(found, tolerated=tolerated(scene))


def make_scene(
    lake: "Lake",
    connection: "duckdb.DuckDBPyConnection",
    watch: Watch,
    builds: tuple[str, str, str | None],
    chosen: dict[str, str | None],
    replay: Replay,
    known: Known | None = None,
) -> Scene:
    """Compare edge, and baseline if there is one, with the reference.

    Args:
        lake: The lake that holds them.
        connection: A connection to it from `exray.queries.engine.connect`.
        watch: What interrupts its queries.
        builds: Edge, reference, baseline.
        chosen: Options model, device and kernels.
        replay: Files to run again.
        known: What earlier scenes over the same runs kept.
    """
    edge, reference, baseline = builds
    edge_runs, reference_runs = resolve_pair(connection, edge, reference, **chosen)
    before_runs = None
    if baseline is not None:
        before_runs, _ = resolve_pair(connection, baseline, reference, **chosen)
    sides = (edge_runs, reference_runs, before_runs)
    return scene_of(lake, connection, watch, sides, replay, known)


def scene_of(
    lake: "Lake",
    connection: "duckdb.DuckDBPyConnection",
    watch: Watch,
    sides: "tuple[Selection, Selection, Selection | None]",
    replay: Replay,
    known: Known | None = None,
) -> Scene:
    """Compare runs that are chosen already.

    Args:
        lake: The lake that alignments are written to.
        connection: A connection that shows all the runs.
        watch: What interrupts its queries.
        sides: Edge, reference, baseline.
        replay: Files to run again.
        known: What earlier scenes over the same runs kept.
    """
    cursors = WatchedCursors(connection, watch)
    edge, reference, before = sides
    builds = (edge,) if before is None else (edge, before)
    known = known or Known(connection, cursors)
    pairs = [(build.selector, reference.selector) for build in builds]
    known.keep_frames(pairs)
    notes = [ensure_alignment(lake, connection, build, reference, known) for build in builds]
    known.keep_tensors(pairs)
    comparison, *others = [
        read_comparison(known, build, reference, note)
        for build, note in zip(builds, notes, strict=True)
    ]
    baseline = others[0] if others else None
    return Scene(
        lake=lake,
        cursors=cursors,
        known=known,
        comparison=comparison,
        edge=edge,
        reference=reference,
        baseline=baseline,
        baseline_selection=before,
        replay=replay,
    )


def check_files(replay: Replay) -> None:
    """See to it that the files to replay exist, before anything is read.

    Raises:
        UsageError: One does not.
    """
    for option, path in (
        ("--inputs", replay.inputs),
        ("--edge-model", replay.edge_model),
        ("--reference-model", replay.reference_model),
        ("--preprocess", replay.preprocess),
    ):
        if path is not None and not path.exists():
            msg = f"{option} '{path}' does not exist. Pass a file or folder that does."
            raise UsageError(msg)


def _ask(scene: Scene, finders: Iterable[Finder]) -> tuple[list[Cause], list[FinderFailure]]:
    """Collect the causes; one finder's defect must not hide what the others found."""
    causes: list[Cause] = []
    failures: list[FinderFailure] = []
    for finder in finders:
        try:
            causes.extend(finder(scene))
        except UsageError:
            raise  # the user's file or option, which the user can correct
        except Exception as error:  # noqa: BLE001 - whatever the defect is, it is reported
            name = getattr(finder, "__name__", type(finder).__name__)
            _log.debug("finder %s failed", name, exc_info=True)
            failures.append(FinderFailure(name, f"{type(error).__name__}: {error}"))
    return causes, failures
