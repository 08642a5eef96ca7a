"""Where a repair is tried: the recorded inputs in two halves, both sides, a lake of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from exray.diagnosis.causes import Replay, Scene
from exray.diagnosis.conclusion import Diagnosis
from exray.diagnosis.diagnose import check_files, diagnose_scene, scene_of
from exray.diagnosis.finders import FINDERS
from exray.diagnosis.layers.delegates import find_delegate_causes
from exray.diagnosis.opening import with_lake
from exray.diagnosis.symptoms import find_times
from exray.lake import Lake
from exray.playback.dataset import Dataset, Item, open_dataset
from exray.playback.labels import load_labels
from exray.playback.outcome import Accuracy
from exray.playback.pipeline import Pipeline, match_labels, play
from exray.playback.runners import KERNELS
from exray.playback.spec import load_spec
from exray.queries.interrupt import WatchedCursors
from exray.queries.select import Selection, resolve, resolve_pair

from .configuration import Configuration
from .halves import halves
from .paired import distance
from .recorded import Recorded, check_inputs, check_model, check_spec, read_recorded
from .request import Request, ShowProgress
from .rerun import Answers, rerun

if TYPE_CHECKING:
    import duckdb

    from exray.queries.interrupt import Watch

FAITHFUL = 0.9
"""Share of recorded answers that the given files must repeat to stand for the edge."""

SAME_INPUT = 1e-4
"""Distance of two model inputs, 40 dB, up to which they are one but for rounding."""

_FINDERS = tuple(f for f in FINDERS if f not in (find_times, find_delegate_causes))
"""Who looks for causes of wrong answers: times are not repaired."""

Sides = tuple[Selection, Selection, Selection | None]
"""Runs of edge, reference and baseline."""


@dataclass(slots=True, kw_only=True)
class Stand:
    """What a repair works with.

    Args:
        request: What was asked for.
        scratch: A folder that is thrown away afterwards.
        show_progress: Shows how far a piece of work is.
        dataset: The recorded inputs.
        labels: Their classes by input id.
        sides: The recorded runs.
        recorded: What the lake holds of them.
        chosen: Inputs to choose on.
        held_out: Inputs to judge on.
        replay: Files to run again, for a diagnosis that does not look at *held_out*.
    """

    request: Request
    scratch: Path
    show_progress: ShowProgress
    dataset: Dataset
    labels: dict[str, int]
    sides: Sides
    recorded: Recorded
    chosen: list[Item]
    held_out: list[Item]
    replay: Replay
    recordings: int = field(default=0, init=False)

    @property
    def start(self) -> Configuration:
        """What the edge runs."""
        request, kernels = self.request, self.sides[0].kernels
        return Configuration(
            model=request.edge_model,
            spec=load_spec(request.preprocess) if request.preprocess else None,
            kernels=kernels if kernels in KERNELS else None,
        )

    def rerun(self, state: Configuration, items: list[Item], title: str) -> Answers:
        """Run inputs through a configuration."""
        with self.show_progress(title) as progress:
            return rerun(state, items, self.recorded.key_of, progress)

    def repeats(self, answers: Answers) -> bool:
        """Whether the given files do what the edge was recorded to do, as far as that is known.

        They have to feed the model what the edge fed it, and to answer as it did.
        """
        both = [
            (answer, known)
            for input_id, answer in answers.items()
            if (known := self.recorded.edge.get(input_id)) is not None
        ]
        apart = [d for ours, theirs in both if (d := distance(ours.given, theirs.given))]
        if apart and median(apart) > SAME_INPUT:
            return False
        named = [(ours.best, theirs.best) for ours, theirs in both if theirs.best is not None]
        same = sum(ours == theirs for ours, theirs in named)
        return same >= min(len(named) - 1, FAITHFUL * len(named))

    def reference_accuracy(self, items: Sequence[Item]) -> Accuracy | None:
        """Return the reference's accuracy on inputs, as it was recorded."""
        right = [
            answer.best == self.labels[item.input_id]
            for item in items
            if item.input_id in self.labels
            and (answer := self.recorded.reference.get(item.input_id)) is not None
            and answer.best is not None
        ]
        return Accuracy(sum(right), len(right)) if right else None

    def diagnose(self) -> tuple[Scene, Diagnosis]:
        """Diagnose the edge as it was recorded, on the inputs to choose on."""

        def work(
            connection: "duckdb.DuckDBPyConnection", watch: "Watch"
        ) -> tuple[Scene, Diagnosis]:
            scene = scene_of(self.request.lake, connection, watch, self.sides, self.replay)
            return scene, diagnose_scene(scene, _FINDERS)

        with self.show_progress("diagnosing"):
            return with_lake(self.request.lake, "a repair", work, without=self._hidden)

    def diagnose_again(self, state: Configuration) -> tuple[Scene, Diagnosis]:
        """Record a configuration on the inputs to choose on, and diagnose that."""
        self.recordings += 1
        folder = self.scratch / f"lake-{self.recordings}"
        pipeline = Pipeline(
            model=state.model,
            spec=state.spec,
            build=self.sides[0].build,
            role="edge",
            lake=folder,
            kernels=state.kernels if state.model.suffix.lower() == ".tflite" else None,
        )
        with self.show_progress("recording the changed edge") as progress:
            result = play(pipeline, Dataset(self.dataset.path, self.chosen), None, progress)
        assert result.run is not None  # recorded at level summary
        run_id, lake = result.run.run_id.hex(), Lake.open(folder)
        replay = replace(self.replay, edge_model=state.model)

        def work(
            connection: "duckdb.DuckDBPyConnection", watch: "Watch"
        ) -> tuple[Scene, Diagnosis]:
            sides = (resolve(connection, run_id, None), *self.sides[1:])
            scene = scene_of(lake, connection, watch, sides, replay)
            return scene, diagnose_scene(scene, _FINDERS)

        with self.show_progress("diagnosing the changed edge"):
            beside = (self.request.lake,)
            return with_lake(lake, "a repair", work, beside=beside, without=self._hidden)

    @property
    def _hidden(self) -> set[int]:
        return {self.recorded.key_of(item.input_id) for item in self.held_out}


