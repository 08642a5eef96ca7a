"""Every layer's output of an eager Keras call, seen as it is made.

A tap hangs on ``keras.Operation.__call__``, the one place that every layer's call goes
through with its arguments converted and its output still untouched, whatever a layer,
a model or an application puts in ``__call__`` above it. The class is patched while any
tap is open and put back after the last; threads without a tap see one attribute lookup.
What the layers compute is not touched: the outputs of a tapped call are those of an
untapped one, bit for bit.

A compiled call (``predict``, ``tf.function``) runs no layer in Python. Its layers can be
had only from a second pass over the same inputs: `exray.instrumentation.keras_shadow`.
"""

import functools
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .guard import guard
from .keras_graph import FlatLayer, OutputSpec, flatten_layers
from .keras_model import import_keras


@dataclass(frozen=True, slots=True)
class LayerCall:
    """One call of one layer.

    Args:
        layer: The layer.
        occurrence: 0 for its first call under the tap, 1 for the next: shared layers.
        outputs: Its outputs, as TensorFlow's tensors.
        start_ns: Start on ``time.perf_counter_ns``'s clock.
        dur_ns: Duration of the layer's own ``call``; -1 for an input layer, which is never
            called. On a GPU the time to hand work over, not to do it.
    """

    layer: FlatLayer
    occurrence: int
    outputs: tuple[Any, ...]
    start_ns: int
    dur_ns: int

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """Return the outputs as numpy arrays, without a copy where TensorFlow can."""
        return tuple(np.asarray(output) for output in self.outputs)

    @property
    def specs(self) -> tuple[OutputSpec, ...]:
        """Shapes and types of the outputs, as for a batch of one."""
        return tuple(
            OutputSpec((1, *output.shape[1:]) if output.shape.rank else (), output.dtype.name)
            for output in self.outputs
        )

    @property
    def size_bytes(self) -> int:
        """Memory of the outputs; strings count by their reference."""
        return sum(prod(output.shape) * output.dtype.size for output in self.outputs)


class LayerTap:
    """Collects the calls of a model's own layers on this thread, while it is open.

    Symbolic calls are ignored: while a ``tf.function`` is traced nothing is computed. It
    neither raises into the block nor keeps a block from running: a tap that fails sees
    nothing, and the log says so.

    Args:
        model: The ``keras.Model`` whose layers count.
        on_call: Called with each call instead of keeping it in ``calls``, so that a large
            batch's tensors need not all live at once. It runs inside the model's call,
            outside the layer's measured time.

    Example::

        with LayerTap(model) as tap:
            outputs = model(inputs, training=False)
        for call in tap.calls:
            print(call.layer.name, call.dur_ns)
    """

    def __init__(self, model: Any, *, on_call: Callable[[LayerCall], None] | None = None) -> None:
        self.calls: list[LayerCall] = []
        self._model = model
        self._on_call = on_call or self.calls.append
        self._layers: dict[int, FlatLayer] = {}
        self._occurrences: Counter[int] = Counter()
        self._is_open = False

    def __enter__(self) -> Self:
        with guard("open a tap on a Keras model"):
            self._find_layers()
            _patch.acquire()
            _open_taps().append(self)
            self._is_open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_open:
            self._is_open = False
            with guard("close a tap on a Keras model"):
                _open_taps().remove(self)
                _patch.release()

    def _find_layers(self) -> None:
        # Anew each time: a model may make layers when it is built, or get them later.
        self._layers = {id(entry.layer): entry for entry in flatten_layers(self._model)}

    def see(self, operation: Any, outputs: Any, start_ns: int, dur_ns: int) -> None:
        """Keep one call, if it is one of the model's layers and computed something."""
        entry = self._layers.get(id(operation))
        if entry is not None:
            self._keep(entry, flatten_tensors(outputs), start_ns, dur_ns)

    def see_inputs(self, model: Any, args: tuple[Any, ...], start_ns: int) -> None:
        """Keep what the input layers of a functional model pass on: they are never called."""
        if model is self._model:
            self._find_layers()  # it is built by now
        wanted = getattr(model, "inputs", None)
        given = flatten_tensors(args[0]) if args else []
        if not wanted or len(wanted) != len(given):
            return
        for tensor, value in zip(wanted, given, strict=True):
            entry = self._layers.get(id(tensor._keras_history.operation))
            # A cast of what is symbolic would add an operation to somebody's graph.
            if entry is not None and not is_symbolic(value):
                self._keep(entry, [_cast(value, str(tensor.dtype))], start_ns, -1)

    def _keep(self, entry: FlatLayer, outputs: Sequence[Any], start_ns: int, dur_ns: int) -> None:
        tensors = tuple(output for output in outputs if hasattr(output, "__array__"))
        if not tensors or is_symbolic(tensors[0]):
            return
        occurrence = self._occurrences[entry.index]
        self._occurrences[entry.index] += 1
        self._on_call(LayerCall(entry, occurrence, tensors, start_ns, dur_ns))


