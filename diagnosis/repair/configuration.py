"""What an edge runs, as far as a repair can change it."""

from dataclasses import dataclass
from pathlib import Path

from exray.playback.spec import PreprocessSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A model file and what stands around it.

    Args:
        model: The model file.
        spec: How inputs are preprocessed; None for the default.
        kernels: Kernel family of a .tflite file; None for the runtime's own choice.
        class_shift: Added to each class that the model names.
        resets: Whether the model forgets each input before the next one.
    """

    model: Path
    spec: PreprocessSpec | None = None
    kernels: str | None = None
    class_shift: int = 0
    resets: bool = False