def open_stand(request: Request, scratch: Path, show_progress: ShowProgress) -> Stand:
    """Read what a repair works with.

    Raises:
        UsageError: A file is missing or wrong, or not what the edge was recorded with.
        LakeError: The lake is damaged.
        MissingExtraError: DuckDB, or what reads inputs or models, is not installed.
    """
    replay = Replay(
        inputs=request.inputs,
        edge_model=request.edge_model,
        reference_model=request.reference_model,
        preprocess=request.reference_preprocess,
    )
    check_files(replay)
    dataset = open_dataset(request.inputs, label_offset=request.label_offset)
    labels = _labels(request, dataset)
    given = load_spec(request.preprocess) if request.preprocess else None

    def work(connection: "duckdb.DuckDBPyConnection", watch: "Watch") -> tuple[Sides, Recorded]:
        edge, reference = resolve_pair(
            connection, request.edge, request.reference, **request.chosen
        )
        baseline = None
        if request.baseline is not None:
            baseline, _ = resolve_pair(
                connection, request.baseline, request.reference, **request.chosen
            )
        check_model(request.edge_model, edge)
        recorded = read_recorded(WatchedCursors(connection, watch), edge, reference, replay)
        check_spec(given, recorded.edge_spec, edge.build)
        check_inputs(recorded, request.inputs, len(dataset))
        return (edge, reference, baseline), recorded

    with show_progress("reading the lake"):
        sides, recorded = with_lake(request.lake, "a repair", work)
    spec = recorded.reference_spec
    if replay.preprocess is None and spec is not None:
        path = scratch / "reference.yaml"
        path.write_text(spec.model_dump_json(), "utf-8")  # JSON is YAML
        replay = replace(replay, preprocess=path)
    chosen, held_out = halves(list(dataset), recorded.known, lambda item: labels.get(item.input_id))
    hidden = frozenset(item.input_id for item in held_out)
    return Stand(
        request=request,
        scratch=scratch,
        show_progress=show_progress,
        dataset=dataset,
        labels=labels,
        sides=sides,
        recorded=recorded,
        chosen=chosen,
        held_out=held_out,
        replay=replace(replay, held_out=hidden),
    )


def _labels(request: Request, dataset: Dataset) -> dict[str, int]:
    given = (
        load_labels(request.labels, request.label_offset) if request.labels is not None else None
    )
    return dict(match_labels(dataset, given).labels)
