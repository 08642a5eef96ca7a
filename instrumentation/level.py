"""How much is kept of a frame."""

from enum import IntEnum

from exray.schema.errors import UsageError


class Level(IntEnum):
    """How much is kept of a frame; each level holds those before it."""

    OFF = 0
    """Nothing is patched or recorded."""
    LATENCY = 1
    """Frames, stages and inferences with their times, and the hash of the output."""
    SUMMARY = 2
    """And a summary of every tensor."""
    DISTRIBUTION = 3
    """And each tensor's histogram, and the sums and extremes of its channels."""
    FULL = 4
    """And the tensors themselves, in a bounded ring of frames beside the lake's tables."""

    @classmethod
    def parse(cls, text: str) -> "Level":
        """Return the level named *text*.

        Raises:
            UsageError: There is no such level.
        """
        name = str(text).lower()
        names = [str(level) for level in cls]
        if name not in names:
            msg = f"level {text!r} is unknown; expected one of {', '.join(names)}"
            raise UsageError(msg)
        return cls[name.upper()]

    def __str__(self) -> str:
        return self.name.lower()
