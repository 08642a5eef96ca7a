"""What the lake holds of the two sides of a repair."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from exray.diagnosis.candidates.inputs import Inputs, declared_spec, recorded_spec
from exray.diagnosis.causes import Replay
from exray.playback.spec import PreprocessSpec
from exray.schema.errors import UsageError
from exray.schema.identity import input_key

from .rerun import Answer

if TYPE_CHECKING:
    from exray.queries.interrupt import Cursors
    from exray.queries.select import Selection


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the lake holds of edge and reference, input by input.

    Args:
        edge: The edge's answers by input id.
        reference: The reference's.
        keys: Key under which the lake knows an input, by input id.
        edge_spec: What the edge declared when it was recorded, None where it declared none.
        reference_spec: What the reference declares.
    """

    edge: Mapping[str, Answer]
    reference: Mapping[str, Answer]
    keys: Mapping[str, int]
    edge_spec: PreprocessSpec | None
    reference_spec: PreprocessSpec | None

    @property
    def known(self) -> frozenset[str]:
        """Inputs that both sides saw."""
        return frozenset(self.edge) & frozenset(self.reference)

    def key_of(self, input_id: str) -> int:
        """Return the key under which the lake knows an input."""
        return self.keys.get(input_id) or input_key(input_id)


def read_recorded(
    cursors: "Cursors", edge: "Selection", reference: "Selection", replay: Replay
) -> Recorded:
    """Ask the lake for what both sides answered to the recorded inputs.

    Args:
        cursors: Makes connections to the lake.
        edge: Runs of the edge.
        reference: Runs of the reference.
        replay: Names the inputs, and the reference's spec if the user has it.

    Raises:
        UsageError: There are no inputs, or the reference's spec cannot be used.
    """
    names = {key: item.input_id for key, item in Inputs.open(replay).items.items()}
    keys: dict[str, int] = {}
    sides: list[dict[str, Answer]] = []
    for selection in (edge, reference):
        answers: dict[str, Answer] = {}
        for key, answer in _outputs(cursors, selection):
            if key in names:
                answers[names[key]] = answer
                keys[names[key]] = key
        sides.append(answers)
    return Recorded(
        edge=sides[0],
        reference=sides[1],
        keys=keys,
        edge_spec=recorded_spec(cursors, edge.run_ids),
        reference_spec=declared_spec(cursors, reference, replay),
    )


def check_model(model: Path, edge: "Selection") -> None:
    """Refuse a model file that is not the one recorded.

    Raises:
        UsageError: It is another one.
    """
    if not model.is_file():  # a SavedModel
        return
    found = hashlib.sha256(model.read_bytes()).hexdigest()
    if edge.model_sha256 and found != edge.model_sha256:
        msg = (
            f"--edge-model '{model}' is not the model that '{edge.build}' ran: its SHA-256 begins "
            f"{found[:12]}, expected {edge.model_sha256[:12]}. Pass the file of that build."
        )
        raise UsageError(msg)


def check_spec(given: PreprocessSpec | None, recorded: PreprocessSpec | None, build: str) -> None:
    """Refuse a spec that is not the one the edge was recorded with.

    Raises:
        UsageError: They differ.
    """
    if recorded is None or (given or PreprocessSpec()) == recorded:
        return
    names = (given or PreprocessSpec()).differences(recorded)
    msg = (
        f"--preprocess is not what '{build}' ran: {', '.join(names)} differ from what was recorded. "
        "Pass the edge's own spec as it was then; the reference's is read from the lake, or from "
        "--reference-preprocess."
    )
    raise UsageError(msg)


def check_inputs(recorded: Recorded, inputs: Path, count: int) -> None:
    """Refuse inputs of which the lake holds nothing to compare.

    Args:
        recorded: What it holds of them.
        inputs: Where they are.
        count: How many.

    Raises:
        UsageError: Edge or reference ran on none of them.
    """
    if recorded.known:
        return
    sides = {"edge": len(recorded.edge), "reference": len(recorded.reference)}
    ran = " and ".join(f"{side} on {seen}" for side, seen in sides.items())
    msg = (
        f"--inputs '{inputs}': edge and reference both ran on none of these {count} inputs ({ran}). Pass "
        "those that they were recorded with; where names are keyed, set EXRAY_FLEET_SECRET."
    )
    raise UsageError(msg)


def _outputs(cursors: "Cursors", selection: "Selection") -> list[tuple[int, Answer]]:
    with cursors.cursor() as cursor:
        rows = cursor.execute(
            "SELECT input_key, top1, count, sketch, input_sketch FROM outcome_outputs($selector)",
            {"selector": selection.selector},
        ).fetchall()
    return [
        (
            int(key),
            Answer(
                None if best is None else int(best),
                int(count or 0),
                None if sketch is None else np.array(sketch, np.float64),
                None if given is None else np.array(given, np.float64),
            ),
        )
        for key, best, count, sketch, given in rows
    ]
