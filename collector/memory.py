"""How a process that does nothing else than to take requests deals with its memory."""

import ctypes
import gc

KEPT_BYTES = 16 << 20
"""Of what the allocator has at hand for the next requests, in each thread's part."""

MAPPED_BYTES = 4 << 20
"""What is larger is asked of the kernel, and given back to it."""

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
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, MAPPED_BYTES)  # which otherwise follows what is freed
