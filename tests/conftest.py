"""Fixtures that every test may use."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from exray.instrumentation.litert_probe import has_native_library
from exray.instrumentation.native_library import native_library


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of the real networks and inputs; skips where it is absent."""
    folder = os.environ.get("EXRAY_TEST_DATA", "")
    if not folder:
        pytest.skip("EXRAY_TEST_DATA is not set: no real networks and inputs here")
    if not Path(folder).is_dir():
        pytest.skip(f"EXRAY_TEST_DATA names {folder!r}, which is not a folder")
    return Path(folder)


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:  # pyright: ignore[reportUnusedFunction] - autouse
    """Keep what a test run stores for its user away from that user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _own_mistakes_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    """Let nothing hide under the guard; a test of the guard itself unsets this."""
    monkeypatch.setenv("EXRAY_GUARD", "raise")


@pytest.fixture(autouse=True, scope="session")
def _absent_library_is_said_before() -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    """Where there is no native library, that is logged once in a process: not in a test."""
    has_native_library()


@pytest.fixture
def without_native_library(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Do without the native library, as where no compiler built it."""
    monkeypatch.setenv("EXRAY_NATIVE", "off")
    native_library.cache_clear()
    has_native_library()
    yield
    native_library.cache_clear()
