"""OpenTelemetry instrumentors: an unchanged program's inferences in its own traces.

``opentelemetry-instrument python app.py`` finds them by their entry points. A program may
also call ``LiteRTInstrumentor().instrument()`` itself.
"""

from collections.abc import Collection
from importlib import metadata
from typing import TYPE_CHECKING, Any

from exray.schema.errors import MissingExtraError

from . import api
from .config import Level, resolve
from .guard import guard, log_once
from .recorder import Recorder
from .tracer_sink import TracerSink

if TYPE_CHECKING:  # its own module forbids checkers to look in

    class BaseInstrumentor:
        """OpenTelemetry's base of all instrumentors."""

        is_instrumented_by_opentelemetry: bool

        def instrument(self, **kwargs: Any) -> None:
            """Instrument, unless it is already or the runtime is not installed."""

        def uninstrument(self, **kwargs: Any) -> None:
            """Undo `instrument`."""

else:
    try:
        from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
    except ImportError:

        class BaseInstrumentor:
            """Stands in where the extra is not installed: this module imports all the same."""

            def __init__(self) -> None:
                raise MissingExtraError("otel", "an OpenTelemetry instrumentor")


_recorder: Recorder | None = None
"""Recorder of the instrumentors, while one of them is active."""


class _Instrumentor(BaseInstrumentor):
    """Traces one runtime's models into a tracer provider."""

    _runtime: api.Runtime

    def _instrument(self, **kwargs: Any) -> None:
        """Trace from here on.

        Args:
            kwargs: ``tracer_provider``, else the global one; ``build``, ``level`` and
                ``sampling`` as in `exray.configure()`.
        """
        with guard("instrument a runtime"):
            _start(self._runtime, **kwargs)

    def _uninstrument(self, **kwargs: Any) -> None:
        """Put the runtime's classes back, and end what was recorded."""
        with guard("uninstrument a runtime"):
            _stop(self._runtime)


class LiteRTInstrumentor(_Instrumentor):
    """Traces LiteRT's and ``tf.lite``'s interpreters and compiled models."""

    _runtime = "litert"

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return LiteRT, or TensorFlow where that brings the interpreter."""
        litert, tensorflow = "ai-edge-litert >= 2.0", "tensorflow >= 2.19"
        return (
            (litert,)
            if _is_installed("ai-edge-litert")
            else ((tensorflow,) if _is_installed("tensorflow") else (litert,))
        )


class KerasInstrumentor(_Instrumentor):
    """Traces Keras models, on TensorFlow."""

    _runtime = "keras"

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return Keras and the backend that is traced."""
        return ("keras >= 3", "tensorflow >= 2.19")


class ONNXRuntimeInstrumentor(_Instrumentor):
    """Traces ONNX Runtime's sessions."""

    _runtime = "onnx"

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the build of ONNX Runtime that is installed, the plain one where none is."""
        builds = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-silicon")
        found = next((name for name in builds if _is_installed(name)), builds[0])
        return (f"{found} >= 1.22",)


def _start(
    runtime: api.Runtime,
    tracer_provider: Any = None,
    build: str | None = None,
    level: str | None = None,
    sampling: str | None = None,
    **_: Any,
) -> None:
    global _recorder
    active = api.current_recorder()
    if active is not None and active is _recorder:
        api.trace_runtimes({*api.traced_runtimes(), runtime})
        return
    if active is not None:
        log_once(
            "instrumentor",
            "exray.configure() records already: its frames go where it says, and the OpenTelemetry "
            "instrumentors of exray add nothing. Use the one or the other.",
        )
        return
    sink = TracerSink(tracer_provider)
    # The host is not read: a span exporter has no place for what it says.
    config = resolve(
        build=build or _build_of(tracer_provider), level=level, sampling=sampling, host_period_s=0
    )
    if config.level is Level.OFF:
        return
    _recorder = Recorder(config, sink)
    api.start(_recorder, {runtime})


def _stop(runtime: api.Runtime) -> None:
    global _recorder
    if _recorder is None or api.current_recorder() is not _recorder:
        return
    left = api.traced_runtimes() - {runtime}
    if left:
        api.trace_runtimes(left)
        return
    _recorder = None
    api.shutdown()


def _build_of(provider: Any) -> str | None:
    """Return the version that a provider's resource states, which its spans will show."""
    resource = getattr(provider, "resource", None)
    version = resource and resource.attributes.get("service.version")
    return str(version) if version else None


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True
