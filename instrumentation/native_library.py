"""Find and load the native library, or say why there is none.

It is `libexray_probe.so`, built from `native/` beside this file: summaries at the speed of
memory, and the probe that runtimes load. Without it everything still works in Python.
"""

import ctypes
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ABI_VERSION = 4
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
    return UNWANTED if is_unwanted() else load_library(LIBRARY_PATH)


UNWANTED = NativeLibrary(None, "EXRAY_NATIVE=off disables it")


def is_unwanted() -> bool:
    """Tell whether the environment says to do without native libraries."""
    return os.environ.get("EXRAY_NATIVE", "").strip().lower() == "off"


def load_library(
    path: Path, version: int = ABI_VERSION, version_function: str = "exray_abi_version"
) -> NativeLibrary:
    """Load the library at *path* and check that its function says this version."""
    if not path.is_file():
        return NativeLibrary(None, f"{path} does not exist: no compiler built it here")
    try:
        handle = ctypes.CDLL(str(path))
        found = int(handle[version_function]())
    except (OSError, AttributeError) as error:
        return NativeLibrary(None, f"{path} cannot be loaded: {error}")
    if found != version:
        reason = (
            f"{path} has interface version {found}, expected {version}: build it again "
            "(pip install -e .)"
        )
        return NativeLibrary(None, reason)
    return NativeLibrary(handle)
