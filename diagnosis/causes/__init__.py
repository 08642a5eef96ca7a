"""Why two runs part: what a cause is, who looks for which, and the order of what they say."""

from .cause import Cause, Finder, Where, ranked
from .scene import Replay, Scene

__all__ = ["Cause", "Finder", "Replay", "Scene", "Where", "ranked"]
