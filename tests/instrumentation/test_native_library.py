"""The native library is used where it is there and fits, and its absence has a reason."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from exray.instrumentation import native_library as module
from exray.instrumentation.native_library import LIBRARY_PATH, load_library, native_library


@pytest.fixture(autouse=True)
def _load_anew() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction] - autouse
    native_library.cache_clear()
    yield
    native_library.cache_clear()


def compile_library(source: str, folder: Path) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    path = folder / "library.so"
    command = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(path)]
    subprocess.run(command, input=source.encode(), check=True)
    return path


def test_the_environment_disables_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXRAY_NATIVE", "Off")

    found = native_library()

    assert (found.handle, found.reason) == (None, "EXRAY_NATIVE=off disables it")


def test_a_library_that_was_not_built_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXRAY_NATIVE", raising=False)
    monkeypatch.setattr(module, "LIBRARY_PATH", Path("nowhere", "libexray_probe.so"))

    found = native_library()

    assert found.handle is None
    assert "nowhere/libexray_probe.so does not exist" in found.reason


def test_a_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "libexray_probe.so"
    path.write_bytes(b"not a library")

    found = load_library(path)

    assert found.handle is None
    assert f"{path} cannot be loaded" in found.reason


def test_a_library_of_another_version_is_refused(tmp_path: Path) -> None:
    path = compile_library("int exray_abi_version(void) { return -7; }", tmp_path)

    found = load_library(path)

    assert found.handle is None
    assert f"interface version -7, expected {module.ABI_VERSION}" in found.reason


def test_a_library_that_is_somebody_elses_is_refused(tmp_path: Path) -> None:
    found = load_library(compile_library("int something;", tmp_path))

    assert found.handle is None
    assert "exray_abi_version" in found.reason


def test_a_library_of_this_version_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXRAY_NATIVE", raising=False)
    if not LIBRARY_PATH.is_file():
        pytest.skip("the native library is not built here")

    found = native_library()

    assert (found.handle is not None, found.reason) == (True, "")
    assert native_library() is found
