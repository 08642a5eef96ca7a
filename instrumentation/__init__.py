"""What runs beside the model: adapters, tensor summaries, frames and stages."""

from .api import configure, flush, frame, instrument, record, sensor, shutdown, stage
from .scopes import Frame, Stage

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
