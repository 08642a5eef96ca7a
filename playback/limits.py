"""Bounds of what a playback may be asked for."""

MAX_THREADS = 256
"""Threads of a runtime: above, it may fail to start them, and end the process."""
