"""What the command line says of mistakes."""

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from exray.cli import main
from exray.lake import Lake


def said(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[object, list[str]]:
    """Return a command's exit code, and its lines on stderr."""
    monkeypatch.setattr(sys, "argv", ["exray", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr().err.splitlines()


def test_all_that_is_missing_is_said_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said(["run", "--build", "b"], capsys, monkeypatch) == (
        2,
        ["error: Missing argument 'MODEL', '--inputs'. Try: exray run --help"],
    )
    assert said(["check", "--reference", "r"], capsys, monkeypatch) == (
        64,
        ["error: Missing option '--policy', '--edge'. Try: exray check --help"],
    )


def test_one_that_is_missing_is_said_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said(["run", "m.tflite", "--inputs", "x"], capsys, monkeypatch) == (
        2,
        ["error: Missing option '--build'. Try: exray run --help"],
    )


def test_the_version_is_the_packages(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["exray", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().out) == (0, f"exray {version('exray')}\n")


def test_a_command_that_is_none_is_answered_with_those_that_are_near(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, (line,) = said(["diagnos"], capsys, monkeypatch)
    assert (code, "?." in line) == (2, False)
    assert "'diagnose'" in line


def test_what_a_database_says_in_several_lines_is_one_error_with_its_caret_in_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Lake.open_or_create(tmp_path / "lake")
    code, lines = said(["sql", "SELEC 1", "--lake", str(tmp_path / "lake")], capsys, monkeypatch)
    assert code == 2
    assert [line.startswith("error: ") for line in lines] == [True, False, False]
    assert lines[2].index("^") == lines[1].index("SELEC")


def test_several_mistakes_are_an_error_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("image: {rotate: 7, flip: up}\n")
    arguments = ["run", "m", "--inputs", "x", "--build", "b", "--preprocess", str(spec)]
    code, lines = said(arguments, capsys, monkeypatch)
    assert (code, [line.split(": ")[:3] for line in lines]) == (
        2,
        [["error", str(spec), "image.rotate"], ["error", str(spec), "image.flip"]],
    )


def test_yaml_that_is_none_is_one_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("image: {channels: rgb\n")
    arguments = ["run", "m", "--inputs", "x", "--build", "b", "--preprocess", str(spec)]
    code, (first, *others) = said(arguments, capsys, monkeypatch)
    assert (code, first.startswith(f"error: {spec}: not valid YAML")) == (2, True)
    assert others and all(line.startswith("  ") and line.strip() for line in others)
