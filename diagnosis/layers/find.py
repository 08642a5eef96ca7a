"""Find the layer at fault inside the model, and say what is wrong with it.

Three witnesses: the lake's rules (where the distance jumps), the model files (whose
weights are not the reference's), and single operators replayed on the reference's
tensors (whose error is their own). A fault of the files counts only if the operator
would be better without it; a jump in the lake counts only if the replay, where there is
one, does not show that the layer is as good as it can be.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from exray.diagnosis.causes import Cause, Scene, Where
from exray.diagnosis.causes.cause import Evidence
from exray.diagnosis.lake_graphs import read_graph
from exray.diagnosis.sound import GOOD_DB, is_float
from exray.diagnosis.verdict import same_values
from exray.queries.names import tail_name
from exray.queries.select import Selection

from .kernels import CODE as KERNEL
from .kernels import differ, find_kernel_causes
from .other_model import find_other_model, sketches_of_another
from .parameter_faults import (
    CONVERSION,
    PER_TENSOR,
    QUANTIZATION,
    ParameterFault,
    comparable,
    find_fault,
)
from .ranges import OWN_RANGE, RangeFit, fit_range
from .replay import LocalError
from .suspects import Suspect, convicted, read_suspects
from .workbench import Workbench, files_of

BETTER_DB = 3.0
"""A fault counts if the operator would be better by this much without it."""

BROKEN_DB = 10.0
"""An operator alone below this computes something else: sound ones were seen down to 14."""

HARMLESS_DB = GOOD_DB + BETTER_DB
"""An operator alone above this is as good as any, however much better it might be."""

REPLAYED = 3
"""Suspects of the lake that are replayed, or all where these are sound: none is named unheard."""

FEWER_DB = 6.0
"""Recorded loss beyond the replayed one from which the recorded kernel is at fault."""


def find_layer_causes(scene: Scene) -> Iterable[Cause]:
    """Return the causes that lie in a layer, or in the model as a whole."""
    if scene.edge.model_sha256 == scene.reference.model_sha256:
        return find_kernel_causes(scene) if same_input(scene) else []
    files = files_of(scene)
    if files is None:
        return _from_lake(scene)
    bench = Workbench(scene, files)
    other = find_other_model(bench)
    if other is not None:
        return [other]
    return list(_from_files(scene, bench))


def same_input(scene: Scene) -> bool:
    """Whether both models were given the same input, as far as it was recorded."""
    places = scene.comparison.inputs
    return bool(places) and all(same_values(place) for place in places)


def _from_lake(scene: Scene) -> list[Cause]:
    if not same_input(scene):
        return []
    other = sketches_of_another(scene)
    if other is not None:
        return [other]
    suspects = read_suspects(scene)
    found = convicted(suspects, is_float=is_float(scene, scene.edge, scene.reference))
    causes = [_from_numbers(scene, suspect, None) for suspect in found]
    coarse: Mapping[int, int] = one_scale_channels(scene) if causes else {}
    channels = [coarse.get(suspect.layer_index) for suspect in found]
    return [
        cause if count is None else _per_tensor(cause, count)
        for cause, count in zip(causes, channels, strict=True)
    ]


def one_scale_channels(scene: Scene) -> Mapping[int, int]:
    """Return the convolutions whose channels share one weight scale, with their number.

    As far as the lake knows; those that were made so in the previous build too are left out.
    """

    def of(build: Selection) -> dict[tuple[int, str], int]:
        with scene.cursors.cursor() as cursor:
            graph = read_graph(cursor, build.model_sha256)
        return {
            (op.layer_index, op.layer_name): int(str(op.attributes["weight_channels"]))
            for op in graph.ops
            if op.subgraph_index == 0
            and op.attributes.get("weight_scales") == 1
            and op.attributes["weight_channels"] != 1
        }

    before = scene.baseline_selection
    known = {name for _, name in of(before)} if before is not None else set[str]()
    return {index: n for (index, name), n in of(scene.edge).items() if name not in known}


def _per_tensor(cause: Cause, channels: int) -> Cause:
    """Return a loss at weights of one scale as what it most likely is."""
    return replace(
        cause,
        code=PER_TENSOR,
        what=f"{cause.what}; its weights have one scale for all {channels} channels",
        evidence={**cause.evidence, "weight_scales": 1, "weight_channels": channels},
        fix="Quantize weights per channel.",
    )


def _from_files(scene: Scene, bench: Workbench) -> Iterator[Cause]:
    suspects = read_suspects(scene) if same_input(scene) else ()
    by_index = {suspect.layer_index: suspect for suspect in suspects}
    guilty = convicted(suspects, is_float=is_float(scene, scene.edge, scene.reference))
    named: set[int] = set()
    for index, pair in bench.pairs.items():
        fault = find_fault(*pair) if comparable(*pair) else None
        if fault is None:
            continue
        place = bench.writer(index) if fault.is_of_input else index
        cause = _from_weights(bench, (index, place), fault, by_index.get(index))
        if cause is not None and place not in named:
            named |= {index, place}
            yield cause
    for index, fit in _ranges(bench):
        if index not in named:
            named.add(index)
            yield _from_range(bench, index, fit)
    told = 0
    for position, suspect in enumerate(guilty):
        # Behind a layer that is named, one that only fails along is no cause of its own.
        if suspect.layer_index in named or (position >= REPLAYED and (named or told)):
            continue
        error = bench.local_error(suspect.layer_index)
        here_db = None if error is None else bench.whole_db(suspect.layer_index)
        if (error is None and named) or (error is not None and _is_sound(error, here_db, suspect)):
            continue
        told += 1
        yield _from_numbers(scene, suspect, error, here_db)


def _ranges(bench: Workbench) -> Iterator[tuple[int, RangeFit]]:
    """Yield the layers whose output range does not fit the reference's values."""
    for index, op in enumerate(bench.model.ops):
        if op.op not in OWN_RANGE or not op.outputs:
            continue
        info = bench.model.tensors[op.outputs[0]]
        outputs = [x for frame in bench.frames if (x := frame.output(index)) is not None]
        if info.quantization is None or not outputs:
            continue
        fit = fit_range(info.quantization, info.dtype, outputs)
        before = bench.ranges_before.get(info.name)
        was = None if before is None else fit_range(before, info.dtype, outputs)
        if fit is not None and (fit.is_broken if was is None else fit.is_worse(was)):
            yield index, fit


