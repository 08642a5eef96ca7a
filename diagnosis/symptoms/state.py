"""Does an input's answer depend on the inputs before it?"""

from collections.abc import Iterable

from exray.diagnosis.causes import Cause, Scene, Where

from .rows import Row, read

STATEFUL = (
    "ASSIGN_VARIABLE",
    "READ_VARIABLE",
    "VAR_HANDLE",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "LSTM",
    "RNN",
    "SVDF",
)
"""Operators that keep tensors from one invocation to the next."""

SAME_RUN_NSR = 1e-8
"""Difference of two equal executions in one run that rounding does not explain."""

OTHER_RUN_NSR = 1e-4
"""The same between runs, whose threads may add up in another order."""


def find_state(scene: Scene) -> Iterable[Cause]:
    """Return that the same input gave another output, on the edge and not in the reference."""
    differing = _differing(scene, scene.edge.selector)
    if not differing or _differing(scene, scene.reference.selector):
        return
    pairs = sum(row["pairs"] for row in differing)
    unequal = sum(row["differing"] for row in differing)
    operators = _stateful(scene)
    where = Where(stage="inference")
    told, fix = "", "Clear what is kept between inputs: buffers, queues, batch statistics."
    if operators:
        first = operators[0]
        where = Where(layer_index=first[0], layer=first[1], op=first[2])
        told = f", and {first[2]} keeps tensors from one invocation to the next"
        fix = "Reset the model's variables before each independent input: reset_all_variables()."
    example = max(differing, key=lambda row: row["nsr"] or 0.0)
    yield Cause(
        code="state.carried",
        what=f"'{scene.edge.build}' answers the same input differently in {unequal} of {pairs} "
        f"repetitions{told}",
        where=where,
        confidence=0.97 if operators else 0.95,
        evidence={
            "pairs": pairs,
            "differing": unequal,
            "nsr": example["nsr"],
            "input_id": example["input_id"],
            "stateful_operators": [f"{index} {op}" for index, _, op in operators],
        },
        fix=fix,
    )


def _differing(scene: Scene, selector: str) -> list[Row]:
    rows = read(scene.known, "state_repeats", selector=selector)
    return [
        row
        for row in rows
        if row["differing"]
        and (row["nsr"] or 0.0) > (SAME_RUN_NSR if row["same_run"] else OTHER_RUN_NSR)
    ]


def _stateful(scene: Scene) -> list[tuple[int, str, str]]:
    with scene.known.cursor() as cursor:
        rows = cursor.execute(
            "SELECT layer_index, layer_name, op FROM graphs"
            " WHERE model_sha256 = $sha256 AND list_contains($ops, op) ORDER BY layer_index",
            {"sha256": scene.edge.model_sha256, "ops": list(STATEFUL)},
        ).fetchall()
    return [(int(row[0]), str(row[1]), str(row[2])) for row in rows]
