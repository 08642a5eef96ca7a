"""From the log of received requests into a lake, each span once."""

from .drain import DrainStatus, drain

__all__ = ["DrainStatus", "drain"]
