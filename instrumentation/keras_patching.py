"""``keras.Model``, patched to be traced."""

import functools
import inspect
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from exray.schema.errors import UsageError

from .guard import guard, log_once
from .inference import Inference, trace_call
from .keras import EagerExecution, KerasModel, PredictExecution
from .keras_model import import_keras
from .keras_predict import Batch, is_predicting, wrap_predict_function
from .keras_tap import computes_eagerly, flatten_tensors, is_symbolic
from .patching import (
    FindRecorder,
    is_untraced,
    patch_when_imported,
    replace_method,
    when_unpatched,
)
from .recorder import Recorder

UNTRACED_METHODS = ("fit", "evaluate", "train_on_batch", "test_on_batch")
"""Methods of ``keras.Model`` inside which nothing is traced: training is not inference."""

PREDICT_METHODS = ("predict", "predict_on_batch")
"""Methods that compute through the model's compiled predict function."""

_lock = threading.RLock()
traced_models: weakref.WeakKeyDictionary[Any, KerasModel] = weakref.WeakKeyDictionary()
"""The tracer of every model that was traced, as long as the model lives."""

watched_models: weakref.WeakKeyDictionary[KerasModel, Callable[[], None]] = (
    weakref.WeakKeyDictionary()
)
"""How to leave the predict function of a traced model as it was."""


def patch_keras(find_recorder: FindRecorder) -> None:
    """Patch ``keras.Model``, now or when Keras is imported."""
    patch_when_imported("keras", _patch_module, find_recorder)


def _patch_module(module: ModuleType, find_recorder: FindRecorder) -> None:
    refusal = _refusal(module)
    if refusal:
        log_once("keras", f"{refusal}: its models are not traced, and run on as they are.")
        return
    model_class: Any = module.Model
    replace_method(model_class, "__call__", functools.partial(_call, find_recorder))
    for name in PREDICT_METHODS:
        replace_method(model_class, name, functools.partial(_predict, find_recorder))
    for name in UNTRACED_METHODS:
        replace_method(model_class, name, _leave_alone)
    when_unpatched(_unwatch_all)


def _refusal(keras: Any) -> str:
    """Return why this Keras cannot be traced, or nothing."""
    version = str(keras.__version__)
    backend = keras.config.backend() if hasattr(keras, "config") else "tensorflow"
    if version.startswith(("1.", "2.")) or backend != "tensorflow":
        return f"this is Keras {version} on {backend}, expected Keras 3 on tensorflow"
    return ""


# --- models -----------------------------------------------------------------------------


def traced_keras_model(model: Any) -> KerasModel | None:
    """Return the tracer of a model that has one."""
    try:
        return traced_models.get(model)
    except TypeError:  # not a thing that can be referred to weakly, so no model
        return None


def trace_keras_model(
    recorder: Recorder, model: Any, *, path: Path | None = None, init_ns: int | None = None
) -> KerasModel:
    """Trace a model object because the application asks for it; twice changes nothing.

    Args:
        recorder: Takes what is recorded.
        model: The ``keras.Model``.
        path: Its file or SavedModel folder, None where it is not known.
        init_ns: Time that loading it took, nanoseconds.

    Raises:
        UsageError: It is no model, or its Keras of another version or backend than exray
            traces.
    """
    keras = import_keras("tracing a Keras model")
    refusal = _refusal(keras)
    if refusal:
        raise UsageError(refusal)
    if not isinstance(model, keras.Model):
        msg = (
            f"{type(model).__name__} is a part of Keras, but no keras.Model. To trace a layer, put "
            "it into one: keras.Sequential([layer])."
        )
        raise UsageError(msg)
    traced = _attached(recorder, model)
    traced.name_file(path, init_ns)
    traced.is_asked_for = True
    return traced


def _attached(recorder: Recorder, model: Any) -> KerasModel:
    """Return a model's tracer, which records with *recorder* and sees its predictions."""
    with _lock:
        traced = traced_models.get(model)
        if traced is None:
            traced = traced_models[model] = KerasModel(recorder, model)
        elif traced.recorder is not recorder:
            traced.rebind(recorder)
        if traced not in watched_models:
            see = functools.partial(_see_batch, weakref.ref(traced))
            watched_models[traced] = wrap_predict_function(model, see)
    return traced