def _is_sound(error: LocalError, here_db: float | None, suspect: Suspect) -> bool:
    """Whether an operator, replayed, is as good as it can be and was recorded as good.

    An operator without weights cannot be made better than it is but for its range, which is
    looked at apart; it has to fail outright.

    Args:
        error: The operator's own, on the reference's inputs.
        here_db: The layer's SQNR where the whole file runs here, with the error that it inherits.
        suspect: As it was recorded.
    """
    better_db, alone_db = error.avoidable_db, error.worst_db
    is_broken = (
        alone_db < BROKEN_DB
        if better_db is None
        else better_db >= BETTER_DB and alone_db < HARMLESS_DB
    )
    if is_broken or differ(error):
        return False
    return (suspect.extra_drop_db or suspect.drop_db or 0.0) < FEWER_DB or (
        suspect.sqnr_db > _expected_db(error, here_db) - FEWER_DB
    )


def _expected_db(error: LocalError, here_db: float | None) -> float:
    """Return the SQNR that a layer should have been recorded with."""
    return error.worst_db if here_db is None else min(error.worst_db, here_db)


def _from_weights(
    bench: Workbench, places: tuple[int, int], fault: ParameterFault, suspect: Suspect | None
) -> Cause | None:
    """Return the cause that a fault of the weights is; None where it does no harm.

    Args:
        bench: Both models.
        places: The layer that suffers, and the one at fault.
        fault: What is wrong.
        suspect: What the lake says of the first.
    """
    index, place = places
    error = bench.local_error(index)
    evidence: dict[str, Evidence] = {"kind": fault.kind, **fault.evidence}
    confidence = 0.9
    if error is not None:
        evidence |= _local_evidence(error)
        avoidable = error.avoidable_db
        if avoidable is not None and avoidable < BETTER_DB:
            return None
        confidence = 0.99 if avoidable is not None else 0.95
    elif suspect is not None and not _is_seen(suspect):
        return None
    if suspect is not None:
        evidence |= _lake_evidence(suspect)
    return Cause(
        code=fault.code,
        what=f"{_named(bench, place)} {fault.what}",
        where=_where(bench, place),
        confidence=confidence,
        evidence=evidence,
        fix=fault.fix,
    )


def _is_seen(suspect: Suspect) -> bool:
    """Whether the lake shows any loss at a layer whose weights differ."""
    if suspect.worse_db is not None:
        return suspect.worse_db >= 1.0
    return (suspect.rank_drop_db or 0.0) >= 1.0 or suspect.sqnr_db < 10.0


