"""Is any layer worse than in the previous build? One test over all layers and frames.

Losses below a floor are let be, however sure they are: another calibration of equal worth
moves layers by a decibel or two, and other inputs by more. The floor is 1 dB where both
builds ran the same model file with the same kernels on the same inputs, 6 dB where their inputs
differ, 3 dB otherwise. A layer that keeps what is as good as any needs no repair, however equal
to the reference it was before.
"""

from dataclasses import dataclass

import numpy as np

from .causes import Scene
from .layer_frames import FrameLayer, LayerFrames, read_layer_frames
from .sound import GOOD_DB, good_db
from .statistics import MaxTest, frames_to_see, max_test_paired, max_test_unpaired
from .statistics.frames import FEWEST

SAME_FLOOR_DB = 1.0
"""Least loss that counts where nothing but the build changed."""

FLOOR_DB = 3.0
"""Least loss that counts where model file or kernels changed too."""

OTHER_INPUTS_FLOOR_DB = 6.0
"""The same between different inputs: of one sound build, a layer was seen to lose 3.6 dB from
twenty photographs to twenty others."""

SEEN_DB = 6.0
"""Loss of any layer that must not have gone unseen for want of frames."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What the test of all layers against the previous build says.

    Args:
        layers: The edge's layers that both builds have, in graph order.
        test: One number a layer.
        floor_db: Least loss that counts.
        same_inputs: Whether it was made on frames that both builds saw.
        frames: Frames it was made on, of the build that has fewer.
        frames_missing: Frames that it takes more to see a loss of `SEEN_DB`.
    """

    layers: tuple[FrameLayer, ...]
    test: MaxTest
    floor_db: float
    same_inputs: bool
    frames: int
    frames_missing: int

    @property
    def worse(self) -> list[tuple[FrameLayer, float, float]]:
        """The layers that are worse, in graph order, with their loss in dB and p."""
        found = np.flatnonzero(self.test.worse(self.floor_db))
        return [
            (self.layers[i], float(self.test.effects[i]), float(self.test.p_values[i]))
            for i in found
        ]


def against_baseline(scene: Scene) -> Gate | None:
    """Hold every layer against the previous build's; None without one."""
    before = scene.baseline_selection
    if before is None:
        return None
    is_same = (scene.edge.model_sha256, scene.edge.kernels) == (before.model_sha256, before.kernels)
    return held_against(
        read_layer_frames(scene.known, scene.edge, scene.reference),
        read_layer_frames(scene.known, before, scene.reference),
        is_same_model=is_same,
        good_db=good_db(scene, before),
    )


def held_against(
    ours: LayerFrames, theirs: LayerFrames, *, is_same_model: bool, good_db: float = GOOD_DB
) -> Gate:
    """Test whether any layer is worse than in another build against the same reference.

    Args:
        ours: The build in question.
        theirs: The other build.
        is_same_model: Whether both ran one model file with the same kernels.
        good_db: SQNR that is as good as any.
    """
    columns = _counterparts(ours, theirs)
    common = np.intersect1d(ours.input_keys, theirs.input_keys)
    same_inputs = len(common) >= FEWEST
    after, before = ours.sqnr_db, theirs.sqnr_db
    if same_inputs:
        after, before = ours.of_frames(common), theirs.of_frames(common)
    floor_db = FLOOR_DB if same_inputs else OTHER_INPUTS_FLOOR_DB
    if same_inputs and is_same_model:
        floor_db = SAME_FLOOR_DB
    # so that nothing above it is a loss of the floor
    after = np.minimum(after[:, [i for i, _ in columns]], good_db + floor_db)
    before = np.minimum(before[:, [j for _, j in columns]], good_db + floor_db)
    test = max_test_paired(before - after) if same_inputs else max_test_unpaired(before, after)
    frames = min(len(after), len(before))
    return Gate(
        layers=tuple(ours.layers[i] for i, _ in columns),
        test=test,
        floor_db=floor_db,
        same_inputs=same_inputs,
        frames=frames,
        frames_missing=max(0, frames_to_see(test, SEEN_DB) - frames),
    )


def _counterparts(ours: LayerFrames, theirs: LayerFrames) -> list[tuple[int, int]]:
    """Return positions of layers that meet in one reference layer: two builds need not be one file."""
    found: list[tuple[int, int]] = []
    for i, layer in enumerate(ours.layers):
        same = [
            j
            for j, other in enumerate(theirs.layers)
            if other.reference_layer_index == layer.reference_layer_index and other.op == layer.op
        ]
        if same:
            found.append((i, min(same, key=lambda j: _strangeness(layer, theirs.layers[j]))))
    return found


def _strangeness(layer: FrameLayer, other: FrameLayer) -> tuple[bool, int]:
    return layer.layer != other.layer, abs(layer.layer_index - other.layer_index)
