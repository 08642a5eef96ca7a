"""The native probe on an interpreter of LiteRT or ``tf.lite``."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from .guard import guard, log_once, logger
from .native_library import LIBRARY_PATH, native_library
from .probe import Mode, Probe, Recording


@dataclass(frozen=True, slots=True)
class CapturePlan:
    """How an interpreter is constructed and watched.

    Args:
        preserve: Keep every operator's tensors: with XNNPACK each is a partition of its own
            then, which the probe sees.
        probe: Watch it with the native probe.
        early: Apply the probe at construction, before XNNPACK takes its operators: to be
            its profiler, or to watch builtin kernels.
        late: Apply the probe after the first allocation, when XNNPACK has them.
        shadow: Summarise on a second interpreter that preserves its tensors, for the frames
            that are sampled; the application's own is not slowed.
    """

    preserve: bool = False
    probe: bool = False
    early: bool = False
    late: bool = False
    shadow: bool = False

    @property
    def events(self) -> bool:
        """Whether delegates are asked for their operators' times."""
        return self.early and self.late


FEW_MACS = 20_000_000
"""Multiply-accumulates below which XNNPACK takes well under a millisecond. To be ready to tell
its operators' times costs it some microseconds in every invocation, told or not: of such a
network that is more than a budget has."""


def plan_capture(
    kernels: str,
    *,
    native: bool,
    summaries: bool,
    arrays: bool,
    every_frame: bool,
    alone: bool,
    macs: int | None,
) -> CapturePlan:
    """Decide how to watch an interpreter.

    Args:
        kernels: Kernel family that its constructor chooses.
        native: The native library is there.
        summaries: Tensors are summarised.
        arrays: And the tensors themselves are needed.
        every_frame: In every frame, not in a sample.
        alone: The application brings no delegate of its own.
        macs: Multiply-accumulates of the model; None where they are not known.
    """
    if not native:
        return CapturePlan(preserve=summaries)
    if kernels in ("builtin", "reference"):
        return CapturePlan(preserve=arrays, probe=True, early=True, late=not alone)
    if summaries and (every_frame or arrays or not alone):
        return CapturePlan(preserve=True, probe=True, late=True)
    is_small = not every_frame and macs is not None and macs < FEW_MACS
    return CapturePlan(probe=True, early=not is_small, late=True, shadow=True)


class LiteRTProbe:
    """One interpreter's probe, and when it is applied.

    Args:
        probe: The probe.
        late: It has to be applied once more, after the first allocation.
    """

    def __init__(self, probe: Probe, *, late: bool) -> None:
        self._probe: Probe | None = probe
        self._late = late
        self._recording = False

    @property
    def delegate(self) -> Any:
        """What the interpreter's constructor takes; None once the probe is given up."""
        return None if self._probe is None else self._probe.delegate

    @property
    def is_late(self) -> bool:
        """Whether it waits for the first allocation."""
        return self._late and self._probe is not None

    def apply(self, interpreter: Any) -> None:
        """Watch the nodes of *interpreter* as they are."""
        if self._probe is not None:
            self._probe.attach(interpreter)
            self._check(self._probe)

    def allocated(self, interpreter: Any) -> None:
        """Watch what delegates have made of the graph; only the first allocation changes it."""
        if self._late:
            self._late = False
            self.apply(interpreter)

    def begin(self, mode: Mode, family: int) -> None:
        """Record the invocation that follows on this thread."""
        if self._probe is not None:
            self._probe.begin(mode, family)
            self._recording = True

    def end(self) -> Recording | None:
        """Return what was recorded, None where nothing was."""
        if self._probe is None or not self._recording:
            return None
        self._recording = False
        recording = self._probe.end()
        if recording.dropped:
            log_dropped(recording.dropped)
        return recording

    @property
    def watching(self) -> Probe | None:
        """The probe, once it watches all that it will: not before the first allocation."""
        return None if self._late else self._probe

    def select(self, subgraph: int, node: int, *, selected: bool) -> None:
        """Leave a node's outputs out of what is summarised, or take them in again."""
        if self._probe is not None:
            self._probe.select(subgraph, node, selected=selected)

    def _check(self, probe: Probe) -> None:
        refusal = probe.refusal
        if refusal:
            self._probe = None
            log_once(
                "probe refused",
                f"the native probe stands aside, because this runtime is not as it expects "
                f"({refusal}): layers have no times.",
            )


def log_dropped(records: int) -> None:
    """Log that there was no room for that many records of one invocation."""
    log_once(
        "probe dropped",
        f"the native probe had no room for {records} records of one invocation, as of a loop "
        "with many rounds: those layers are not recorded.",
    )


def make_probe(interpreter_class: type, plan: CapturePlan) -> LiteRTProbe | None:
    """Return a probe for an interpreter of a class, None where there can be none."""
    library = native_library().handle
    load_delegate = _load_delegate_of(interpreter_class)
    if library is None or load_delegate is None or not plan.probe:
        return None
    with guard("make a native probe"):
        probe = Probe(library, load_delegate, str(LIBRARY_PATH), events=plan.events)
        return LiteRTProbe(probe, late=plan.late)
    return None


def has_native_library() -> bool:
    """Whether there is a probe to watch interpreters with; says once why not."""
    library = native_library()
    if library.handle is None:
        _say_absent(library.reason)
    return library.handle is not None


@cache
def _say_absent(reason: str) -> None:
    """Log it once in a process: no other configuration changes it."""
    logger.warning(
        "exray runs without its native library (%s): layers of LiteRT models have no times, and "
        "summaries take longer.",
        reason,
    )


def _load_delegate_of(interpreter_class: type) -> Callable[..., Any] | None:
    """Return ``load_delegate`` of the module that defines a class of interpreters."""
    for base in interpreter_class.__mro__:
        module = sys.modules.get(base.__module__)
        function: Callable[..., Any] | None = getattr(module, "load_delegate", None)
        if function is not None:
            return function
    return None