_local = threading.local()


def _open_taps() -> list[LayerTap]:
    """Return this thread's open taps."""
    taps: list[LayerTap] | None = getattr(_local, "taps", None)
    if taps is None:
        taps = _local.taps = []
    return taps


class _OperationPatch:
    """``keras.Operation.__call__``, replaced while any tap is open on any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._owner: Any = None
        self._replaced: Any = None
        self._patched: Any = None

    def acquire(self) -> None:
        with self._lock:
            self._owner = import_keras("tracing a Keras model").Operation
            current = self._owner.__dict__["__call__"]
            if current is not self._patched:  # somebody's on top of ours, or instead of it
                self._replaced, self._patched = current, _tapped(current)
                self._owner.__call__ = self._patched
            self._open += 1

    def release(self) -> None:
        with self._lock:
            self._open -= 1
            # What somebody put on top of ours meanwhile stays, and ours below it idles.
            if self._open == 0 and self._owner.__dict__["__call__"] is self._patched:
                self._owner.__call__, self._patched = self._replaced, None


_patch = _OperationPatch()


def _tapped(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return *call* with this thread's open taps looking on."""

    @functools.wraps(call)
    def tapped_call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        taps: list[LayerTap] | None = getattr(_local, "taps", None)
        outer = getattr(_local, "operation", None)
        if not taps or outer is operation:  # no tap, or ours is below itself and saw it already
            return call(operation, *args, **kwargs)
        if hasattr(operation, "predict_function"):  # a model: its input layers are never called
            with guard("keep a Keras model's inputs"):
                for tap in taps:
                    tap.see_inputs(operation, args, time.perf_counter_ns())
        _local.operation = operation
        start_ns = time.perf_counter_ns()
        try:
            outputs = call(operation, *args, **kwargs)
        finally:
            dur_ns = time.perf_counter_ns() - start_ns
            _local.operation = outer
        with guard("keep a Keras layer's output"):
            for tap in taps:
                tap.see(operation, outputs, start_ns, dur_ns)
        return outputs

    return tapped_call


def flatten_tensors(structure: Any) -> list[Any]:
    """Return the leaves of nested lists and dicts in Keras' order, None left out."""
    leaves: list[Any] = import_keras("tracing a Keras model").tree.flatten(structure)
    return [leaf for leaf in leaves if leaf is not None]


def _cast(value: Any, dtype: str) -> Any:
    """Return a model input in the type that the model computes with."""
    return import_keras("tracing a Keras model").ops.cast(value, dtype)


def is_symbolic(tensor: Any) -> bool:
    """Whether a tensor stands for values that are not there yet."""
    if isinstance(tensor, import_keras("tracing a Keras model").KerasTensor):
        return True
    tensorflow: Any = sys.modules.get("tensorflow")
    return tensorflow is not None and bool(tensorflow.is_symbolic_tensor(tensor))


def computes_eagerly() -> bool:
    """Whether operations of this thread compute now, not when a function is run."""
    tensorflow: Any = sys.modules.get("tensorflow")
    return tensorflow is not None and bool(tensorflow.executing_eagerly())
