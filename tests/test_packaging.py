"""pyproject.toml names every component folder three times; they must agree."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
SOURCES: dict[str, str] = BUILD["targets"]["wheel"]["sources"]
FOLDERS = sorted(set(SOURCES) - {"src"})


def test_both_artifacts_ship_every_folder() -> None:
    assert set(BUILD["targets"]["wheel"]["only-include"]) == {"src", *FOLDERS}
    assert set(BUILD["targets"]["sdist"]["include"]) >= {f"/{folder}" for folder in FOLDERS}


def test_every_python_folder_is_mapped_to_its_subpackage() -> None:
    assert {p.parent.name for p in ROOT.glob("*/__init__.py")} == set(FOLDERS)
    assert {SOURCES[folder] for folder in FOLDERS} == {f"exray/{folder}" for folder in FOLDERS}
