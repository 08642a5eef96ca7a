"""One file, two ways of computing it: whether its kernels differ more than kernels do."""

from exray.diagnosis.causes import Cause, Scene, Where
from exray.diagnosis.sound import good_db, is_float
from exray.queries.names import tail_name

from .replay import LocalError
from .suspects import convicted, read_suspects

CODE = "kernel.layer"

KERNELS_DB = 25.0
"""SQNR of one operator on two kernel families that sound ones stay above: 39 dB was seen."""


def find_kernel_causes(scene: Scene) -> list[Cause]:
    """Return the layers of one model file whose results differ beyond rounding.

    Float kernels differ in the order of sums; integer kernels round some elements to the
    neighbouring step, which piles up over the layers. Neither makes one layer lose much
    against its own inputs.
    """
    found = convicted(
        read_suspects(scene),
        is_float=is_float(scene, scene.edge),
        good_db=good_db(scene, scene.baseline_selection or scene.reference),
    )
    ours, theirs = scene.edge, scene.reference
    sides = f"{ours.kernels} on {ours.device} and {theirs.kernels} on {theirs.device}"
    return [
        Cause(
            code=CODE,
            what=f"layer {s.layer_index} '{tail_name(s.layer)}' ({s.op}) of one file differs "
            f"between {sides} beyond rounding: {s.sqnr_db:.1f} dB SQNR, {s.drop_db or 0.0:.1f} dB "
            "below its inputs",
            where=Where(layer_index=s.layer_index, layer=s.layer, op=s.op),
            confidence=0.85 if s.worse_db is not None else 0.75,
            evidence={
                "sqnr_db": round(s.sqnr_db, 2),
                "drop_db": round(s.drop_db or 0.0, 2),
                "edge_kernels": ours.kernels,
                "reference_kernels": theirs.kernels,
                "suspicion": s.suspicion,
            },
            fix="Run this operator on another kernel family, and report it to the kernel's makers "
            "with the operator and its input alone (--repro).",
        )
        for s in found
    ]


def differ(error: LocalError) -> bool:
    """Whether two kernel families disagree about one operator more than rounding explains."""
    return error.kernels_db is not None and error.kernels_db < KERNELS_DB
