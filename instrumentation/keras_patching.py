"""``keras.Model``, patched to be traced."""

import functools
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from .guard import guard
from .inference import Inference, trace_call
from .keras import EagerExecution, KerasModel, PredictExecution, is_untraced_keras, untraced_keras
from .keras_predict import wrap_predict_function
from .keras_tap import flatten_tensors, is_symbolic
from .patching import FindRecorder, is_untraced, patch_when_imported, replace_method
from .recorder import Recorder

UNTRACED_METHODS = ("fit", "evaluate", "train_on_batch", "test_on_batch")
"""Methods of ``keras.Model`` inside which nothing is traced: training is not inference."""

PREDICT_METHODS = ("predict", "predict_on_batch")
"""Methods that compute through the model's compiled predict function."""

_predicting = threading.local()
_traced_models: weakref.WeakKeyDictionary[Any, KerasModel] = weakref.WeakKeyDictionary()


def patch_keras(find_recorder: FindRecorder) -> None:
    """Patch ``keras.Model``, now or when Keras is imported."""
    patch_when_imported("keras", _patch_module, find_recorder)


def traced_keras_model(model: Any) -> KerasModel | None:
    """Return the tracer of a model that has one."""
    try:
        return _traced_models.get(model)
    except TypeError:  # not a thing that can be referred to weakly, so no model
        return None


def trace_keras_model(
    recorder: Recorder, model: Any, *, path: Path | None = None, init_ns: int | None = None
) -> KerasModel:
    """Trace a model object; a second time changes nothing."""
    traced = _traced_models.get(model)
    if traced is None:
        traced = KerasModel(recorder, model, path=path, init_ns=init_ns)
        _traced_models[model] = traced
        wrap_predict_function(model, functools.partial(_see_batch, weakref.ref(traced)))
    elif traced.recorder is not recorder:
        traced.rebind(recorder)
    return traced


def _patch_module(module: ModuleType, find_recorder: FindRecorder) -> None:
    model_class: Any = module.Model
    replace_method(model_class, "__call__", functools.partial(_call, find_recorder))
    for name in PREDICT_METHODS:
        replace_method(model_class, name, functools.partial(_predict, find_recorder))
    for name in UNTRACED_METHODS:
        replace_method(model_class, name, _leave_alone)


def _call(find_recorder: FindRecorder, original: Any) -> Any:
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807 - replaces it
        recorder = find_recorder()
        if recorder is None or is_untraced_keras() or is_untraced():
            return original(self, *args, **kwargs)
        call = functools.partial(original, self, *args, **kwargs)
        execution: EagerExecution | None = None
        with guard("trace a Keras model"):
            execution = _eager_execution(recorder, self, args, kwargs)
        if execution is None:
            return call()
        with untraced_keras():  # models inside this one are its layers
            run = functools.partial(execution.run, call)
            return trace_call(execution.traced, execution, run)

    return __call__


def _eager_execution(
    recorder: Recorder, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> EagerExecution | None:
    """Return the execution that a call is, None where it is none: symbolic, or training."""
    given = args[0] if args else kwargs.get("inputs")
    tensors = flatten_tensors(given)
    if not tensors or kwargs.get("training") or any(is_symbolic(t) for t in tensors):
        return None
    traced = _model_of(recorder, model)
    return None if traced is None else EagerExecution(traced, given)


def _model_of(recorder: Recorder, model: Any) -> KerasModel | None:
    if recorder.config.auto:
        return trace_keras_model(recorder, model)
    traced = _traced_models.get(model)
    if traced is not None and traced.recorder is not recorder:
        traced.rebind(recorder)
    return traced


def _predict(find_recorder: FindRecorder, original: Any) -> Any:
    def predict(self: Any, *args: Any, **kwargs: Any) -> Any:
        recorder = find_recorder()
        traced: KerasModel | None = None
        if recorder is not None and not is_untraced_keras() and not is_untraced():
            with guard("trace a Keras model"):
                traced = _model_of(recorder, self)
        if traced is None:
            return original(self, *args, **kwargs)
        _predicting.depth = getattr(_predicting, "depth", 0) + 1
        try:
            with untraced_keras():  # an eager predict calls the model, batch by batch
                return original(self, *args, **kwargs)
        finally:
            _predicting.depth -= 1

    return predict


def _leave_alone(original: Any) -> Any:
    def train(self: Any, *args: Any, **kwargs: Any) -> Any:
        with untraced_keras():
            return original(self, *args, **kwargs)

    return train


def _see_batch(
    find_traced: Callable[[], KerasModel | None],
    inputs: Any,
    outputs: Any,
    start_ns: int,
    dur_ns: int,
) -> None:
    """Record a batch of ``predict`` that is computed already."""
    traced = find_traced()
    if traced is None or is_untraced() or not getattr(_predicting, "depth", 0):
        return
    inference = Inference(traced, PredictExecution(traced, inputs, outputs))
    inference.begin(start_ns)
    # Of batches computed together only the sum of their times is known.
    inference.end(start_ns, max(dur_ns, 0), None)
