"""A made-up fleet with known faults, to look at the dashboards with."""

from .fleet import DEVICE_MODELS, HOUR_NS, Faults, Fleet
from .write import write_sample

__all__ = ["DEVICE_MODELS", "HOUR_NS", "Faults", "Fleet", "write_sample"]
