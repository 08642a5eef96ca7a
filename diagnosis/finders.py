"""Every finder that a diagnosis asks: a family of causes is one line here."""

from .candidates import find_preprocessing
from .causes import Finder

FINDERS: tuple[Finder, ...] = (find_preprocessing,)
"""In the order of the pipeline: inputs, preprocessing, model, health, time."""