def _unwatch_all() -> None:
    with _lock:
        undos = [undo for _, undo in list(watched_models.items())]
        watched_models.clear()
    for undo in undos:
        with guard("leave a Keras model as it was"):
            undo()


def _model_of(recorder: Recorder, model: Any) -> KerasModel | None:
    """Return the tracer of a model that is to be traced, made where there is none."""
    traced = traced_models.get(model)
    if not recorder.config.auto and (traced is None or not traced.is_asked_for):
        return None
    if traced is None or traced.recorder is not recorder or traced not in watched_models:
        return _attached(recorder, model)
    return traced


# --- methods ----------------------------------------------------------------------------

_local = threading.local()


class _untraced_keras:  # noqa: N801 - reads as a statement
    """Leave Keras alone on this thread: training, or a call inside one that is traced.

    Other runtimes are traced in the block as ever.
    """

    def __enter__(self) -> None:
        _local.depth = getattr(_local, "depth", 0) + 1

    def __exit__(self, *_: object) -> None:
        _local.depth -= 1


def _is_left_alone() -> bool:
    """Whether Keras models that this thread calls are not to be traced."""
    return int(getattr(_local, "depth", 0)) > 0 or is_predicting() or is_untraced()


def _call(find_recorder: FindRecorder, original: Any) -> Any:
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807 - replaces it
        recorder = find_recorder()
        if recorder is None or _is_left_alone():
            return original(self, *args, **kwargs)
        call = functools.partial(original, self, *args, **kwargs)
        execution: EagerExecution | None = None
        trains = False
        with guard("trace a Keras model"):
            if computes_eagerly():
                trains = _trains(self, kwargs)
                if not trains:
                    execution = _eager_execution(recorder, self, args, kwargs, call)
        if execution is not None:
            with _untraced_keras():  # models inside this one are its layers
                return trace_call(
                    execution.traced, execution, functools.partial(execution.run, call)
                )
        if trains:
            with _untraced_keras():
                return call()
        return call()

    return __call__


def _eager_execution(
    recorder: Recorder,
    model: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    call: Callable[[], Any],
) -> EagerExecution | None:
    """Return the execution that a call is, None where it is symbolic or left alone."""
    given = [leaf for leaf in flatten_tensors((args, kwargs)) if hasattr(leaf, "shape")]
    if not given or any(is_symbolic(leaf) for leaf in given):
        return None
    traced = _model_of(recorder, model)
    return None if traced is None else EagerExecution(traced, given, call)


def _trains(model: Any, kwargs: dict[str, Any]) -> bool:
    """Whether a call is for training, by the order of precedence that Keras has."""
    training = kwargs.get("training")
    if training is None:
        training = _outer_call_trains()
    if training is None:
        parameter = inspect.signature(model.call).parameters.get("training")
        training = parameter is not None and parameter.default
    return training is not inspect.Parameter.empty and bool(training)


def _outer_call_trains() -> Any:
    """Return what the layer that is being called around this call says of training."""
    # Keras has no public way; without the module nothing is known.
    state: Any = sys.modules.get("keras.src.backend.common.global_state")
    context = state and state.get_global_attribute("current_call_ctx")
    return context and context.get_value("training")


def _predict(find_recorder: FindRecorder, original: Any) -> Any:
    def predict(self: Any, *args: Any, **kwargs: Any) -> Any:
        recorder = find_recorder()
        if recorder is not None and not _is_left_alone():
            with guard("trace a Keras model"):
                traced = _model_of(recorder, self) if computes_eagerly() else None
                if traced is not None and self.built:
                    traced.ensure_run()  # now, so that it takes no time of the first frame
        return original(self, *args, **kwargs)

    return predict


def _leave_alone(original: Any) -> Any:
    def train(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _untraced_keras():
            return original(self, *args, **kwargs)

    return train


def _see_batch(find_traced: Callable[[], KerasModel | None], batch: Batch) -> None:
    """Record a batch of ``predict`` that is computed, or has failed, already."""
    traced = find_traced()
    if traced is None or _is_left_alone() or not computes_eagerly():
        return
    inference = Inference(traced, PredictExecution(traced, batch))
    inference.begin(batch.start_ns)
    inference.end(batch.start_ns, batch.dur_ns, batch.error)
