"""See what a neural network really did on the device, layer by layer.

Two lines in an application::

    import exray

    exray.configure(build="1.4.2", role="edge", lake="lake")

From here on every inference of LiteRT, ``tf.lite`` and Keras models is recorded.
"""

from exray.instrumentation import (
    Frame,
    Stage,
    configure,
    flush,
    frame,
    instrument,
    record,
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
    "shutdown",
    "stage",
]
