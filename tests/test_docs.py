"""What the documents promise exists: links, commands, options, make targets, names."""

import ast
import re
import shlex
import tomllib
from pathlib import Path

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


def blocks(language: str) -> list[str]:
    """Return README's code blocks of a language, empty for none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def commands(word: str) -> list[list[str]]:
    """Return README's command lines that begin with *word*, as words without comments."""
    lines = [line for block in blocks("") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith(f"{word} ")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_to_a_file(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text("utf-8"))
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("words", commands("exray"), ids=" ".join)
def test_every_exray_command_of_the_readme_parses(words: list[str]) -> None:
    options = {word for word in words if word.startswith("--")}
    command = words[1:3] if words[1] == "grafana" else words[1:2]
    shown = CliRunner().invoke(make_app(), [*command, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    assert [option for option in options if option not in shown.output] == []


def test_the_readme_shows_a_command_for_every_subcommand_but_demo() -> None:
    app = typer.main.get_command(make_app())
    known = set(getattr(app, "commands", {}))
    assert known - {words[1] for words in commands("exray")} == {"demo"}


def test_every_make_target_of_the_documents_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = {words[1] for words in commands("make")} | {"bench", "docs"}
    assert [t for t in targets if not re.search(rf"^{t}:", makefile, re.MULTILINE)] == []


def test_the_readme_names_extras_that_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = {e for group in re.findall(r"exray\[([a-z,]+)\]", README) for e in group.split(",")}
    assert named <= set(project["optional-dependencies"])
    assert named


def test_the_python_block_of_the_readme_uses_what_exray_exports() -> None:
    (block,) = blocks("python")
    names = {
        node.attr
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "exray"
    }
    assert names >= {"configure", "frame", "stage"}
    assert names <= set(exray.__all__)


def test_the_specs_of_the_readme_are_valid_specs(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    media: list[str] = []
    for block in blocks("yaml"):
        file.write_text(block)
        media.append(load_spec(file).medium)
    assert media == ["image", "audio", "text"]
