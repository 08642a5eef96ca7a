"""Checks of one's own: Python functions and SQL files that a diagnosis asks too."""

from .assertion import Assertion, CannotTellError, assertion
from .run import finder_of
from .seen import Frame, Pair, Tensor
from .sources import load_assertions

__all__ = [
    "Assertion",
    "CannotTellError",
    "Frame",
    "Pair",
    "Tensor",
    "assertion",
    "finder_of",
    "load_assertions",
]
