"""Every finder that a diagnosis asks: a family of causes is one line here."""

from .causes import Finder

FINDERS: tuple[Finder, ...] = ()
"""In the order of the pipeline: inputs, preprocessing, model, health, time."""
