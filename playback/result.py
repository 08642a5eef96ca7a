"""What a playback found: counted on the way, said at the end."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from exray.schema.records import Run

from .labels import LabelMatch
from .outcome import Accuracy, accuracy_from_counts
from .task import Task, TaskResult


@dataclass(slots=True)
class PlaybackResult:
    """What a playback found.

    Args:
        run: The run it was recorded as; None where nothing was recorded.
        frames: Inputs that went through.
        failures: Message by input id, for those that did not.
        match: Which inputs have a label.
        labelled: Inputs with a label that went through.
        correct: Those of them whose best class is the label.
        correct_top5: Those of them whose five best classes hold the label.
        impossible_labels: Labels that are no class of the model, by input id.
        classes: Classes of the model, None where that is not known.
        unscored_shape: Shape of the model's output where it is no vector of class scores.
        quantized: Elements of model inputs that were quantized.
        clamped: Those of them that lay outside of what the input holds.
        clamping: What to say of that, None where there is nothing.
        model_ms: Time of each execution, milliseconds.
        task: Judges what is no vector of class scores, None for a classifier.
        truths: Key of each input's truth of *task*, by input id.
        judged: Inputs that *task* has judged.
        plain_output_equal: Whether an uninstrumented run of the first input gave the same
            bytes; None where nothing was recorded.
    """

    run: Run | None = None
    frames: int = 0
    failures: dict[str, str] = field(default_factory=dict[str, str])
    match: LabelMatch = field(default_factory=lambda: LabelMatch({}, (), ()))
    labelled: int = 0
    correct: int = 0
    correct_top5: int = 0
    impossible_labels: dict[str, int] = field(default_factory=dict[str, int])
    classes: int | None = None
    unscored_shape: tuple[int, ...] | None = None
    quantized: int = 0
    clamped: int = 0
    clamping: str | None = None
    model_ms: list[float] = field(default_factory=list[float])
    plain_output_equal: bool | None = None
    task: Task | None = None
    truths: Mapping[str, str] = field(default_factory=dict[str, str])
    judged: int = 0

    @property
    def task_result(self) -> TaskResult | None:
        """The task's metric over all frames, None without a task or a frame that has a truth."""
        return None if self.task is None else self.task.result()

    @property
    def accuracy(self) -> Accuracy | None:
        """Top-1 accuracy over the labelled inputs, None without any."""
        return accuracy_from_counts(self.correct, self.labelled) if self.labelled else None

    @property
    def top5(self) -> Accuracy | None:
        """Top-5 accuracy over the labelled inputs, None without any."""
        return accuracy_from_counts(self.correct_top5, self.labelled) if self.labelled else None

    @property
    def latency_ms(self) -> tuple[float, float] | None:
        """Median and 99th percentile of the model's execution, milliseconds."""
        if not self.model_ms:
            return None
        median, p99 = np.percentile(self.model_ms, [50, 99])
        return float(median), float(p99)

    def count_clamped(self, clamped: int, size: int) -> None:
        """Count one model input's elements, and those that were clamped."""
        self.quantized += size
        self.clamped += clamped

    def count_answer(self, input_id: str, label: int, best: tuple[int, ...]) -> None:
        """Compare the best classes of one output, best first, with the true one."""
        self.labelled += 1
        self.correct += best[:1] == (label,)
        self.correct_top5 += label in best[:5]
        if self.classes is not None and not 0 <= label < self.classes:
            self.impossible_labels[input_id] = label

    def notes(self, *, is_part: bool = False) -> list[str]:
        """Return what the user should know of labels, a sentence each.

        Args:
            is_part: Only the first inputs were asked for, so that of course labels are
                left over.
        """
        match = self.match
        if is_part:
            match = LabelMatch(match.labels, match.inputs_without_label, ())
        said = [match.describe()] if match.describe() else []
        if self.unscored_shape is not None and self.match.labels:
            said.append(
                f"no accuracy, because the model's first output, of shape {self.unscored_shape}, is "
                "no vector of class scores"
            )
        if self.task is not None and self.frames and not self.judged:
            said.append("no metric, because no input that has a truth went through the model")
        if self.impossible_labels and self.classes is not None:
            name, label = next(iter(self.impossible_labels.items()))
            said.append(
                f"{len(self.impossible_labels)} inputs with a label above the model's last class, "
                f"{self.classes - 1}, or below 0 ('{name}': {label}): check --label-offset"
            )
        return said
