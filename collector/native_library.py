"""The collector's native library: `libexray_otlp.so`, built from `native/` beside this file.

It looks at requests before they are acknowledged, and reads exray's own spans. Without it both
is done in Python, with the same outcome.
"""

import ctypes
from functools import lru_cache
from pathlib import Path

from exray.instrumentation.native_library import (
    UNWANTED,
    NativeLibrary,
    is_unwanted,
    load_library,
)

ABI_VERSION = 2
"""What `exray_otlp_abi_version()` must return; see `native/abi.h`."""

LIBRARY_PATH = Path(__file__).with_name("native") / "libexray_otlp.so"


@lru_cache(maxsize=1)
def otlp_library() -> NativeLibrary:
    """Load the library the first time it is asked for, unless ``EXRAY_NATIVE`` is ``off``."""
    if is_unwanted():
        return UNWANTED
    library = load_library(LIBRARY_PATH, ABI_VERSION, "exray_otlp_abi_version")
    if library.handle is not None:
        for name in ("exray_otlp_places", "exray_otlp_texts"):
            library.handle[name].restype = ctypes.c_int64
        # With types a call makes an address and a size of plain numbers.
        library.handle.exray_otlp_check.argtypes = [
            ctypes.c_void_p,
            ctypes.c_int64,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        library.handle.exray_otlp_places.argtypes = [
            ctypes.c_char_p,
            ctypes.c_int64,
            ctypes.c_int64,
            ctypes.c_int64,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.POINTER(ctypes.c_int64),
        ]
        for name in ("exray_otlp_spans", "exray_otlp_floats", "exray_otlp_hex_ids"):
            library.handle[name].restype = None
    return library
