"""A whole playback: recorded inputs through one pipeline, recorded and counted."""

import time
from dataclasses import dataclass
from pathlib import Path

from exray.exporters.buffer import RecordBuffer
from exray.exporters.lake import LakeExporter
from exray.instrumentation import api
from exray.instrumentation.config import Config, Level, resolve
from exray.instrumentation.frames import RecordingFrame
from exray.instrumentation.prediction import best_classes, names_classes
from exray.instrumentation.recorder import Recorder
from exray.lake.layout import MARKER, remove_unused
from exray.schema.errors import DataError, LakeError, UsageError
from exray.schema.layout import canonical
from exray.schema.records import Quantization

from .audio import check_rate
from .dataset import Dataset, Item
from .feed import Array, check_spec, clamped_count, clamping_note, fit, prepare, real_values
from .labels import LabelMatch, Labels
from .progress import Progress, ignore_progress
from .result import PlaybackResult
from .runners import Runner, plan_runner
from .spec import PreprocessSpec
from .task import PREFIX, Task

LAST_WRITE_S = 600.0
"""Longest wait for the last records to be written: a slow disk, not a broken one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One pipeline: a model, its preprocessing, and where to record.

    Args:
        model: Model file.
        spec: Declared preprocessing, None for the default one.
        build: What to call it.
        role: ``edge`` or ``reference``.
        lake: Folder of the lake; untouched at level ``off``.
        level: ``latency``, ``summary``, ``distribution`` or ``full``; ``off`` runs without recording.
        layers: Selectors of the layers to summarise, joined with commas, ``none`` for none;
            None for ``EXRAY_LAYERS``, else all.
        privacy: ``open`` or ``closed``; None for ``EXRAY_PRIVACY``, else ``open``.
        kernels: ``xnnpack``, ``builtin`` or ``reference``, for .tflite; None for the first.
        threads: Threads of the runtime, for .tflite; None for its own default.
    """

    model: Path
    spec: PreprocessSpec | None
    build: str
    role: str
    lake: Path
    level: Level = Level.SUMMARY
    layers: str | None = None
    privacy: str | None = None
    kernels: str | None = None
    threads: int | None = None


def play(
    pipeline: Pipeline,
    dataset: Dataset,
    labels: Labels | None,
    progress: Progress = ignore_progress,
    task: Task | None = None,
) -> PlaybackResult:
    """Run every input through the pipeline and record it in the lake.

    An input that cannot be read or fed is reported and counted, and the run goes on. What
    was recorded is committed even when the playback is interrupted.

    Args:
        pipeline: What to run.
        dataset: The inputs.
        labels: Their classes; None for those that the dataset brings, if any.
        progress: Told how far the work is.
        task: Judges what is no vector of class scores, such as boxes.

    Raises:
        UsageError: Build or role is none, no label matches, the spec does not fit the model,
            or it shows the model a part of each image alone while a task is judged.
        ModelError: The model cannot be loaded.
        LakeError: The lake cannot be opened, or not everything could be written.
        MissingExtraError: What the model, the images or the lake need is not installed.
    """
    config = resolve(
        build=pipeline.build,
        role=pipeline.role,
        lake=pipeline.lake,
        level=str(pipeline.level),
        sampling="all",
        layers=pipeline.layers,
        privacy=pipeline.privacy,
        default_privacy="open",
    )
    result = PlaybackResult(match=match_labels(dataset, labels), task=task)
    if task is not None:
        _check_whole(pipeline.spec)
        _match_truths(dataset, task, result)
    load = plan_runner(pipeline.model, kernels=pipeline.kernels, threads=pipeline.threads)
    with _Recording(config, pipeline.spec):
        runner = load()
        if pipeline.spec is not None:
            check_spec(pipeline.spec, runner.input)
        try:
            for done, item in enumerate(dataset):
                progress(done, len(dataset))
                _play_item(item, pipeline.spec, runner, result)
            progress(len(dataset), len(dataset))
        finally:
            # Inputs that never reached the model are of its run all the same.
            result.run = runner.open_run()
    if result.quantized:
        result.clamping = clamping_note(result.clamped / result.quantized, runner.input)
    return result


def match_labels(dataset: Dataset, labels: Labels | None) -> LabelMatch:
    """Return each input's class: from the CSV where there is one, else from the npz.

    Raises:
        UsageError: None of the CSV's labels is of an input.
    """
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


def _match_truths(dataset: Dataset, task: Task, result: PlaybackResult) -> None:
    ids = [item.input_id for item in dataset]
    result.truths = task.match(ids)
    result.match = LabelMatch.of(result.match.labels, ids, task.truths, result.truths)
    if not result.truths:
        msg = (
            f"none of the {len(task.truths)} truths is of an input of {dataset.path}: "
            f"{result.match.describe()}. Boxes go by the image's file_name in the annotations, masks by "
            "the name of its file without ending."
        )
        raise UsageError(msg)


