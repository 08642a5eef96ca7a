"""The frame that is open here, whichever kind it is."""

from abc import ABC, abstractmethod
from contextvars import ContextVar

from .scopes import Frame


class OpenableFrame(Frame, ABC):
    """A frame that is open from its entry to its exit."""

    __slots__ = ()

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether it is open, in this process, with a recorder that takes it."""

    @property
    @abstractmethod
    def is_entered(self) -> bool:
        """Whether the application is inside its block."""

    @property
    @abstractmethod
    def is_recorded(self) -> bool:
        """Whether it is to be recorded, as far as that is decided."""


current_frame: ContextVar[OpenableFrame | None] = ContextVar("exray_frame", default=None)
"""The frame opened last in this thread or task, or in what started the task."""


def open_frame() -> OpenableFrame | None:
    """Return the frame that is open here, recorded or not.

    A task inherits the frame it was started in, and may outlive it: that one is closed, as
    is one that a fork left behind, or one whose recorder was shut down.
    """
    frame = current_frame.get()
    return frame if frame is not None and frame.is_open else None


def is_inside_frame() -> bool:
    """Whether this is inside a frame's block, even one that could not be opened."""
    frame = current_frame.get()
    return frame is not None and frame.is_entered
