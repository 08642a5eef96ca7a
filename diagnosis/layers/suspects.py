"""The layers that the lake's rules suspect, read as plain values."""

from collections.abc import Sequence
from dataclasses import dataclass

from exray.diagnosis.causes import Scene
from exray.diagnosis.gate import FLOOR_DB, OTHER_INPUTS_FLOOR_DB
from exray.diagnosis.sound import GOOD_DB

LOSS_DB = 16.0
"""Loss against its inputs that no layer of a sound int8 network has: at most 14 dB was seen."""

AGREE_DB = 40.0
"""SQNR that float layers of one network, and of one file on other kernels, stay above, except
where a layer amplifies what half precision leaves of its input."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A layer in the order of suspicion; fields are the columns of ``layer_culprits``."""

    suspicion: int
    layer_index: int
    layer: str
    op: str
    sqnr_db: float
    drop_db: float | None
    rank_drop_db: float | None
    baseline_sqnr_db: float | None
    worse_db: float | None
    extra_drop_db: float | None
    threshold_db: float | None
    same_inputs: bool | None
    fails: bool
    inputs_pass: bool


_COLUMNS = (
    "suspicion, layer_index, layer_name, op, sqnr_db, drop_db, rank_drop_db, baseline_sqnr_db, "
    "worse_db, extra_drop_db, threshold_db, same_inputs, fails, inputs_pass"
)


def read_suspects(scene: Scene) -> tuple[Suspect, ...]:
    """Ask the lake for the layers of the edge, the likeliest culprit first."""
    baseline = scene.baseline_selection
    selectors = {
        "edge": scene.edge.selector,
        "reference": scene.reference.selector,
        "baseline": baseline.selector if baseline else "",
    }
    with scene.known.cursor() as cursor:
        rows = cursor.execute(
            f"SELECT {_COLUMNS} FROM layer_culprits($edge, $reference, $baseline)"
            " ORDER BY suspicion",
            selectors,
        ).fetchall()
    return tuple(Suspect(*row) for row in rows)


def convicted(
    suspects: Sequence[Suspect], *, is_float: bool, good_db: float = GOOD_DB
) -> tuple[Suspect, ...]:
    """Return the suspects whose numbers alone say that something is wrong, likeliest first.

    Args:
        suspects: In the order of suspicion.
        is_float: Whether both sides compute in floats, so that nothing has to be lost.
        good_db: SQNR that is as good as any, where there is a baseline.
    """
    if any(suspect.worse_db is not None for suspect in suspects):
        if not any(_is_clearly_worse(suspect, good_db) for suspect in suspects):
            return ()
        return tuple(s for s in suspects if s.fails and s.inputs_pass)
    if is_float:
        apart = [s for s in suspects if s.sqnr_db < AGREE_DB and (s.rank_drop_db or 0.0) > 0]
        return tuple(apart[:1])
    return tuple(s for s in suspects[:1] if (s.rank_drop_db or 0.0) >= LOSS_DB)


def _is_clearly_worse(suspect: Suspect, good_db: float) -> bool:
    """Whether a layer is worse than the baseline's, and not as good as any.

    The floor is the gate's; the threshold of the lake's rules, which is lower, only locates.
    """
    before = suspect.baseline_sqnr_db
    floor_db = FLOOR_DB if suspect.same_inputs else OTHER_INPUTS_FLOOR_DB
    return before is not None and min(before, good_db + floor_db) - suspect.sqnr_db >= floor_db
