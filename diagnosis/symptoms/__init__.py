"""Finders that look at one build's own numbers: health, labels, state, time."""

from .health import find_health
from .labels import find_labels
from .state import find_state
from .times import find_times

__all__ = ["find_health", "find_labels", "find_state", "find_times"]
