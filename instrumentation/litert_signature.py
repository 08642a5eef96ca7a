"""Calls of a signature runner, whose inputs come as arguments."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from exray.schema.records import LaterLayers, LayerBlock

from .capture import Array, Carrier, TensorRecorder
from .execution import Execution, Seen
from .litert import Details, LiteRTModel


class SignatureExecution(Execution):
    """One call of a signature runner.

    Args:
        model: The interpreter that the runner belongs to.
        runner: The signature runner.
        arguments: The call's arrays by input name.
    """

    def __init__(self, model: LiteRTModel, runner: Any, arguments: Mapping[str, Any]) -> None:
        self._model = model
        self._runner = runner
        self._arguments = arguments
        self._subgraph = int(getattr(runner, "_subgraph_index", 0))

    def read_inputs(self) -> Seen:
        """Return the arguments in the order of the model's inputs; none if they do not fit."""
        details: Mapping[str, Details] = self._runner.get_input_details()
        if set(details) != set(self._arguments):
            return []  # the runner says so itself
        names = self._in_model_order("input", details)
        arrays = [np.asarray(self._arguments[name]) for name in names]
        seen = self._seen("input", [details[name] for name in names], arrays)
        self._model.see_inputs(seen)
        return seen

    def read_outputs(self) -> Seen:
        """Return copies of the signature's outputs, in the order of the model's."""
        outputs: Mapping[str, Details] = self._runner.get_output_details()
        details = [outputs[name] for name in self._in_model_order("output", outputs)]
        arrays = [self._model.read(int(d["index"]), self._subgraph) for d in details]
        return self._seen("output", details, arrays)

    def _in_model_order(self, role: str, details: Mapping[str, Details]) -> list[str]:
        """Return the names as ``invoke`` knows them: same input, same bytes, same id."""
        if self._subgraph:
            return list(details)  # the interpreter tells the order of its first subgraph alone
        order = {int(d["index"]): i for i, d in enumerate(self._model.details(role))}
        return sorted(details, key=lambda name: order.get(int(details[name]["index"]), len(order)))

    def _seen(self, role: str, details: Sequence[Details], arrays: Sequence[Array]) -> Seen:
        return [
            (self._model.edge_site(role, position, detail, array, self._subgraph), array)
            for position, (detail, array) in enumerate(zip(details, arrays, strict=True))
        ]

    def begin(self, family: int, *, summarises: bool) -> None:
        """Let the model's probe record the call."""
        if not self._subgraph:
            self._model.prepare_signature()
            self._model.begin(family, summarises=summarises)

    def end(self) -> int:
        """Take what the probe recorded."""
        return 0 if self._subgraph else self._model.end()

    def read_times(self, inference: Carrier) -> LayerBlock | LaterLayers | None:
        """Return every operator's time, of the primary subgraph."""
        return None if self._subgraph else self._model.read_times(inference)

    def read_layers(
        self, recorder: TensorRecorder, inference: Carrier, family: int
    ) -> LayerBlock | None:
        """Summarise the operators of the primary subgraph; others are seen at their edge."""
        if self._subgraph:
            return None
        return self._model.read_layers(recorder, inference, family)
