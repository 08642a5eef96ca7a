"""Spans of exray's in OpenTelemetry's context, where the application's own spans see them.

A frame stands below the span that the application has open, and an application's span
inside a frame or stage stands below that: one trace, whoever records which span.
"""

from contextvars import ContextVar, Token
from dataclasses import dataclass

from opentelemetry import context as otel_context
from opentelemetry import trace as otel_trace

from exray.schema.identity import new_trace_id

from .guard import guard

_SAMPLED = otel_trace.TraceFlags(otel_trace.TraceFlags.SAMPLED)


@dataclass(slots=True)  # a frozen one takes a microsecond longer to make
class Surroundings:
    """Where in the application's traces a new span stands.

    Args:
        trace_id: The application's, or a new one.
        parent_span_id: The application's open span, None for a root.
        flags: Whether the application samples this trace: its own spans below ours ask
            that, and must not become more than it wants, though ours are kept anyway.
        state: The trace state to hand on.
    """

    trace_id: bytes
    parent_span_id: bytes | None
    flags: otel_trace.TraceFlags
    state: otel_trace.TraceState | None

    @classmethod
    def here(cls, *, asks_sampler: bool = True) -> "Surroundings":
        """Return those of the running code.

        Args:
            asks_sampler: Whether the application's sampler decides on the flags of a new
                trace; without spans of its own below, nobody reads them.
        """
        open_span = otel_trace.get_current_span().get_span_context()
        if not open_span.is_valid:
            trace_id = new_trace_id()
            flags = _root_flags(trace_id) if asks_sampler else _SAMPLED
            return cls(trace_id, None, flags, None)
        return cls(
            open_span.trace_id.to_bytes(16, "big"),
            open_span.span_id.to_bytes(8, "big"),
            open_span.trace_flags,
            open_span.trace_state,
        )


def _root_flags(trace_id: bytes) -> otel_trace.TraceFlags:
    """Return what the application's own sampler says of a new trace: its root is ours."""
    with guard("ask the application's sampler"):
        sampler = getattr(otel_trace.get_tracer_provider(), "sampler", None)
        if sampler is not None:
            result = sampler.should_sample(None, int.from_bytes(trace_id, "big"), "frame")
            if not result.decision.is_sampled():
                return otel_trace.TraceFlags.get_default()
    return _SAMPLED


_innermost: ContextVar["ActiveSpan | None"] = ContextVar("exray_active_span", default=None)


class ActiveSpan:
    """A span that is the active one from its construction until `leave`.

    Args:
        span_id: Of the span.
        surroundings: Its trace.
    """

    def __init__(self, span_id: bytes, surroundings: Surroundings) -> None:
        context = otel_trace.SpanContext(
            int.from_bytes(surroundings.trace_id, "big"),
            int.from_bytes(span_id, "big"),
            is_remote=False,
            trace_flags=surroundings.flags,
            trace_state=surroundings.state,
        )
        active = otel_trace.set_span_in_context(otel_trace.NonRecordingSpan(context))
        self._own_token: Token[ActiveSpan | None] = _innermost.set(self)
        self._token = otel_context.attach(active)

    @property
    def is_innermost(self) -> bool:
        """Whether no span of ours was made active after this one here."""
        return _innermost.get() is self

    def leave(self) -> None:
        """Make the span that was active before it active again.

        A generator may be closed in another context than the one it was opened in: there
        is nothing to put back there, and OpenTelemetry would log an error.
        """
        try:
            _innermost.reset(self._own_token)
        except (ValueError, RuntimeError):
            return
        otel_context.detach(self._token)
