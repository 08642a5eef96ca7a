"""Repaired model files, where a cause lies in a layer of a .tflite file."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from exray.diagnosis.causes import Cause, Scene
from exray.diagnosis.layers.parameters import Parameters
from exray.diagnosis.layers.reference_tensors import open_layer_tensors
from exray.diagnosis.layers.sound_op import restore
from exray.diagnosis.layers.tflite_model import TfliteModel
from exray.diagnosis.layers.workbench import Workbench, files_of
from exray.playback.feed import fit, prepare
from exray.playback.spec import load_spec
from exray.queries.names import tail_name
from exray.schema.errors import DataError

from .change import Change
from .configuration import Configuration
from .tflite_edits import compute_in_float, recalibrate

CODES = (
    "conversion.layer",
    "quantization.layer",
    "quantization.range",
    "quantization.per_tensor",
    "quantization.bias_saturation",
    "kernel.layer",
)
"""Codes of causes that another model file may mend."""

RANGE, PER_TENSOR = "quantization.range", "quantization.per_tensor"

CALIBRATION_INPUTS = 64
"""Inputs that a range is calibrated on, at most."""

Edit = Callable[[TfliteModel, Any], bool]
"""Edits a file's tables; False, and nothing is edited, where there is nothing to edit."""

Place = tuple[int, bool]
"""A layer, and whether its output's range is meant instead of its weights."""

Ends = Mapping[int, tuple[float, float]]


def model_changes(scene: Scene, causes: Sequence[Cause]) -> Iterable[Change]:
    """Yield changes of the edge's model file, the smallest first.

    Args:
        scene: Edge against reference; names the edge's model file, and the reference's if
            weights are to be taken from it.
        causes: Causes of `CODES`, the likeliest first.
    """
    model = scene.replay.edge_model
    if model is None or model.suffix.lower() != ".tflite" or not causes:
        return
    files = files_of(scene)
    bench = None if files is None else Workbench(scene, files)
    first = causes[0]
    alike = [cause for cause in causes if cause.code == first.code]
    if bench is not None:
        for chosen in _distinct([causes[:1], alike, list(causes)]):
            places = [(c.where.layer_index or 0, c.code == RANGE) for c in chosen]
            yield _remade(scene, bench, chosen, _places(chosen), places)
        # A fault of the whole file is named where it does most harm, and is elsewhere too.
        coarse = [(i, False) for i, (own, _) in bench.pairs.items() if own.per_tensor]
        if first.code == PER_TENSOR and len(coarse) > len(alike):
            what = f"all {len(coarse)} layers with one scale for all channels"
            yield _remade(scene, bench, alike, what, coarse)
        everywhere = [(i, False) for i in bench.pairs]
        yield _remade(scene, bench, causes, f"all {len(everywhere)} layers", everywhere)
    what = f"compute {_places(causes[:1])} in floats"
    yield _change(what, causes[:1], partial(_in_float, bench, causes[0]))


def _distinct(groups: Sequence[Sequence[Cause]]) -> list[Sequence[Cause]]:
    found: list[Sequence[Cause]] = []
    for group in groups:
        if all(len(group) != len(other) for other in found):  # each holds those before it
            found.append(group)
    return found


def _change(what: str, causes: Sequence[Cause], edit: Edit) -> Change:
    return Change(what, tuple(causes), partial(_apply, edit))


def _apply(edit: Edit, old: Configuration, folder: Path) -> Configuration:
    """Write the edited file; the same configuration where there is nothing to edit."""
    model = TfliteModel.load(old.model)
    objects = model.edited()
    if not edit(model, objects):
        return old
    content = model.pack(objects)
    path = folder / f"{hashlib.sha256(content).hexdigest()[:16]}.tflite"
    path.write_bytes(content)
    return replace(old, model=path)


def _remade(
    scene: Scene, bench: Workbench, causes: Sequence[Cause], what: str, places: Sequence[Place]
) -> Change:
    edit = partial(_remake, scene, bench, places)
    return _change(f"make {what} again from the reference", causes, edit)


def _remake(
    scene: Scene, bench: Workbench, places: Sequence[Place], model: TfliteModel, objects: Any
) -> bool:
    """Take weights from the reference, and ranges from what it computes."""
    ends = _ends(scene, bench, [index for index, is_range in places if is_range])
    done = False
    for index, is_range in places:
        reference = _theirs(bench, index)
        if is_range and index in ends:
            done |= recalibrate(model, objects, index, ends[index], partial(_theirs, bench))
        elif not is_range and reference is not None:
            done |= restore(model, objects, index, reference)
    return done


def _in_float(bench: Workbench | None, cause: Cause, model: TfliteModel, objects: Any) -> bool:
    index = cause.where.layer_index
    if index is None:
        return False
    reference = None if bench is None else _theirs(bench, index)
    return compute_in_float(model, objects, index, reference)


def _theirs(bench: Workbench, index: int) -> Parameters | None:
    pair = bench.pairs.get(index)
    return None if pair is None else pair[1]


def _ends(scene: Scene, bench: Workbench, layers: Sequence[int]) -> Ends:
    """Return the least and greatest value that the reference computes at edge layers."""
    replay = scene.replay
    if not layers or replay.reference_model is None:
        return {}
    tensors = open_layer_tensors(replay.reference_model)
    spec = load_spec(replay.preprocess) if replay.preprocess else None
    found: dict[int, tuple[float, float]] = {}
    for item in replay.recorded()[:CALIBRATION_INPUTS]:
        try:
            read = tensors.run(fit(prepare(item.load(), spec, tensors.input), tensors.input))
        except DataError:
            continue
        for layer in layers:
            counterpart = bench.counterparts.get(layer)
            values = None if counterpart is None else read(counterpart)
            if values is not None and values.size:
                low, high = found.get(layer, (0.0, 0.0))
                found[layer] = min(low, float(values.min())), max(high, float(values.max()))
    return found


def _places(causes: Sequence[Cause]) -> str:
    if len(causes) > 1:
        return f"{len(causes)} layers"
    where = causes[0].where
    return f"layer {where.layer_index} '{tail_name(where.layer or '')}'"
