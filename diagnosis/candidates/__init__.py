"""What went wrong before the model: alternatives of the declared preprocessing, tried out."""

from .finder import find_preprocessing

__all__ = ["find_preprocessing"]
