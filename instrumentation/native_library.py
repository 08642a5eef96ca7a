"""Find and load the native library, or say why there is none.

It is `libexray_probe.so`, built from `native/` beside this file: summaries at the speed of
memory, and the probe that runtimes load. Without it everything still works in Python.
"""

import ctypes
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ABI_VERSION = 2
"""What `exray_abi_version()` must return; see `native/abi.h`."""

LIBRARY_PATH = Path(__file__).with_name("native") / "libexray_probe.so"


@dataclass(frozen=True, slots=True)
class NativeLibrary:
    """The library, or the reason why it is not used.

    Args:
        handle: The loaded library; None where it is not used.
        reason: Why not, as half a sentence; empty where it is.
    """

    handle: ctypes.CDLL | None
    reason: str = ""


@lru_cache(maxsize=1)
def native_library() -> NativeLibrary:
    """Load the library the first time it is asked for.

    ``EXRAY_NATIVE=off`` in the environment keeps it from being loaded.
    """
    if os.environ.get("EXRAY_NATIVE", "").strip().lower() == "off":
        return NativeLibrary(None, "EXRAY_NATIVE=off disables it")
    return load_library(LIBRARY_PATH)


def load_library(path: Path) -> NativeLibrary:
    """Load the library at *path* and check that it is of this version."""
    if not path.is_file():
        return NativeLibrary(None, f"{path} does not exist: no compiler built it here")
    try:
        handle = ctypes.CDLL(str(path))
        found = int(handle.exray_abi_version())
    except (OSError, AttributeError) as error:
        return NativeLibrary(None, f"{path} cannot be loaded: {error}")
    if found != ABI_VERSION:
        reason = (
            f"{path} has interface version {found}, expected {ABI_VERSION}: build it again "
            "(pip install -e .)"
        )
        return NativeLibrary(None, reason)
    return NativeLibrary(handle)
