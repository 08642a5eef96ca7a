"""The interpreters of LiteRT and ``tf.lite``, patched to be traced."""

import contextlib
import functools
import inspect
import os
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

from .current import current_frame
from .guard import error_text, guard, log_once
from .inference import trace_call
from .litert import Interpreter, LiteRTModel
from .litert_identity import ModelFile, kernels_from_options, model_file
from .litert_probe import CapturePlan, LiteRTProbe, has_native_library, make_probe, plan_capture
from .litert_shadow import Shadow
from .litert_signature import SignatureExecution
from .patching import FindRecorder, is_untraced, patch_when_imported, replace_method, untraced
from .preserve_warning import without_preserve_warning
from .recorder import Recorder

LITERT_MODULES = ("ai_edge_litert.interpreter", "tensorflow.lite.python.interpreter")
"""Where the runtimes define their ``Interpreter``; both are the same code."""

TFLITE_IDENTIFIER = b"TFL3"
"""What a model file has at byte 4."""

MODEL_ATTRIBUTE = "_exray_model"
"""Attribute of an interpreter that holds its `LiteRTModel`."""

PRESERVE = "experimental_preserve_all_tensors"
"""Argument of the constructor that keeps the layers' tensors."""

DELEGATES = "experimental_delegates"
"""Argument of the constructor that brings delegates."""


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
    replace_method(interpreter, "allocate_tensors", _allocate)
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
        plan = CapturePlan()
        file: ModelFile | None = None
        probe: LiteRTProbe | None = None
        with guard("plan how to watch an interpreter"):
            file = _model_file(given.arguments)
            plan = _plan(recorder, given.arguments, file)
            probe = make_probe(self.__class__, plan)
        init_ns, preserved, probe = _construct(original, given, plan, probe)
        with guard("trace an interpreter"):
            _trace(recorder, self, given, file, preserved, plan, probe, init_ns)

    return __init__


def _model_file(options: Mapping[str, Any]) -> ModelFile | None:
    """Read the model that a constructor is given; the constructor says what is wrong with it."""
    content, path = options.get("model_content"), options.get("model_path")
    if content:
        return model_file(content) if content[4:8] == TFLITE_IDENTIFIER else None
    with contextlib.suppress(OSError, TypeError, ValueError):
        file = Path(os.fsdecode(path or ""))
        with file.open("rb") as opened:
            is_model = opened.read(8)[4:] == TFLITE_IDENTIFIER
        return model_file(file) if is_model else None
    return None


def _plan(recorder: Recorder, options: Mapping[str, Any], file: ModelFile | None) -> CapturePlan:
    graph = None if file is None or file.graph is None else file.graph.graph
    return plan_capture(
        kernels_from_options(options),
        native=has_native_library(),
        summaries=recorder.keeping.has_layers,
        arrays=recorder.keeping.needs_arrays,
        every_frame=getattr(recorder.config, "sampling", "all") == "all",
        alone=not options.get(DELEGATES),
        macs=None if graph is None else sum(op.macs for op in graph.ops),
    )


def _construct(
    original: Any, given: inspect.BoundArguments, plan: CapturePlan, probe: LiteRTProbe | None
) -> tuple[int, bool, LiteRTProbe | None]:
    """Construct as the plan wants it where possible, else as the application said.

    Returns:
        The time it took in nanoseconds, whether tensors are preserved, and the probe.
    """
    asked = bool(given.arguments.get(PRESERVE))
    wanted = _wanted(given, plan, probe)
    refusal = ""
    if wanted is not None:
        start_ns = time.perf_counter_ns()
        try:
            with without_preserve_warning():
                original(*wanted.args, **wanted.kwargs)
        except Exception as error:  # noqa: BLE001 - whatever it is, the plain one may do
            refusal = error_text(error)
        else:
            init_ns = time.perf_counter_ns() - start_ns
            return init_ns, bool(wanted.arguments.get(PRESERVE)), probe
    start_ns = time.perf_counter_ns()
    original(*given.args, **given.kwargs)
    init_ns = time.perf_counter_ns() - start_ns
    if refusal:
        with guard("log a refusal"):
            log_once(
                "capture refused",
                f"the runtime could not show a model's layers ({refusal}): its inputs, outputs "
                "and times are recorded, its layers are not.",
            )
        return init_ns, asked, None
    return init_ns, asked, probe


def _wanted(
    given: inspect.BoundArguments, plan: CapturePlan, probe: LiteRTProbe | None
) -> inspect.BoundArguments | None:
    """Return the arguments that the plan asks for, None where they are the given ones."""
    wanted = inspect.BoundArguments(given.signature, OrderedDict(given.arguments))
    is_other = False
    if (
        plan.preserve
        and not given.arguments.get(PRESERVE)
        and PRESERVE in given.signature.parameters
    ):
        wanted.arguments[PRESERVE] = is_other = True
    if plan.early and probe is not None and DELEGATES in given.signature.parameters:
        theirs: Sequence[Any] = given.arguments.get(DELEGATES) or ()
        wanted.arguments[DELEGATES] = [*theirs, probe.delegate]
        is_other = True
    return wanted if is_other else None