def _from_range(bench: Workbench, index: int, fit: RangeFit) -> Cause:
    if fit.is_clipped:
        what = (
            f"clips: its integers reach {fit.covered_ratio:.0%} of the range of the reference's "
            "values"
        )
        fix = "Calibrate with inputs that show the whole range of this layer."
    else:
        what = f"wastes its range: its step is {fit.steps_ratio:.1f} times what the values need"
        fix = "Calibrate without the outliers that stretch this layer's range."
    return Cause(
        code="quantization.range",
        what=f"{_named(bench, index)} {what}",
        where=_where(bench, index),
        confidence=0.95,
        evidence={
            "kind": "clipped range" if fit.is_clipped else "wasted range",
            "kept_sqnr_db": round(fit.kept_db, 2),
            "rounding_sqnr_db": round(fit.rounding_db, 2),
            "ideal_sqnr_db": round(fit.ideal_db, 2),
            "steps_ratio": round(fit.steps_ratio, 3),
            "covered_ratio": round(fit.covered_ratio, 4),
            "clipped_ratio": round(fit.clipped_ratio, 6),
        },
        fix=fix,
    )


def _from_numbers(
    scene: Scene, suspect: Suspect, error: LocalError | None, here_db: float | None = None
) -> Cause:
    """Return a cause of which only the place is known."""
    edge, reference = scene.comparison.edge.build, scene.comparison.reference.build
    sides = (scene.edge, scene.reference)
    code = CONVERSION if all("float" in side.precision for side in sides) else QUANTIZATION
    loss = f"{suspect.sqnr_db:.1f} dB SQNR against '{reference}'"
    if suspect.worse_db is not None:
        loss += f", {suspect.worse_db:.1f} dB worse than the baseline"
    elif suspect.drop_db is not None:
        loss += f", {suspect.drop_db:.1f} dB below its inputs"
    evidence: dict[str, Evidence] = dict(_lake_evidence(suspect))
    confidence = 0.8 if suspect.worse_db is not None else 0.65
    if error is not None:
        evidence |= _local_evidence(error)
        if here_db is not None:
            evidence["whole_sqnr_db"] = round(here_db, 2)
        expected_db = _expected_db(error, here_db)
        is_better = expected_db - suspect.sqnr_db > FEWER_DB
        if differ(error):
            code = KERNEL
            loss += f", and kernel families differ about it by {error.kernels_db:.1f} dB"
        elif is_better and (suspect.drop_db or 0.0) > FEWER_DB:
            code = KERNEL
            loss += f", where it is at {expected_db:.1f} dB on kernels here"
        confidence = 0.9
    return Cause(
        code=code,
        what=f"layer {suspect.layer_index} '{tail_name(suspect.layer)}' of '{edge}' is the "
        f"first to part: {loss}",
        where=Where(layer_index=suspect.layer_index, layer=suspect.layer, op=suspect.op),
        confidence=confidence,
        evidence=evidence,
        fix="Give --inputs, --edge-model, --reference-model and --preprocess, so that the layer's "
        "weights and its own error can be seen."
        if error is None
        else "Keep this layer in float, or convert it again.",
    )


def _lake_evidence(suspect: Suspect) -> dict[str, Evidence]:
    found = {
        "sqnr_db": suspect.sqnr_db,
        "drop_db": suspect.drop_db,
        "baseline_sqnr_db": suspect.baseline_sqnr_db,
        "worse_than_baseline_db": suspect.worse_db,
    }
    evidence: dict[str, Evidence] = {"suspicion": suspect.suspicion}
    evidence |= {name: round(value, 2) for name, value in found.items() if value is not None}
    return evidence


def _local_evidence(error: LocalError) -> dict[str, Evidence]:
    found: dict[str, Evidence] = {
        f"local_{family}_sqnr_db": round(db, 2) for family, db in error.local_db.items()
    }
    if error.sound_db is not None:
        found["local_sound_sqnr_db"] = round(error.sound_db, 2)
    return found | {"frames_replayed": error.frames}


def _where(bench: Workbench, index: int) -> Where:
    op = bench.model.ops[index]
    name = bench.model.tensors[op.outputs[0]].name
    return Where(layer_index=index, layer=name, op=op.op)


def _named(bench: Workbench, index: int) -> str:
    op = bench.model.ops[index]
    return f"layer {index} '{tail_name(bench.model.tensors[op.outputs[0]].name)}' ({op.op})"
