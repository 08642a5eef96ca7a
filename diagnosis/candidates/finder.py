"""Find what went wrong before the model."""

import json
from collections.abc import Iterable, Mapping
from importlib.util import find_spec

from exray.diagnosis.causes import Cause, Scene, Where
from exray.diagnosis.verdict import same_values


def find_preprocessing(scene: Scene) -> Iterable[Cause]:
    """Return what the edge does to its inputs that the reference does not.

    With the recorded inputs, alternatives of the declared preprocessing are tried on them;
    from the lake alone, only a change of all values, or of the channels, can be told.
    """
    is_same = all(same_values(place) for place in scene.comparison.inputs)
    if find_spec("pydantic") is None:  # what reads specs may be absent beside a lake
        if is_same:
            return []
        return [_advice("exray lacks what reads a spec", "Install 'exray[playback]'.")]
    from .inputs import Inputs, declared_spec, recorded_spec
    from .judging import recorded_causes, replayed_causes
    from .observed import read_observed

    spec = declared_spec(scene.cursors, scene.reference, scene.replay)
    # Token ids are names: near ones are as wrong as any.
    if is_same and (spec is None or spec.medium != "text"):
        return []
    frames = read_observed(scene.known, scene.edge.selector, scene.reference.selector)
    if scene.replay.inputs is not None:
        inputs = Inputs.open(scene.replay)
        causes = replayed_causes(inputs.known(frames), spec, inputs.load)
        if causes:
            return causes
    if is_same:
        return []
    declared = recorded_spec(scene.cursors, scene.edge.run_ids)
    differing = declared.differences(spec) if declared is not None and spec is not None else {}
    return recorded_causes(frames, spec) or [_unknown(scene, differing)]


def _unknown(scene: Scene, differing: Mapping[str, tuple[object, object]]) -> Cause:
    """Return what would tell more, where nothing explains the difference.

    Args:
        scene: What is diagnosed.
        differing: What edge and reference declare differently, by its key.
    """
    if differing:
        said = "; ".join(
            f"{key}: edge {json.dumps(edge)}, reference {json.dumps(reference)}"
            for key, (edge, reference) in differing.items()
        )
        what = f"edge and reference declare different preprocessing ({said}), and differ before the model"
    elif scene.replay.inputs is None:
        what = "which preprocessing made the edge's model input cannot be told from the lake alone"
    else:
        what = "no alternative of the declared preprocessing makes the edge's model input"
    if scene.replay.inputs is None:
        fix = "Diagnose again with --inputs DIR and, if the reference declares none, --preprocess."
    else:
        fix = "See that --inputs and --preprocess are the reference's, then look at the edge's own."
    return _advice(what, f"Declare the reference's on the edge. {fix}" if differing else fix)


def _advice(what: str, fix: str) -> Cause:
    where = Where(stage="preprocess")
    return Cause("preprocessing.unknown", what, where, 0.0, {}, fix, fails=False)
