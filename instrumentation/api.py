"""What an application calls, from `configure` to `shutdown`."""

import atexit
import os
import threading
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from exray.schema.errors import UsageError
from exray.schema.records import Run

from .compiled_model import CompiledModel
from .compiled_patching import (
    compiled_tracer_of,
    is_compiled_model,
    patch_compiled,
    trace_compiled_model,
)
from .config import Level, resolve
from .current import is_inside_frame
from .frames import frame_in_progress
from .guard import forget_logged, guard, log_once
from .keras_patching import patch_keras, trace_keras_model, traced_keras_model
from .litert_patching import (
    instrument_interpreter,
    is_interpreter,
    litert_model_of,
    patch_litert,
)
from .onnx_patching import instrument_session, is_session, onnx_model_of, patch_onnx
from .patching import FindRecorder, unpatch
from .recorder import Recorder
from .scopes import Frame, Stage
from .sensor_values import metrics_of_sensor
from .sinks import endpoint_of, is_lake_named, open_sink
from .stages import RecordingStage
from .traced_model import TracedModel
from .untraced import new_frame

Model = TypeVar("Model")

Runtime = Literal["litert", "keras", "onnx"]
"""Whose classes are patched; ``tf.lite`` is LiteRT's."""

_PATCHES: dict[Runtime, tuple[Callable[[FindRecorder], None], ...]] = {
    "litert": (patch_litert, patch_compiled),
    "keras": (patch_keras,),
    "onnx": (patch_onnx,),
}

RUNTIMES: frozenset[Runtime] = frozenset(_PATCHES)
"""All that can be traced."""

_lock = threading.RLock()
_recorder: Recorder | None = None
_runtimes: frozenset[Runtime] = frozenset()


def configure(
    *,
    build: str | None = None,
    role: str | None = None,
    lake: str | os.PathLike[str] | None = None,
    endpoint: str | None = None,
    spool: str | os.PathLike[str] | None = None,
    spool_bytes: int | None = None,
    is_sending_paused: Callable[[], bool] | None = None,
    level: str | None = None,
    layers: str | Sequence[str] | None = None,
    host_period_s: float | None = None,
    sampling: str | None = None,
    overhead_budget: float | None = None,
    privacy: str | None = None,
    fleet_secret: str | None = None,
    full_ring_bytes: int | None = None,
    auto: bool = True,
) -> None:
    """Start recording this process's inferences.

    From here on LiteRT, ``tf.lite``, Keras and ONNX Runtime models are traced, whether their
    classes are imported already or not. What was recorded is written every 30 s or sooner, by
    `flush()`, before a fork and at exit; a killed process loses at most the last 30 s.
    A second call ends the first configuration, its records written, and starts anew.

    Args:
        build: What shipped, such as ``1.4.2``. Default: ``service.version`` of
            ``OTEL_RESOURCE_ATTRIBUTES``, else ``EXRAY_BUILD``, else ``dev``.
        role: ``edge`` or ``reference``. Default: ``EXRAY_ROLE``, else ``edge``.
        lake: Folder of the lake, made where there is none. Default: ``EXRAY_LAKE``, else
            ``lake`` unless there is an endpoint.
        endpoint: OTLP server that gets the records, such as ``http://collector:4318``, by
            HTTP; a lake named beside it gets them too. Default: ``EXRAY_ENDPOINT``; where no
            lake is named either, ``OTEL_EXPORTER_OTLP_ENDPOINT``. Headers, timeout,
            compression and certificates are those of OpenTelemetry's variables.
        spool: Folder where what the endpoint has not taken yet is kept on disk, for this
            device alone; it is sent for as long as it takes, after a restart too. ``off``
            keeps it in memory. Default: ``EXRAY_SPOOL``, else ``$XDG_STATE_HOME/exray/spool``.
        spool_bytes: Most that a process keeps there; then the oldest goes. Default:
            ``EXRAY_SPOOL_BYTES``, else 256 MiB.
        is_sending_paused: Asked before each request whether it must wait in the spool, such
            as on a metered network.
        level: ``off``, ``latency``, ``summary``, ``distribution`` or, only where privacy is
            ``open``, ``full``. Default: ``off`` where ``OTEL_SDK_DISABLED`` is true, else
            ``EXRAY_LEVEL``, else ``summary``.
        layers: Which layers are summarised: ``["conv*", "op:FULLY_CONNECTED", "0-5"]`` by
            name, operator or index, ``[]`` for none, the model's inputs and outputs alone.
            ``=LEVEL`` behind a selector gives its layers a level of their own; the last
            selector that matches decides. Default: ``EXRAY_LAYERS``, else all.
        host_period_s: Time between readings of the host (load, memory, temperature,
            frequency, battery) while frames are recorded, seconds; 0 for none. Default:
            ``EXRAY_HOST_PERIOD_S``, else 5.
        sampling: ``budget``: as many frames are summarised, and in networks of less than a
            few milliseconds as many recorded at all, as *overhead_budget* allows. ``all``:
            every frame at *level*. Default: ``EXRAY_SAMPLING``, else ``budget``.
        overhead_budget: Mean share of the frames' own time that recording may take, above 0
            and at most 1. Default: ``EXRAY_OVERHEAD_BUDGET``, else 0.02.
        privacy: ``closed`` keeps too little of the inputs to rebuild them, and keys their
            file names and hashes; ``open`` keeps them as they are. ``docs/privacy.md`` says
            what that means. Default: ``EXRAY_PRIVACY``, else ``closed``.
        fleet_secret: Key of names and hashes, 16 bytes or more, the same on all devices
            that are to be compared. Default: ``EXRAY_FLEET_SECRET``, else with privacy
            ``closed`` one of this installation's own, and nothing pairs with other devices.
        full_ring_bytes: Most that whole tensors take on disk; then the oldest frames' go.
            Default: ``EXRAY_FULL_RING_BYTES``, else 1 GiB.
        auto: Trace every model constructed or called from here on; False leaves them
            alone but for those given to `instrument()`.

    Raises:
        UsageError: An argument is not one of the values allowed. A variable that is not,
            or a lake that cannot be opened, is logged, and the application runs on.
    """
    config = resolve(
        build=build,
        role=role,
        lake=lake,
        level=level,
        layers=layers,
        host_period_s=host_period_s,
        sampling=sampling,
        overhead_budget=overhead_budget,
        privacy=privacy,
        fleet_secret=fleet_secret,
        full_ring_bytes=full_ring_bytes,
        spool=spool,
        spool_bytes=spool_bytes,
        auto=auto,
    )
    lake_named = is_lake_named(lake)
    server = endpoint_of(endpoint, lake_named=lake_named)
    shutdown()
    if config.level == Level.OFF:
        return
    with guard("start recording"):
        sink = open_sink(
            config,
            server,
            into_lake=lake_named or server is None,
            is_paused=_guarded(is_sending_paused),
        )
        if sink is not None:
            start(Recorder(config, sink))


