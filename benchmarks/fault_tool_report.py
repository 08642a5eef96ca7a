"""What other tools named of the same faults, as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from fault_report import rate

Line = dict[str, Any]


TOOLS = """\
## Other tools, on the same faults

Written from what `benchmarks/fault_tools.py` kept: a sample of the faults in the held-out networks'
int8 files, each made in the form that a tool takes, with the build before beside it for all of them.
The layers of a tool are those worst by its own number. Those numbers are compared with a limit, since
no tool but whylogs draws a conclusion:

- *QuantizationDebugger* (`tf.lite.experimental`): the layer with the largest RMSE / scale against its
  float twin; an alarm is one above 0.7, as its guide has it, that was below in the build before. It needs
  the model before conversion: a debug file is made of that, and the fault planted there.
- *qdq_loss_debug* (`onnxruntime.quantization`): the activation with the lowest SQNR against the float
  model, both converted by tf2onnx; an alarm is 3 dB less than in the build before.
- *whylogs*: Kolmogorov-Smirnov between profiles of each layer's output and those of the build before; an
  alarm is whylogs' own *drift* (p below 0.05). Of equal p the earliest layer counts as worst.

Seconds are those of running the build and judging it; loading a tool is not counted.
"""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a tool says of a build.

    Args:
        is_detected: Whether something is wrong.
        layers: The first three to look at.
    """

    is_detected: bool
    layers: list[int]


def tool_tables(lines: Sequence[Line]) -> list[str]:
    """Return the tables in Markdown."""
    told = [
        "| tool | detected | right layer, first | of 3 | false alarms on controls | seconds, median |",
        "|---|---|---|---|---|--:|",
    ]
    left: list[str] = []
    for name in dict.fromkeys(name for line in lines for name in line["tools"]):
        answers = [(line, line["tools"][name]) for line in lines if name in line["tools"]]
        judged = [(line, answer) for line, answer in answers if "skipped" not in answer]
        reasons = [answer["skipped"] for _, answer in answers if "skipped" in answer]
        left += [f"{name}: {reasons.count(why)} left out, {why}." for why in dict.fromkeys(reasons)]
        if judged:
            told.append(f"| {name} | {' | '.join(_cells(judged))} |")
    return [*told, "", *left] if left else told


def _cells(judged: Sequence[tuple[Line, Line]]) -> list[str]:
    faults = [(line["layer"], answer) for line, answer in judged if line["layer"] is not None]
    controls = [answer for line, answer in judged if line["layer"] is None]
    return [
        rate(sum(answer["detected"] for _, answer in faults), len(faults)),
        *(
            rate(sum(layer in answer["layers"][:first] for layer, answer in faults), len(faults))
            for first in (1, 3)
        ),
        rate(sum(answer["detected"] for answer in controls), len(controls)),
        f"{median(answer['seconds'] for _, answer in judged):.2f}",
    ]
