"""See what a neural network really did on the device, layer by layer.

Two lines in an application::

    import exray

    exray.configure(build="1.4.2", role="edge", lake="lake")

From here on every inference of LiteRT, ``tf.lite``, Keras and ONNX Runtime models is recorded.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exray.instrumentation import (
        Frame,
        Stage,
        configure,
        flush,
        frame,
        instrument,
        record,
        sensor,
        shutdown,
        stage,
    )

__all__ = [
    "Frame",
    "Stage",
    "configure",
    "flush",
    "frame",
    "instrument",
    "record",
    "sensor",
    "shutdown",
    "stage",
]

if not TYPE_CHECKING:  # a checker that saw it would take any name for an attribute

    def __getattr__(name: str) -> object:
        """Import instrumentation at its first use: commands that read a lake do without."""
        if name not in __all__:
            msg = f"module 'exray' has no attribute {name!r}"
            raise AttributeError(msg)
        from exray import instrumentation

        globals().update({public: getattr(instrumentation, public) for public in __all__})
        return globals()[name]

    def __dir__() -> list[str]:
        """Name what an import may take, imported already or not."""
        return sorted({*globals(), *__all__})
