"""What a component says it exports is there, once. Ruff keeps the lists in order."""

import importlib

import pytest

PACKAGES = [
    "exray",
    "exray.exporters",
    "exray.instrumentation",
    "exray.lake",
    "exray.litert",
    "exray.playback",
    "exray.queries",
    "exray.schema",
    "exray.testing",
]


@pytest.mark.parametrize("name", PACKAGES)
def test_every_exported_name_exists_once(name: str) -> None:
    package = importlib.import_module(name)
    exported: list[str] = getattr(package, "__all__", [])
    assert len(exported) == len(set(exported))
    assert [entry for entry in exported if not hasattr(package, entry)] == []