def _check_whole(spec: PreprocessSpec | None) -> None:
    """Refuse a crop: where an object of the image is in the model's input would be guessed."""
    image = None if spec is None else spec.image
    if image is not None and image.crop != "none":
        msg = (
            "boxes and masks are held against whole images, and the preprocessing crops them. "
            "Declare `crop: none`, or leave out --labels."
        )
        raise UsageError(msg)


class _Recording:
    """The process's recorder while a playback runs; nothing at level ``off``."""

    def __init__(self, config: Config, spec: PreprocessSpec | None) -> None:
        self._config = config
        self._spec = spec
        self._buffer: RecordBuffer | None = None
        self._is_new = not (config.lake / MARKER).exists()

    def __enter__(self) -> None:
        api.shutdown()
        if self._config.level == Level.OFF:
            return
        self._buffer = RecordBuffer(
            LakeExporter(self._config.lake, full_ring_bytes=self._config.full_ring_bytes)
        )
        recorder = Recorder(self._config, self._buffer)
        if self._spec is not None:
            recorder.preprocess_json = self._spec.model_dump_json()
        api.start(recorder)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        buffer = self._buffer
        if buffer is None:
            return
        is_written = buffer.flush(LAST_WRITE_S) and not buffer.dropped_frames
        api.shutdown()
        if error is not None and self._is_new:
            remove_unused(self._config.lake)
        if not is_written and error is None:
            msg = (
                f"not every frame could be written to lake '{self._config.lake}'; the warning "
                "above says why. What is in the lake is whole. Free space or choose another "
                "--lake, and run again."
            )
            raise LakeError(msg)


def _play_item(
    item: Item, spec: PreprocessSpec | None, runner: Runner, result: PlaybackResult
) -> None:
    label = result.match.labels.get(item.input_id)
    try:
        with api.frame(item.input_id, label) as frame:
            with api.stage("decode"):
                raw = item.load()
            if spec is not None and spec.audio is not None:
                check_rate(item.sample_rate_hz(), spec.audio)
            frame.raw(raw)
            with api.stage("preprocess") as stage:
                values = prepare(raw, spec, runner.input)
                # Real values in canonical layout, so that any two pipelines can be compared.
                real = real_values(values, runner.input)
                stage.output(canonical(real, runner.input.layout))
                value = fit(values, runner.input)
            result.count_clamped(clamped_count(values, runner.input), values.size)
            before_ns = time.perf_counter_ns()
            output = runner.run(value)
            dur_ns = time.perf_counter_ns() - before_ns
            if result.task is not None:
                _judge(frame, item.input_id, runner, raw, result)
            elif names_classes(output):
                frame.prediction(output)
    except DataError as error:
        result.failures[item.input_id] = str(error)
        return
    if isinstance(frame, RecordingFrame) and frame.inferences:
        dur_ns = frame.inferences[-1].dur_ns  # without what recording took
    result.model_ms.append(dur_ns / 1e6)
    result.frames += 1
    if result.task is not None:
        pass
    elif not names_classes(output):
        result.unscored_shape = output.shape
    elif label is not None:
        best, _ = best_classes(output, runner.output_quantization)
        result.classes = _class_count(output, runner.output_quantization)
        result.count_answer(item.input_id, label, best)
    if result.frames == 1:
        _repeat_plain(runner, value, output, result)


def _judge(
    frame: object, input_id: str, runner: Runner, raw: Array, result: PlaybackResult
) -> None:
    """Judge one frame that has a truth, and record its score with it where it is recorded."""
    task, truth = result.task, result.truths.get(input_id)
    if task is None or truth is None:
        return
    if raw.ndim < 2:
        msg = f"boxes and masks are of images; this input has shape {raw.shape}"
        raise DataError(msg)
    outputs = [canonical(output, runner.input.layout) for output in runner.outputs()]
    score = task.score(truth, outputs, (int(raw.shape[0]), int(raw.shape[1])))
    result.judged += 1
    if score is not None and isinstance(frame, RecordingFrame):
        frame.custom(PREFIX + task.metric, score)


def _class_count(output: Array, quantization: Quantization | None) -> int | None:
    """Return how many classes an output speaks of, as `best_classes` reads it."""
    if output.size > 1:
        return output.size
    names_class = output.dtype.kind in "iu" and quantization is None
    return None if names_class else 2


def _repeat_plain(runner: Runner, value: Array, output: Array, result: PlaybackResult) -> None:
    """Run the first input again without instrumentation, and write down what came of it."""
    recorder, run = api.current_recorder(), runner.open_run()
    if recorder is None or run is None:
        return
    plain = runner.run_plain(value)
    result.plain_output_equal = run.plain_output_equal = plain.tobytes() == output.tobytes()
    recorder.update_run(run)
