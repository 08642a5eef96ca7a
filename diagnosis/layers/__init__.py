"""Causes inside the model: the layer at fault, and what is wrong with it."""