def _trace(
    recorder: Recorder,
    interpreter: Any,
    given: inspect.BoundArguments,
    file: ModelFile | None,
    preserved: bool,
    plan: CapturePlan,
    probe: LiteRTProbe | None,
    init_ns: int,
) -> None:
    options = given.arguments
    model = LiteRTModel(
        recorder,
        interpreter,
        content=file,
        preserved=preserved,
        probe=probe,
        shadow=_make_shadow(interpreter, options) if plan.shadow and probe else None,
        options=options,
        init_ns=init_ns,
    )
    attach_litert_model(interpreter, model)


def instrument_interpreter(
    recorder: Recorder,
    interpreter: Any,
    *,
    path: str | os.PathLike[str] | None,
    preserved: bool,
    init_ns: int | None,
) -> None:
    """Trace an interpreter that exists already; arguments of `exray.instrument()`."""
    if litert_model_of(interpreter) is not None:
        return
    probe: LiteRTProbe | None = None
    if path is not None and has_native_library():
        probe = make_probe(interpreter.__class__, CapturePlan(probe=True, late=True))
        if probe is not None:
            probe.apply(interpreter)
    has_layers = path is not None and (probe is not None or preserved)
    if recorder.keeping.has_layers and not has_layers:
        # With auto=False nothing is patched, so a new one would be no better.
        anew = "construct it after exray.configure(), or " if recorder.config.auto else ""
        unnamed = "" if path else " Without path= its model is recorded as 'unknown'."
        log_once(
            "instrument boundary",
            "this Interpreter exists already: its inputs, outputs and times are recorded, its "
            f"layers are not. For layers, {anew}name its file: "
            "exray.instrument(interpreter, path='model.tflite'). Without exray's native library "
            "it must be constructed with experimental_preserve_all_tensors=True, and "
            f"preserved=True say so.{unnamed}",
        )
    options = {"model_path": str(path)}
    traced = LiteRTModel(
        recorder,
        interpreter,
        content=path,
        preserved=preserved,
        probe=probe,
        shadow=None if probe is None else _make_shadow(interpreter, options),
        init_ns=init_ns,
    )
    attach_litert_model(interpreter, traced)


def _make_shadow(interpreter: Any, options: Mapping[str, Any]) -> Shadow:
    """Return a second interpreter of the same model, with the same options, to be made."""
    kind = runtime_class_of(interpreter.__class__)
    chosen = {name: value for name, value in options.items() if name not in ("self", DELEGATES)}

    def make() -> tuple[Any, LiteRTProbe] | None:
        probe = make_probe(kind, CapturePlan(preserve=True, probe=True, late=True))
        if probe is None:
            return None
        with untraced(), without_preserve_warning():
            shadow = kind(**chosen | {PRESERVE: True})
            shadow.allocate_tensors()
        probe.allocated(shadow)
        return shadow, probe

    return Shadow(make)


def runtime_class_of(kind: type) -> Any:
    """Return the runtime's own class that a class of interpreters is or extends."""
    return next(base for base in kind.__mro__ if base.__module__ in LITERT_MODULES)


# --- execution --------------------------------------------------------------------------


def _invoke(find_recorder: FindRecorder, original: Any) -> Any:
    def invoke(self: Any, *args: Any, **kwargs: Any) -> Any:
        # First of all: what small networks can afford of each call is less than a microsecond.
        model = self.__dict__.get(MODEL_ATTRIBUTE)
        if model is not None and model.skip > 0 and current_frame.get() is None:
            if model.recorder.open and model.recorder is find_recorder():
                model.skip -= 1
                return original(self, *args, **kwargs)
            model.skip = 0
        if model is not None and model.timed_calls is not None and not (args or kwargs):
            done = model.timed_calls.trace(original, self)
            if done is not None:
                return done[0]
        own = None if model is None else model.recorder
        entered_ns: int | None = None
        with guard("time a call"):
            entered_ns = None if own is None else own.clock.monotonic_ns()
        model = _model_to_trace(self, find_recorder)
        if model is None:
            return original(self, *args, **kwargs)
        if model.recorder is not own:
            entered_ns = None  # of another clock
        call = functools.partial(original, self, *args, **kwargs)
        return trace_call(model, model, call, entered_ns)

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


def _allocate(original: Any) -> Any:
    def allocate_tensors(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        model = litert_model_of(self)
        if model is not None:
            with guard("watch an interpreter's layers"):
                model.allocated()
        return result

    return allocate_tensors


def _model_to_trace(interpreter: Any, find_recorder: FindRecorder) -> LiteRTModel | None:
    recorder = find_recorder()
    if recorder is None or is_untraced():
        return None
    model = litert_model_of(interpreter)
    if model is not None and model.recorder is not recorder:
        with guard("go on with another configuration"):
            model.rebind(recorder)
    return model
