"""The batches of ``predict`` and ``predict_on_batch``, seen one by one.

Keras compiles one function per model for prediction and calls it once per execution with
the batch's tensors; training and evaluation have functions of their own. Watching that
function shows exactly the batches of prediction, computed as they would be unwatched.
Its layers are compiled into it: `exray.instrumentation.keras_shadow` shows them.
"""

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, cast

from .guard import guard
from .keras_model import import_keras


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch that was predicted, or failed to be.

    Args:
        data: The batch as ``predict_step`` gets it: ``(x,)``, or with targets.
        inputs: Its inputs, TensorFlow's tensors structured as the model's.
        outputs: The outputs, structured as the model's; None with *error*.
        start_ns: Start on ``time.perf_counter_ns``'s clock.
        dur_ns: Duration; -1 where Keras computed several batches at once
            (``steps_per_execution``), which all have the same start.
        error: What the prediction raised.
    """

    data: Any
    inputs: Any
    outputs: Any
    start_ns: int
    dur_ns: int
    error: BaseException | None = None


OnBatch = Callable[[Batch], None]
"""Called with each batch."""


def wrap_predict_function(model: Any, on_batch: OnBatch) -> Callable[[], None]:
    """Call *on_batch* after each batch that ``predict`` or ``predict_on_batch`` computes.

    The instance is changed, not its class. Compiling the model again changes nothing.
    Never called by ``fit``, ``evaluate``, ``train_on_batch`` or a plain call of the model.
    What *on_batch* raises is logged once and goes no further; what prediction raises is
    raised.

    Args:
        model: A ``keras.Model``.
        on_batch: Called on the thread that predicts, before Keras goes on.

    Returns:
        A function that leaves the model as it was; it does not keep the model alive.
    """
    # Past Keras' own setattr, which tracks what it is given.
    attributes: dict[str, Any] = model.__dict__
    make: Callable[..., Any] = model.make_predict_function

    def make_predict_function(*args: Any, **kwargs: Any) -> Any:
        made = make(*args, **kwargs)
        function = model.predict_function
        if function is not None and not isinstance(function, _WatchedFunction):
            model.predict_function = _WatchedFunction(function, on_batch)
        return made

    attributes["make_predict_function"] = make_predict_function
    return _Undo(weakref.ref(model), weakref.ref(make_predict_function))


@dataclass(frozen=True, slots=True)
class _Undo:
    """Leaves a model as it was before `wrap_predict_function`, if it lives."""

    find_model: Callable[[], Any]
    find_ours: Callable[[], Any]

    def __call__(self) -> None:
        """Put the model's own functions back, unless somebody replaced ours."""
        model, ours = self.find_model(), self.find_ours()
        if model is None or ours is None:
            return
        attributes: dict[str, Any] = model.__dict__
        if attributes.get("make_predict_function") is not ours:
            return
        del attributes["make_predict_function"]
        function = model.predict_function
        if isinstance(function, _WatchedFunction):
            model.predict_function = function.compiled


class _WatchedFunction:
    """A model's compiled predict function, and who wants to see its batches."""

    def __init__(self, compiled: Callable[..., Any], on_batch: OnBatch) -> None:
        self.compiled = compiled
        self._on_batch = on_batch

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute one execution: the argument holds the data of each of its batches."""
        start_ns = time.perf_counter_ns()
        try:
            outputs = self._compute(args, kwargs)
        except BaseException as error:
            dur_ns = time.perf_counter_ns() - start_ns
            with guard("trace a batch of predict()"):
                self._report(args, None, start_ns, dur_ns, error)
            raise
        dur_ns = time.perf_counter_ns() - start_ns
        with guard("trace a batch of predict()"):
            self._report(args, outputs, start_ns, dur_ns, None)
        return outputs

    def _compute(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        _local.depth = getattr(_local, "depth", 0) + 1
        try:
            return self.compiled(*args, **kwargs)
        finally:
            _local.depth -= 1

    def __getattr__(self, name: str) -> Any:
        if name == "compiled":  # not there yet: somebody makes a copy without __init__
            raise AttributeError(name)
        return getattr(self.compiled, name)

    def _report(
        self,
        args: tuple[Any, ...],
        outputs: Any,
        start_ns: int,
        dur_ns: int,
        error: BaseException | None,
    ) -> None:
        if not args or not isinstance(args[0], list | tuple):
            return  # an iterator would be the host's to read
        keras = import_keras("tracing a Keras model")
        batches = cast("Sequence[Any]", args[0])
        inputs = [keras.utils.unpack_x_y_sample_weight(batch)[0] for batch in batches]
        if len(batches) > 1:
            dur_ns = -1
        first = 0  # the outputs of all batches stand behind one another
        for data, given in zip(batches, inputs, strict=True):
            own = outputs
            if len(batches) > 1 and error is None:
                size = int(keras.tree.flatten(given)[0].shape[0])
                own = keras.tree.map_structure(itemgetter(slice(first, first + size)), outputs)
                first += size
            self._on_batch(Batch(data, given, own, start_ns, dur_ns, error))


_local = threading.local()


def is_predicting() -> bool:
    """Whether this thread is inside a watched predict function.

    A model that runs eagerly (``run_eagerly=True``) is called in there too, and a
    compiled one while it is traced: calls that belong to a batch already seen.
    """
    return getattr(_local, "depth", 0) > 0
