"""How a process that does nothing else than to take requests, or to drain them, deals with memory."""

import ctypes
import gc
import os

KEPT_BYTES = 16 << 20
"""Of what the allocator has at hand for the next requests, in each thread's part."""

MAPPED_BYTES = 4 << 20
"""What is larger is asked of the kernel, and given back to it."""

SET_BYTES = 1 << 30
"""More than a set of requests takes on its way through the drain."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h


def keep_what_is_loaded() -> None:
    """Spare the garbage collector the modules: it would look through them again and again."""
    gc.collect()
    gc.freeze()


def keep_what_is_freed() -> None:
    """Have memory that is freed kept for the next request.

    glibc gives it back to the kernel again and again, which clears each page of it for the next
    one: a tenth of the work of a small request. Another C library goes its own way.
    """
    _set_limits(KEPT_BYTES, MAPPED_BYTES)  # the second otherwise follows what is freed


def keep_what_a_set_frees() -> None:
    """Have the memory of a set of requests kept for the next set; before pyarrow is loaded.

    Arrow's own allocator holds what Python's cannot use, and both give back to the kernel what
    the next set takes again, cleared page by page.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    _set_limits(SET_BYTES, SET_BYTES)


def _set_limits(kept_bytes: int, mapped_bytes: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, kept_bytes)
        mallopt(_MMAP_THRESHOLD, mapped_bytes)
