import ctypes
import importlib.util
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace

import pytest

from exray.instrumentation import compiled_capi
from exray.instrumentation.compiled_capi import CApi, Handle, Layout, RankedTensorType, load_capi
from exray.instrumentation.compiled_events import EVENT
from exray.schema.errors import MissingExtraError, UsageError

from .builders import litert


@pytest.fixture(autouse=True)
def _load_anew() -> Generator[None]:  # pyright: ignore[reportUnusedFunction] - autouse
    load_capi.cache_clear()
    yield
    load_capi.cache_clear()


@pytest.mark.parametrize("version", ["2.1.6", "2.2.0", "2.3.0", "2.3.7"])
def test_a_version_that_was_tried_is_loaded(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    litert()
    monkeypatch.setattr(compiled_capi, "package_version", lambda _: version)

    assert isinstance(load_capi(), CApi)


@pytest.mark.parametrize("version", ["2.0.2", "2.1.5", "2.4.0", "3.0.0", "nightly", ""])
def test_another_version_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    litert()
    monkeypatch.setattr(compiled_capi, "package_version", lambda _: version)

    with pytest.raises(UsageError, match="was not tried") as caught:
        load_capi()
    assert version in str(caught.value)
    assert "ai-edge-litert>=2.1.6,<2.4" in str(caught.value)
    assert "ai_edge_litert.compiled_model.CompiledModel" in str(caught.value)


def test_without_litert_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    with pytest.raises(MissingExtraError, match=r"exray\[litert\]"):
        load_capi()


def test_a_wheel_without_the_library_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    monkeypatch.setattr(compiled_capi, "package_version", lambda _: "2.3.0")

    with pytest.raises(UsageError, match="comes without libLiteRt"):
        load_capi()


def test_a_library_without_a_function_is_refused_with_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every = dict.fromkeys([*compiled_capi._CALLS, *compiled_capi._DESTROYERS])
    del every["LiteRtStartProfiler"]
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(**every))

    with pytest.raises(UsageError, match=r"libLiteRt\.so lacks LiteRtStartProfiler\. Install"):
        CApi(Path("libLiteRt.so"), "2.3.0")


def test_a_failed_call_is_named_with_its_status() -> None:
    litert()

    with pytest.raises(RuntimeError, match="code=1, message=LiteRtCreateOptions failed: kLiteRt"):
        load_capi().call("LiteRtCreateOptions", None)


def test_a_handle_destroys_once_and_before_what_it_needs() -> None:
    class Destroyed(CApi):
        """Remembers what was destroyed."""

        def __init__(self) -> None:
            self.pointers: list[int] = []

        def function(self, name: str) -> object:  # type: ignore[override]
            return self.pointers.append

    api = Destroyed()
    needed = Handle(api, "any", 1)
    needs = Handle(api, "any", 2, needed)
    del needed
    assert api.pointers == []
    needs.destroy()
    needs.destroy()

    assert api.pointers == [2, 1]


def test_structures_have_the_sizes_that_litert_asserts() -> None:
    assert ctypes.sizeof(Layout) == 68
    assert ctypes.sizeof(RankedTensorType) == 72
    assert RankedTensorType.layout.offset == 4
    assert (EVENT.itemsize, EVENT.fields["metadata"][1]) == (104, 80)  # type: ignore[index]
