"""What a reference computes of the first recorded inputs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from exray.diagnosis.causes import Replay
from exray.playback.feed import fit, prepare, real_values
from exray.playback.spec import load_spec
from exray.schema.errors import DataError

from .reference_tensors import open_layer_tensors
from .replay import ReferenceFrame, copied


def reference_frames(
    reference: Path, replay: Replay, counterparts: Mapping[int, int], *, limit: int
) -> tuple[ReferenceFrame, ...]:
    """Run a reference on the first inputs and keep what its layers put out.

    Args:
        reference: Its file.
        replay: Names inputs and preprocessing.
        counterparts: Reference layer by edge layer.
        limit: Inputs taken at most.

    Returns:
        A frame for each input that could be fed; none without inputs.

    Raises:
        UsageError: A file is damaged or of the wrong kind.
        MissingExtraError: What runs the reference is not installed.
    """
    if replay.inputs is None:
        return ()
    tensors = open_layer_tensors(reference)
    spec = load_spec(replay.preprocess) if replay.preprocess else None
    found: list[ReferenceFrame] = []
    for item in replay.recorded()[:limit]:
        try:
            values = prepare(item.load(), spec, tensors.input)
        except DataError:
            continue  # one that playback left out too
        read = tensors.run(fit(values, tensors.input))
        real = np.asarray(real_values(values, tensors.input), np.float64)
        found.append(copied(ReferenceFrame(real, read, counterparts), sorted(counterparts)))
    return tuple(found)
