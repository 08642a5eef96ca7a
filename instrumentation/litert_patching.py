"""The interpreters of LiteRT and ``tf.lite``, patched to be traced."""

import contextlib
import functools
import inspect
import os
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

from .guard import error_text, guard, log_once
from .inference import trace_call
from .litert import Interpreter, LiteRTModel
from .litert_signature import SignatureExecution
from .patching import FindRecorder, is_untraced, patch_when_imported, replace_method
from .preserve_warning import without_preserve_warning
from .recorder import Recorder

LITERT_MODULES = ("ai_edge_litert.interpreter", "tensorflow.lite.python.interpreter")
"""Where the runtimes define their ``Interpreter``; both are the same code."""

MODEL_ATTRIBUTE = "_exray_model"
"""Attribute of an interpreter that holds its `LiteRTModel`."""

PRESERVE = "experimental_preserve_all_tensors"
"""Argument of the constructor that keeps the layers' tensors."""


def patch_litert(find_recorder: FindRecorder) -> None:
    """Patch the interpreters of LiteRT and ``tf.lite``, now or when they are imported."""
    for name in LITERT_MODULES:
        patch_when_imported(name, _patch_module, find_recorder)


def litert_model_of(interpreter: object) -> LiteRTModel | None:
    """Return the tracer of an interpreter that has one."""
    # Past __getattr__: an application's subclass may do anything there.
    model = getattr(interpreter, "__dict__", {}).get(MODEL_ATTRIBUTE)
    return model if isinstance(model, LiteRTModel) else None


def attach_litert_model(interpreter: object, model: LiteRTModel) -> None:
    """Let an interpreter be traced from its next invocation on."""
    object.__setattr__(interpreter, MODEL_ATTRIBUTE, model)


def is_interpreter(model: object) -> TypeGuard[Interpreter]:
    """Whether *model* is an interpreter of a runtime that is patched here."""
    return any(base.__module__ in LITERT_MODULES for base in type(model).__mro__)


def _patch_module(module: ModuleType, find_recorder: FindRecorder) -> None:
    interpreter = module.Interpreter
    replace_method(interpreter, "__init__", functools.partial(_init, find_recorder))
    replace_method(interpreter, "invoke", functools.partial(_invoke, find_recorder))
    runner = getattr(module, "SignatureRunner", None)  # older runtimes have none
    if runner is not None:
        replace_method(runner, "__call__", functools.partial(_call_signature, find_recorder))


# --- construction -----------------------------------------------------------------------


def _init(find_recorder: FindRecorder, original: Any) -> Any:
    signature = inspect.signature(original)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - replaces it
        recorder = None if is_untraced() else find_recorder()
        if recorder is None or not recorder.config.auto:
            original(self, *args, **kwargs)
            return
        given: inspect.BoundArguments | None = None
        with contextlib.suppress(TypeError):
            given = signature.bind(self, *args, **kwargs)
        if given is None:
            original(self, *args, **kwargs)  # raises the same, in its own words
            return
        init_ns, preserved = _construct(original, given, recorder.keeping.has_layers)
        with guard("trace an interpreter"):
            _trace(recorder, self, given.arguments, preserved, init_ns)

    return __init__


def _construct(original: Any, given: inspect.BoundArguments, preserve: bool) -> tuple[int, bool]:
    """Construct with preserved tensors where possible, else as the application said.

    Returns:
        The time it took in nanoseconds, and whether tensors are preserved.
    """
    asked = bool(given.arguments.get(PRESERVE))
    refusal = ""
    if preserve and not asked and PRESERVE in given.signature.parameters:
        wanted = inspect.BoundArguments(given.signature, OrderedDict(given.arguments))
        wanted.arguments[PRESERVE] = True
        start_ns = time.perf_counter_ns()
        try:
            with without_preserve_warning():
                original(*wanted.args, **wanted.kwargs)
        except Exception as error:  # noqa: BLE001 - whatever it is, the plain one may do
            refusal = error_text(error)
        else:
            return time.perf_counter_ns() - start_ns, True
    start_ns = time.perf_counter_ns()
    original(*given.args, **given.kwargs)
    init_ns = time.perf_counter_ns() - start_ns
    if refusal:
        with guard("log a refusal"):
            log_once(
                "preserved tensors refused",
                f"the runtime could not keep a model's layers ({refusal}): its inputs, outputs "
                "and times are recorded, its layers are not.",
            )
    return init_ns, asked


def _trace(
    recorder: Recorder,
    interpreter: Any,
    options: Mapping[str, Any],
    preserved: bool,
    init_ns: int,
) -> None:
    content, path = options.get("model_content"), options.get("model_path")
    model = LiteRTModel(
        recorder,
        interpreter,
        content=content or (Path(os.fsdecode(path)) if path else None),
        preserved=preserved,
        options=options,
        init_ns=init_ns,
    )
    attach_litert_model(interpreter, model)


# --- execution --------------------------------------------------------------------------


def _invoke(find_recorder: FindRecorder, original: Any) -> Any:
    def invoke(self: Any, *args: Any, **kwargs: Any) -> Any:
        model = _model_to_trace(self, find_recorder)
        if model is None:
            return original(self, *args, **kwargs)
        return trace_call(model, model, functools.partial(original, self, *args, **kwargs))

    return invoke


def _call_signature(find_recorder: FindRecorder, original: Any) -> Any:
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807 - replaces it
        model: LiteRTModel | None = None
        execution: SignatureExecution | None = None
        with guard("trace a signature"):
            model = _model_to_trace(getattr(self, "_interpreter", None), find_recorder)
            if model is not None:
                execution = SignatureExecution(model, self, kwargs)
        if model is None or execution is None:
            return original(self, *args, **kwargs)
        return trace_call(model, execution, functools.partial(original, self, *args, **kwargs))

    return __call__


def _model_to_trace(interpreter: Any, find_recorder: FindRecorder) -> LiteRTModel | None:
    recorder = find_recorder()
    if recorder is None or is_untraced():
        return None
    model = litert_model_of(interpreter)
    if model is not None and model.recorder is not recorder:
        with guard("go on with another configuration"):
            model.rebind(recorder)
    return model