def _guarded(is_paused: Callable[[], bool] | None) -> Callable[[], bool]:
    """Return the application's hook so that nothing it raises stops the sending."""

    def asked() -> bool:
        with guard("ask whether sending is paused"):
            return is_paused is not None and bool(is_paused())
        return False

    return asked


def start(recorder: Recorder, runtimes: AbstractSet[Runtime] = RUNTIMES) -> None:
    """Make *recorder* the process's own and patch the runtimes.

    For playback, instrumentors and tests.

    Args:
        recorder: Takes what is recorded.
        runtimes: Those whose models are traced.
    """
    global _recorder
    with _lock:
        shutdown()
        forget_logged()
        _recorder = recorder
        trace_runtimes(runtimes)


def trace_runtimes(runtimes: AbstractSet[Runtime]) -> None:
    """Trace the models of *runtimes* and of no other, with the recorder as it is."""
    global _runtimes
    with _lock:
        unpatch()
        _runtimes = frozenset(runtimes)
        if _recorder is not None:
            _recorder.traced = object()
        for runtime in _runtimes:
            for patch in _PATCHES[runtime]:
                patch(partial(_recorder_of, runtime))


def traced_runtimes() -> frozenset[Runtime]:
    """Return the runtimes whose models are traced."""
    return _runtimes if _recorder is not None else frozenset()


def shutdown() -> None:
    """Write what was recorded, put every patched class back, and record no more."""
    global _recorder
    with _lock:
        recorder, _recorder = _recorder, None
        unpatch()
    if recorder is not None:
        with guard("end recording"):
            recorder.shutdown()


def flush(timeout_s: float = 30.0) -> bool:
    """Write what was recorded so far.

    Returns:
        Whether everything was written within *timeout_s*; True where nothing is recorded.
    """
    recorder = _recorder
    if recorder is None:
        return True
    with guard("flush the records"):
        return recorder.flush(timeout_s)
    return False


def frame(input_id: str | None = None, label: object = None) -> Frame:
    """Open a frame: one input through the pipeline.

    Everything that happens inside belongs to it: inferences, stages, recorded values, the
    application's own OpenTelemetry spans. It is open in this thread, or this task and the
    tasks that it starts.

    Args:
        input_id: Name of the input, equal on edge and reference: it joins them. Default:
            the hash of the model input's bytes.
        label: True class index or name, for the accuracy.

    Example:
        >>> with frame(input_id="0001.jpg", label=3) as f:
        ...     pass
    """
    recorder = _recorder
    if recorder is not None:
        with guard("make a frame"):
            name = None if input_id is None else str(input_id)
            return new_frame(recorder, name, label)
    return Frame()


