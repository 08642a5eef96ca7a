"""Every finder that a diagnosis asks: a family of causes is one line here."""

from .candidates import find_preprocessing
from .causes import Finder
from .layers.delegates import find_delegate_causes
from .layers.find import find_layer_causes
from .symptoms import find_health, find_labels, find_state, find_times

FINDERS: tuple[Finder, ...] = (
    find_preprocessing,
    find_layer_causes,
    find_delegate_causes,
    find_health,
    find_labels,
    find_state,
    find_times,
)
"""In the order of the pipeline: inputs, preprocessing, model, health, time."""
