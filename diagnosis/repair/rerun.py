"""Recorded inputs run through a configuration: what it answers, and what it puts out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exray.instrumentation.patching import untraced
from exray.instrumentation.prediction import best_classes, names_classes
from exray.playback.dataset import Item
from exray.playback.feed import Array, fit, prepare
from exray.playback.progress import Progress, ignore_progress
from exray.playback.runners import Runner, plan_runner
from exray.schema.errors import DataError
from exray.schema.identity import input_key, sketch_family
from exray.schema.layout import canonical
from exray.schema.quantization import dequantize
from exray.schema.records import Quantization
from exray.schema.sketch import sketch

from .configuration import Configuration


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What came of one input.

    Args:
        best: The best class, None where the output names none.
        count: Elements of the output, 0 where it is not known.
        sketch: Of the output in real units, 256 sums or fewer; None where it is not known.
        given: The same of the model's input.
    """

    best: int | None
    count: int = 0
    sketch: NDArray[np.float64] | None = None
    given: NDArray[np.float64] | None = None


Answers = Mapping[str, Answer]
"""Answers by input id; an input that could not be fed has none."""


def rerun(
    configuration: Configuration,
    items: Sequence[Item],
    key_of: Callable[[str], int] = input_key,
    progress: Progress = ignore_progress,
) -> Answers:
    """Run inputs through a configuration; nothing is recorded.

    Args:
        configuration: What to run.
        items: The inputs, in their order.
        key_of: Returns the key under which the lake knows an input.
        progress: Told how far the work is.

    Raises:
        ModelError: The runtime refuses the model.
        UsageError: The spec does not fit the model.
        MissingExtraError: What the model or the inputs need is not installed.
    """
    load = plan_runner(configuration.model, kernels=_kernels(configuration))
    with untraced():
        runner = load()
        found: dict[str, Answer] = {}
        for done, item in enumerate(items):
            progress(done, len(items))
            if configuration.resets and found:
                # A new one: resetting variables leaves resource variables as they are.
                runner = load()
            try:
                family = sketch_family(key_of(item.input_id))
                found[item.input_id] = _answer(configuration, item, runner, family)
            except DataError:
                continue  # what playback leaves out too
        progress(len(items), len(items))
    return found


def _answer(configuration: Configuration, item: Item, runner: Runner, family: int) -> Answer:
    value = fit(prepare(item.load(), configuration.spec, runner.input), runner.input)
    output = runner.run(value)
    given = canonical(_real(value, runner.input.quantization), runner.input.layout)
    return Answer(
        _best(output, runner, configuration.class_shift),
        output.size,
        sketch(_real(output, runner.output_quantization), family),
        sketch(given, family),
    )


def _best(output: Array, runner: Runner, shift: int) -> int | None:
    if not names_classes(output):
        return None
    classes, _ = best_classes(output, runner.output_quantization)
    return classes[0] + shift if classes else None


def _real(values: Array, quantization: Quantization | None) -> Array:
    if values.dtype.kind in "iu":
        return dequantize(values, quantization, np.float64)
    return values


def _kernels(configuration: Configuration) -> str | None:
    return configuration.kernels if configuration.model.suffix.lower() == ".tflite" else None


Rerun = Callable[[Configuration, Sequence[Item]], Answers]
"""Runs inputs through a configuration, and shows how far it is."""
