"""A second interpreter of the same model, on which sampled frames are summarised.

XNNPACK fuses a graph into few partitions, whose inner tensors nobody sees. An interpreter
that preserves its tensors shows them all, but is slower in every frame. So the application
keeps the one it made, and a frame that was drawn is repeated on this one. Its output must
be the same to the last bit: a model with state, or with chance in it, cannot be repeated.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from exray.schema.identity import tensor_hash

from .capture import Array
from .guard import log_once
from .litert_probe import LiteRTProbe
from .probe import Mode, Recording

Make = Callable[[], tuple[Any, LiteRTProbe] | None]
"""Constructs the interpreter, untraced, with preserved tensors and a probe."""


class Shadow:
    """The second interpreter of one model; constructed when it is first needed.

    Args:
        make: Constructs it.
    """

    def __init__(self, make: Make) -> None:
        self._make = make
        self._made: tuple[Any, LiteRTProbe] | None = None
        self._is_given_up = False

    def run(self, inputs: Sequence[Array], output_hash: int, family: int) -> Recording | None:
        """Repeat an execution and return what the probe saw of it.

        Args:
            inputs: The model's inputs, in its order.
            output_hash: Hash of what the application's interpreter made of them, its first
                output.
            family: Sketch family of the frame's input.

        Returns:
            None where the model cannot be repeated.
        """
        if self._is_given_up:
            return None
        if self._made is None:
            self._made = self._make()
            if self._made is None:
                self._is_given_up = True
                return None
        interpreter, probe = self._made
        self._feed(interpreter, inputs, probe)
        probe.begin(Mode.SUMMARY, family)
        try:
            interpreter.invoke()
        finally:
            recording = probe.end()
        mine = interpreter.get_tensor(int(interpreter.get_output_details()[0]["index"]))
        if tensor_hash(mine) != output_hash:
            self._give_up()
            return None
        return recording

    def _feed(self, interpreter: Any, inputs: Sequence[Array], probe: LiteRTProbe) -> None:
        details = interpreter.get_input_details()
        is_resized = False
        for detail, array in zip(details, inputs, strict=True):
            if tuple(detail["shape"]) != array.shape:
                interpreter.resize_tensor_input(int(detail["index"]), array.shape)
                is_resized = True
        if is_resized:
            interpreter.allocate_tensors()
            probe.allocated(interpreter)
        for detail, array in zip(details, inputs, strict=True):
            interpreter.set_tensor(int(detail["index"]), np.ascontiguousarray(array))

    def _give_up(self) -> None:
        self._made, self._is_given_up = None, True
        log_once(
            "shadow differs",
            "a model gave another output when a sampled frame was repeated to summarise its "
            "layers, as one with state does: its inputs, outputs and times are recorded, its "
            "layers' tensors are not. exray.configure(sampling='all') sees them in place.",
        )