def stage(name: str) -> Stage:
    """Open a stage: a named step of the open frame, outside the model.

    Outside a frame it records nothing.
    """
    if _recorder is not None:
        with guard("make a stage"):
            current = frame_in_progress()
            if current is not None:
                return RecordingStage(current, str(name))
            if not is_inside_frame():
                log_once(
                    "stage", f"exray.stage({str(name)!r}) outside exray.frame() records nothing."
                )
    return Stage()


def record(name: str, value: object) -> None:
    """Record a number (as a metric) or an array (summarised) with the open frame."""
    if _recorder is None:
        return
    with guard("record a value"):
        current = frame_in_progress()
        if current is not None:
            current.custom(str(name), value)
        elif not is_inside_frame():
            log_once("record", f"exray.record({name!r}) outside exray.frame() records nothing.")


def sensor(name: str, value: object, /, unit: str = "1", **attributes: object) -> None:
    """Record what a sensor says: with the open frame, else by its time with those that follow.

    Args:
        name: The sensor, such as ``light`` or ``orientation``.
        value: A number, or a sequence of numbers: one series for each of them then.
        unit: UCUM unit, such as ``lx``, ``deg``, ``%``.
        attributes: What tells this series from others of the name, such as ``place="front"``.

    Example:
        >>> sensor("light", 310.0, "lx", place="front")
        >>> sensor("orientation", (12.0, -80.5, 3.0), "deg")
    """
    recorder = _recorder
    if recorder is None:
        return
    with guard("record a sensor's value"):
        metrics = metrics_of_sensor(
            str(name), value, str(unit), attributes, recorder.clock.now_ns()
        )
        current = frame_in_progress()
        if current is not None:
            current.sensor(metrics)
        else:
            recorder.add_metrics(metrics)


def instrument(
    model: Model,
    *,
    path: str | os.PathLike[str] | None = None,
    preserved: bool = False,
    init_ns: int | None = None,
) -> Model:
    """Trace one model object that exists already, and return it.

    The layers of a LiteRT or ``tf.lite`` interpreter are seen if *path* names its file and
    exray has its native library; else it is traced at its inputs and outputs alone, and the
    log says so. One that is traced already stays as it is.

    Args:
        model: An interpreter, a compiled model of LiteRT, a Keras model or a session of ONNX
            Runtime, which knows its file itself.
        path: Its model file; without it layers and file are unknown.
        preserved: The interpreter was constructed with
            ``experimental_preserve_all_tensors=True``, which shows its layers without the
            native library too.
        init_ns: Time that loading it took, nanoseconds.
    """
    recorder = _recorder
    if recorder is None:
        log_once("instrument", "exray.instrument() before exray.configure() traces nothing.")
        return model
    with guard("instrument a model"):
        if is_interpreter(model):
            instrument_interpreter(recorder, model, path=path, preserved=preserved, init_ns=init_ns)
        elif isinstance(model, CompiledModel):
            pass  # it is traced from the start
        elif is_compiled_model(model):
            if compiled_tracer_of(model) is None:
                trace_compiled_model(recorder, model, content=path, init_ns=init_ns)
        elif is_session(model):
            instrument_session(recorder, model, path=path, init_ns=init_ns)
        elif any(base.__module__.startswith("keras.") for base in type(model).__mro__):
            file = None if path is None else Path(path)
            trace_keras_model(recorder, model, path=file, init_ns=init_ns)
        else:
            msg = (
                f"exray.instrument() got {type(model).__module__}.{type(model).__qualname__}; "
                "expected a LiteRT or tf.lite Interpreter, a LiteRT CompiledModel, a Keras model, or an "
                "onnxruntime InferenceSession"
            )
            raise UsageError(msg)
    return model


def run_of(model: object) -> Run | None:
    """Return the run that a traced model's executions are recorded as, once there was one."""
    traced: TracedModel | None = (
        litert_model_of(model)
        if is_interpreter(model)
        else compiled_tracer_of(model) or onnx_model_of(model) or traced_keras_model(model)
    )
    return None if traced is None else traced.run


def current_recorder() -> Recorder | None:
    """Return the process's recorder, None while nothing is recorded."""
    return _recorder


def _recorder_of(runtime: Runtime) -> Recorder | None:
    """Return the process's recorder for the models of *runtime*."""
    return _recorder if runtime in _runtimes else None


def _after_fork_in_child() -> None:
    """A child is a process of its own, and so has runs of its own."""
    global _lock
    _lock = threading.RLock()
    if _recorder is not None:
        with guard("go on in a forked process"):
            _recorder.restart()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(shutdown)
