"""The sessions of ONNX Runtime, patched to be traced."""

import contextlib
import functools
import inspect
import os
import time
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from .current import current_frame
from .guard import guard, log_once
from .inference import trace_call
from .onnx import OnnxExecution, OnnxModel
from .onnx_identity import OnnxModelFile, onnx_model_file
from .patching import FindRecorder, is_untraced, patch_when_imported, replace_method
from .recorder import Recorder

ONNX_MODULE = "onnxruntime.capi.onnxruntime_inference_collection"
"""Where the runtime defines its sessions."""

MODEL_ATTRIBUTE = "_exray_model"
"""Attribute of a session that holds its `OnnxModel`."""

_FEEDS: Mapping[str, str] = {
    "run": "input_feed",
    "run_with_ort_values": "input_dict_ort_values",
}
"""Methods that run a model and return its outputs, with the argument that feeds it."""

_UNSEEN = ("run_async", "run_with_iobinding", "run_with_ortvaluevector")
"""Methods whose inputs and outputs nobody sees here."""


def patch_onnx(find_recorder: FindRecorder) -> None:
    """Patch the sessions of ONNX Runtime, now or when they are imported."""
    patch_when_imported(ONNX_MODULE, _patch_module, find_recorder)


def is_session(model: object) -> bool:
    """Whether *model* is an ``InferenceSession``."""
    return any(
        (base.__module__, base.__name__) == (ONNX_MODULE, "InferenceSession")
        for base in type(model).__mro__
    )


def onnx_model_of(session: object) -> OnnxModel | None:
    """Return the tracer of a session that has one."""
    model = getattr(session, "__dict__", {}).get(MODEL_ATTRIBUTE)
    return model if isinstance(model, OnnxModel) else None


def instrument_session(
    recorder: Recorder,
    session: Any,
    *,
    path: str | os.PathLike[str] | None,
    init_ns: int | None,
) -> None:
    """Trace a session that exists already; arguments of `exray.instrument()`."""
    if onnx_model_of(session) is None:
        file = _file_of(path or _source_of(session))
        _attach(recorder, session, file, None, init_ns)


def _source_of(session: Any) -> str | bytes | None:
    """Return the path or the bytes that a session was made of, as it keeps them itself."""
    path: str | None = getattr(session, "_model_path", None)
    content: bytes | None = getattr(session, "_model_bytes", None)
    return path or content


def _file_of(source: str | os.PathLike[str] | bytes | None) -> OnnxModelFile | None:
    """Read a model file where it is one of ONNX; ONNX Runtime's own format has no graph here."""
    if source is None or (not isinstance(source, bytes) and str(source).endswith(".ort")):
        log_once(
            "onnx boundary",
            "a session whose model is no .onnx file: its inputs, outputs and times are recorded, "
            "its layers are not.",
        )
        return None
    with guard("read a model file"):
        return onnx_model_file(source)
    return None


def _attach(
    recorder: Recorder,
    session: Any,
    file: OnnxModelFile | None,
    disabled_optimizers: Any,
    init_ns: int | None,
) -> None:
    model = OnnxModel(
        recorder,
        session,
        file=file,
        disabled_optimizers=disabled_optimizers,
        init_ns=init_ns,
    )
    object.__setattr__(session, MODEL_ATTRIBUTE, model)


# --- methods ----------------------------------------------------------------------------


def _patch_module(module: ModuleType, find_recorder: FindRecorder) -> None:
    session: Any = module.InferenceSession
    replace_method(session, "__init__", functools.partial(_init, find_recorder))
    replace_method(session, "set_providers", _set_providers)
    for name, feed in _FEEDS.items():
        replace_method(session, name, functools.partial(_run, find_recorder, feed))
    for name in _UNSEEN:
        if hasattr(session, name):  # older runtimes have not all of them
            replace_method(session, name, functools.partial(_run_unseen, name))


def _init(find_recorder: FindRecorder, original: Any) -> Any:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - replaces it
        recorder = None if is_untraced() else find_recorder()
        if recorder is None or not recorder.config.auto:
            original(self, *args, **kwargs)
            return
        start_ns = time.perf_counter_ns()
        original(self, *args, **kwargs)
        init_ns = time.perf_counter_ns() - start_ns
        with guard("trace a session"):
            file = _file_of(_source_of(self))
            _attach(recorder, self, file, kwargs.get("disabled_optimizers"), init_ns)

    return __init__


def _set_providers(original: Any) -> Any:
    def set_providers(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        with guard("trace a session of other providers"):
            model = onnx_model_of(self)
            if model is not None:
                model.renew(self)
        return result

    return set_providers


def _run(find_recorder: FindRecorder, feed: str, original: Any) -> Any:
    signature = inspect.signature(original)

    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        # First of all: what small networks can afford of each call is less than a microsecond.
        model = self.__dict__.get(MODEL_ATTRIBUTE)
        if model is not None and model.skip > 0 and current_frame.get() is None:
            if model.recorder.open and model.recorder is find_recorder():
                model.skip -= 1
                return original(self, *args, **kwargs)
            model.skip = 0
        execution: OnnxExecution | None = None
        with guard("trace a session"):
            model = _model_to_trace(self, find_recorder)
            if model is not None:
                with contextlib.suppress(TypeError):  # the original raises it in its own words
                    given = signature.bind(self, *args, **kwargs).arguments
                    execution = OnnxExecution(model, dict(given[feed]), given.get("output_names"))
        call = functools.partial(original, self, *args, **kwargs)
        if execution is None:
            return call()
        return trace_call(execution.traced, execution, functools.partial(execution.run, call))

    return run


def _run_unseen(name: str, original: Any) -> Any:
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        if onnx_model_of(self) is not None and not is_untraced():
            with guard("log what is not seen"):
                log_once(
                    f"onnx {name}",
                    f"InferenceSession.{name}() hides a model's inputs and outputs: its runs are "
                    "not recorded. InferenceSession.run() is.",
                )
        return original(self, *args, **kwargs)

    return run


def _model_to_trace(session: Any, find_recorder: FindRecorder) -> OnnxModel | None:
    recorder = find_recorder()
    if recorder is None or is_untraced():
        return None
    model = onnx_model_of(session)
    if model is not None and model.recorder is not recorder:
        model.rebind(recorder)
    return model
