"""The batches of ``predict`` and ``predict_on_batch``, seen one by one.

Keras compiles one function per model for prediction and calls it once per execution with
the batch's tensors; training and evaluation have functions of their own. Watching that
function shows exactly the batches of prediction, computed as they would be unwatched.
Its layers are compiled into it: `exray.instrumentation.keras_tap.shadow_pass` on the same
batch shows them.
"""

import threading
import time
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, cast

from .guard import guard
from .keras_model import import_keras

OnBatch = Callable[[Any, Any, int, int], None]
"""Called with a batch's inputs, its outputs, start and duration.

Inputs and outputs are the backend's tensors, structured as the model's. The start is on
``time.perf_counter_ns``'s clock; the duration is -1 where Keras computed several batches
at once (``steps_per_execution``).
"""


def wrap_predict_function(model: Any, on_batch: OnBatch) -> Callable[[], None]:
    """Call *on_batch* after each batch that ``predict`` or ``predict_on_batch`` computes.

    The instance is changed, not its class. Compiling the model again changes nothing.
    Never called by ``fit``, ``evaluate``, ``train_on_batch`` or a plain call of the model.
    What *on_batch* raises is logged once and goes no further.

    Args:
        model: A ``keras.Model``.
        on_batch: Called on the thread that predicts, before Keras goes on.

    Returns:
        A function that leaves the model as it was.
    """
    attributes: dict[str, Any] = (
        model.__dict__
    )  # past Keras' own setattr, which tracks what it is given
    make: Callable[..., Any] = model.make_predict_function

    def make_predict_function(force: bool = False) -> Any:
        function = model.predict_function
        if force or not isinstance(function, _WatchedFunction):
            make(force=force)
            model.predict_function = _WatchedFunction(model.predict_function, on_batch)
        return model.predict_function

    attributes["make_predict_function"] = make_predict_function

    def undo() -> None:
        if attributes.get("make_predict_function") is not make_predict_function:
            return
        del attributes["make_predict_function"]
        function = model.predict_function
        if isinstance(function, _WatchedFunction):
            model.predict_function = function.compiled

    return undo


class _WatchedFunction:
    """A model's compiled predict function, and who wants to see its batches."""

    def __init__(self, compiled: Callable[[Any], Any], on_batch: OnBatch) -> None:
        self.compiled = compiled
        self._on_batch = on_batch

    def __call__(self, data: Any) -> Any:
        """Compute one execution: *data* holds a tuple of inputs for each of its batches."""
        _local.depth = getattr(_local, "depth", 0) + 1
        try:
            start_ns = time.perf_counter_ns()
            outputs = self.compiled(data)
            dur_ns = time.perf_counter_ns() - start_ns
        finally:
            _local.depth -= 1
        with guard("trace a batch of predict()"):
            self._report(data, outputs, start_ns, dur_ns)
        return outputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self.compiled, name)

    def _report(self, data: object, outputs: Any, start_ns: int, dur_ns: int) -> None:
        if not isinstance(data, list | tuple):
            return  # an iterator would be the host's to read
        keras = import_keras("tracing a Keras model")
        batches = cast("Sequence[Any]", data)
        inputs = [keras.utils.unpack_x_y_sample_weight(batch)[0] for batch in batches]
        if len(inputs) == 1:
            self._on_batch(inputs[0], outputs, start_ns, dur_ns)
            return
        first = 0  # the outputs of all batches stand behind one another
        for batch in inputs:
            size = int(keras.tree.flatten(batch)[0].shape[0])
            own = keras.tree.map_structure(itemgetter(slice(first, first + size)), outputs)
            self._on_batch(batch, own, start_ns, -1)
            first += size


_local = threading.local()


def is_predicting() -> bool:
    """Whether this thread is inside a watched predict function.

    A model that runs eagerly (``run_eagerly=True``) is called in there too, and a
    compiled one while it is traced: calls that belong to a batch already seen.
    """
    return getattr(_local, "depth", 0) > 0
