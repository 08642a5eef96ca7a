"""Recorded inputs through an edge or a reference pipeline, with the outcome's statistics."""
