"""A whole playback: recorded inputs through one pipeline, recorded and counted."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from exray.exporters.buffer import RecordBuffer
from exray.exporters.lake import LakeExporter
from exray.instrumentation import api
from exray.instrumentation.config import Config, Level
from exray.instrumentation.frames import RecordingFrame
from exray.instrumentation.prediction import best_classes
from exray.instrumentation.recorder import Recorder
from exray.schema.errors import DataError, LakeError, UsageError
from exray.schema.records import Run

from .dataset import Dataset, Item
from .feed import model_input
from .labels import LabelMatch, Labels
from .outcome import Accuracy, accuracy_from_counts
from .runners import Runner, open_runner
from .spec import PreprocessSpec

Progress = Callable[[int, int], None]
"""Called with the inputs done and their total."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One pipeline: a model, its preprocessing, and where to record.

    Args:
        model: Model file.
        spec: Declared preprocessing, None for the default one.
        build: What to call it.
        role: ``edge`` or ``reference``.
        level: ``latency`` or ``summary``; ``off`` runs without recording.
        kernels: ``xnnpack``, ``builtin`` or ``reference``.
        threads: Threads of the runtime, None for its own default.
    """

    model: Path
    spec: PreprocessSpec | None
    build: str
    role: str
    lake: Path
    level: Level = Level.SUMMARY
    kernels: str = "xnnpack"
    threads: int | None = None


@dataclass(slots=True)
class PlaybackResult:
    """What a playback found.

    Args:
        frames: Inputs that went through.
        failures: Message by input id, for those that did not.
        accuracy: None where no input had a label.
        labels_left_over: What the labels' file and the inputs do not have in common.
        model_ms: Time of each execution, milliseconds.
        plain_output_equal: Whether an uninstrumented run of the first input gave the same
            bytes; None where nothing was recorded.
    """

    run: Run | None = None
    frames: int = 0
    failures: dict[str, str] = field(default_factory=dict[str, str])
    correct: int = 0
    labelled: int = 0
    labels_left_over: str = ""
    model_ms: list[float] = field(default_factory=list[float])
    plain_output_equal: bool | None = None

    @property
    def accuracy(self) -> Accuracy | None:
        """Top-1 accuracy over the labelled inputs."""
        return accuracy_from_counts(self.correct, self.labelled) if self.labelled else None

    @property
    def latency_ms(self) -> tuple[float, float] | None:
        """Median and 99th percentile of the model's execution, milliseconds."""
        if not self.model_ms:
            return None
        median, p99 = np.percentile(self.model_ms, [50, 99])
        return float(median), float(p99)


def play(
    pipeline: Pipeline,
    dataset: Dataset,
    labels: Labels | None,
    progress: Progress = lambda done, total: None,
) -> PlaybackResult:
    """Run every input through the pipeline and record it in the lake.

    An input that cannot be read or fed is reported and counted, and the run goes on. What
    was recorded is committed even when the playback is interrupted.

    Raises:
        ModelError: The model cannot be loaded.
        LakeError: The lake cannot be opened, or not everything could be written.
    """
    truth = _match_labels(dataset, labels)
    result = PlaybackResult(labels_left_over=truth.describe() if labels else "")
    recorder = _start(pipeline)
    try:
        runner = open_runner(pipeline.model, kernels=pipeline.kernels, threads=pipeline.threads)
        for done, item in enumerate(dataset):
            progress(done, len(dataset))
            _play_item(item, pipeline, runner, truth.labels, result, recorder)
        progress(len(dataset), len(dataset))
    finally:
        written = recorder is None or recorder.flush(600.0)
        api.shutdown()
    if not written:
        msg = (
            f"not every frame could be written to lake '{pipeline.lake}'; the log above says why. "
            "What is in the lake is whole. Free space or choose another --lake, and run again."
        )
        raise LakeError(msg)
    return result


def _match_labels(dataset: Dataset, labels: Labels | None) -> LabelMatch:
    """Return each input's class: from the CSV where there is one, else from the npz."""
    if labels is None:
        own = {item.input_id: item.label for item in dataset if item.label is not None}
        return LabelMatch(own, (), ())
    match = labels.match(item.input_id for item in dataset)
    if not match.labels:
        msg = (
            f"labels {labels.path}: none of {len(labels.by_key)} keys names an input of "
            f"{dataset.path}: {match.describe()}. Keys are input ids: paths relative to the folder."
        )
        raise UsageError(msg)
    return match


def _start(pipeline: Pipeline) -> Recorder | None:
    if pipeline.level == Level.OFF:
        return None
    config = Config(
        build=pipeline.build,
        role=pipeline.role,
        lake=pipeline.lake,
        level=pipeline.level,
        auto=True,
    )
    recorder = Recorder(config, RecordBuffer(LakeExporter(pipeline.lake)))
    if pipeline.spec is not None:
        recorder.preprocess_json = pipeline.spec.model_dump_json()
    api.shutdown()
    api.start(recorder)
    return recorder


def _play_item(
    item: Item,
    pipeline: Pipeline,
    runner: Runner,
    labels: Mapping[str, int],
    result: PlaybackResult,
    recorder: Recorder | None,
) -> None:
    label = labels.get(item.input_id)
    try:
        with api.frame(item.input_id, label) as frame:
            with api.stage("decode"):
                raw = item.load()
            frame.raw(raw)
            with api.stage("preprocess") as stage:
                value = stage.output(model_input(raw, pipeline.spec, runner.input))
            before_ns = time.perf_counter_ns()
            output = runner.run(value)
            dur_ns = time.perf_counter_ns() - before_ns
            frame.prediction(output)
    except DataError as error:
        result.failures[item.input_id] = str(error)
        return
    if isinstance(frame, RecordingFrame) and frame.inferences:
        dur_ns = frame.inferences[-1].dur_ns  # without what recording took
    result.model_ms.append(dur_ns / 1e6)
    result.frames += 1
    if result.frames == 1 and recorder is not None:
        _note_first_frame(runner, value, output, result, recorder)
    if label is not None:
        result.labelled += 1
        classes, _ = best_classes(output, runner.output_quantization)
        result.correct += int(classes[:1] == (label,))


def _note_first_frame(
    runner: Runner,
    value: np.ndarray[Any, Any],
    output: np.ndarray[Any, Any],
    result: PlaybackResult,
    recorder: Recorder,
) -> None:
    """Repeat the first input without instrumentation, and write down what came of it."""
    run = result.run = runner.recorded_run
    if run is None:
        return
    plain = runner.run_plain(value)
    result.plain_output_equal = run.plain_output_equal = plain.tobytes() == output.tobytes()
    recorder.update_run(run)
