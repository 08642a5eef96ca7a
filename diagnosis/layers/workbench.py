"""What a diagnosis holds in hands of both models: weights, reference tensors, single operators."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from exray.diagnosis.causes import Scene
from exray.diagnosis.lake_graphs import read_graph
from exray.playback.image import quantize
from exray.playback.litert_runner import RESOLVERS
from exray.schema.errors import ModelError, UsageError
from exray.schema.records import Quantization

from .parameters import (
    CONVOLUTION,
    DENSE,
    DEPTHWISE,
    ModelParameters,
    Parameters,
    TfliteParameters,
    read_parameters,
)
from .reference_frames import reference_frames
from .reference_tensors import TfliteTensors
from .replay import LocalError, OpReplay, ReferenceFrame, local_error, mean_db, share_of_error
from .sound_op import sound_op
from .tflite_model import TfliteModel

FRAMES = 4
"""Inputs replayed: the error of one operator hardly depends on them."""

_WEIGHTED = (CONVOLUTION, DEPTHWISE, DENSE)


@dataclass(frozen=True, slots=True)
class Files:
    """Both model files of a diagnosis; the edge's is a .tflite file."""

    edge: Path
    reference: Path


def files_of(scene: Scene) -> Files | None:
    """Return both model files where the user named them and the edge's can be taken apart.

    Raises:
        UsageError: A file is not the one that was recorded.
    """
    edge, reference = scene.replay.edge_model, scene.replay.reference_model
    if edge is None or reference is None or edge.suffix.lower() != ".tflite":
        return None
    for option, path, recorded in (
        ("--edge-model", edge, scene.edge.model_sha256),
        ("--reference-model", reference, scene.reference.model_sha256),
    ):
        if path.suffix.lower() != ".tflite":
            continue
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if recorded and found != recorded:
            msg = (
                f"{option} '{path}' is not the model that was recorded: its SHA-256 begins "
                f"{found[:12]}, expected {recorded[:12]}. Pass the file of the recorded build."
            )
            raise UsageError(msg)
    return Files(edge, reference)


class Workbench:
    """Both models of a scene, taken apart as far as something asks for it.

    Args:
        scene: What is diagnosed.
        files: Its model files.
    """

    def __init__(self, scene: Scene, files: Files) -> None:
        self._scene, self._files = scene, files
        self.model = TfliteModel.load(files.edge)
        self._own = TfliteParameters(self.model)
        self._by_index = {layer.layer_index: layer for layer in scene.comparison.layers}

    @cached_property
    def theirs(self) -> ModelParameters:
        """The reference's weights."""
        return read_parameters(self._files.reference)

    @cached_property
    def counterparts(self) -> Mapping[int, int]:
        """Reference layer by edge layer."""
        return {
            index: layer.reference_layer_index
            for index, layer in self._by_index.items()
            if layer.reference_layer_index is not None
        }

    @cached_property
    def pairs(self) -> Mapping[int, tuple[Parameters, Parameters]]:
        """Edge's and reference's weights by edge layer index, in graph order."""
        found: dict[int, tuple[Parameters, Parameters]] = {}
        for index, op in enumerate(self.model.ops):
            own = self._own.of(index) if op.op in _WEIGHTED else None
            answer = self._counterpart(index)
            theirs = None if answer is None else self.theirs.of(answer)
            if own is not None and theirs is not None:
                found[index] = own, theirs
        return found

    def _counterpart(self, index: int) -> int | None:
        """Return a layer's counterpart, or that of the softmax that the reference has fused."""
        answer = self.counterparts.get(index)
        if answer is not None:
            return answer
        output = self.model.ops[index].outputs[0]
        readers = [i for i, op in enumerate(self.model.ops) if output in op.inputs]
        if len(readers) == 1 and self.model.ops[readers[0]].op == "SOFTMAX":
            return self.counterparts.get(readers[0])
        return None

    @cached_property
    def frames(self) -> tuple[ReferenceFrame, ...]:
        """What the reference computes of the first inputs; none where there are no inputs."""
        return reference_frames(
            self._files.reference, self._scene.replay, self.counterparts, limit=FRAMES
        )

    @cached_property
    def _replay(self) -> OpReplay:
        return OpReplay(self.model)

    def local_error(self, index: int) -> LocalError | None:
        """Replay one operator on the reference's tensors; None where that cannot be done."""
        if not self.frames:
            return None
        pair = self.pairs.get(index)
        sound = None
        if pair is not None and pair[0].kernel.shape == pair[1].kernel.shape:
            sound = sound_op(self.model, index, pair[1])
        return local_error(self._replay, index, self.frames, sound)

    def whole_db(self, index: int) -> float | None:
        """Return a layer's SQNR where the whole edge file runs here, on its recorded kernels.

        Unlike `local_error` it holds what the layer inherits. None where nothing tells it.
        """
        shares = self._shares_here.get(index)
        return mean_db(shares) if shares else None

    @cached_property
    def _shares_here(self) -> Mapping[int, list[float]]:
        """Share of error of each layer, frame by frame, where the edge's file runs here."""
        kernels = self._scene.edge.kernels
        try:
            tensors = TfliteTensors(self.model, kernels if kernels in RESOLVERS else "xnnpack")
        except ModelError:
            return {}
        takes = self.model.tensors[self.model.graph.inputs[0]]
        found: dict[int, list[float]] = {}
        for frame in self.frames:
            if frame.model_input.size != np.prod(takes.shape, dtype=int):
                return {}
            given = frame.model_input.reshape(takes.shape)
            read = tensors.run(quantize(given, takes.quantization, np.dtype(takes.dtype)))
            for index in self.counterparts:
                values, wanted = read(index), frame.output(index)
                if values is not None and wanted is not None and values.size == wanted.size:
                    found.setdefault(index, []).append(share_of_error(values, wanted))
        return found

    @cached_property
    def ranges_before(self) -> Mapping[str, Quantization]:
        """The previous build's output quantization, one scale each, by layer name."""
        before = self._scene.baseline_selection
        if before is None:
            return {}
        with self._scene.cursors.cursor() as cursor:
            graph = read_graph(cursor, before.model_sha256)
        return {
            op.layer_name: Quantization((scale,), (zero_point,))
            for op in graph.ops
            if op.subgraph_index == 0
            for scale, zero_point in zip(
                op.output_scales[:1], op.output_zero_points[:1], strict=True
            )
            if scale is not None and zero_point is not None
        }

    def writer(self, index: int) -> int:
        """Return the layer that writes a layer's first input; itself where none does."""
        return self.model.writers.get(self.model.ops[index].inputs[0], index)
