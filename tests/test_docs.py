"""What the documents promise exists: links, commands, options, make targets, names."""

import ast
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import exray
from exray.cli import make_app
from exray.playback.spec import load_spec

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").glob("*.md")),
]
README = (ROOT / "README.md").read_text("utf-8")
GENERATED = {"attributes.md", "queries.md", "tables.md"}
GUIDES = {
    path.name: path.read_text("utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if path.name not in GENERATED
}
"""README and the pages beside it that people have written, by file name."""


def blocks(language: str) -> list[str]:
    """Return the guides' code blocks of a language, empty for none."""
    pattern = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    found = [block for text in GUIDES.values() for block in pattern.findall(text)]
    return [text for name, text in found if name == language]


def commands(word: str) -> list[list[str]]:
    """Return the guides' command lines that begin with *word*, as words without comments."""
    lines = [line for block in blocks("") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith(f"{word} ")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_to_a_file(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text("utf-8"))
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("words", commands("exray"), ids=" ".join)
def test_every_exray_command_of_the_guides_parses(words: list[str]) -> None:
    options = {word for word in words if word.startswith("--")}
    groups = getattr(typer.main.get_command(make_app()), "commands", {})
    command = words[1:3] if hasattr(groups.get(words[1]), "commands") else words[1:2]
    shown = CliRunner().invoke(make_app(), [*command, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    assert [option for option in options if option not in shown.output] == []


def test_the_guides_show_a_command_for_every_subcommand_but_demo() -> None:
    app = typer.main.get_command(make_app())
    known = set(getattr(app, "commands", {}))
    assert known - {words[1] for words in commands("exray")} == {"demo"}


def test_no_help_text_has_brackets_which_rich_takes_for_its_own() -> None:
    """A default in brackets is not shown: say it with show_default."""

    def helps(command: Any, path: str) -> list[str]:
        own = [
            f"{path} {option.name}"
            for option in command.params
            if "[" in (getattr(option, "help", "") or "")
        ]
        return own + [
            name
            for word, below in getattr(command, "commands", {}).items()
            for name in helps(below, f"{path} {word}")
        ]

    assert helps(typer.main.get_command(make_app()), "exray") == []


def test_every_make_target_of_the_documents_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = {words[1] for words in commands("make")} | {"bench", "docs"}
    assert [t for t in targets if not re.search(rf"^{t}:", makefile, re.MULTILINE)] == []


def test_the_readme_names_extras_that_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = {e for group in re.findall(r"exray\[([a-z,]+)\]", README) for e in group.split(",")}
    assert named <= set(project["optional-dependencies"])
    assert named


def test_the_python_of_the_guides_uses_what_exray_exports() -> None:
    names = {
        node.attr
        for block in blocks("python")
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "exray"
    }
    assert names >= {"configure", "frame", "stage"}
    assert names <= set(exray.__all__)


def test_the_specs_of_the_guides_are_valid_specs(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    media: list[str] = []
    for block in blocks("yaml"):
        file.write_text(block)
        media.append(load_spec(file).medium)
    assert media == ["image", "image", "audio", "text"]
