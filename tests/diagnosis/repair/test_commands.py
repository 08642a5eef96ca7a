"""``exray fix`` at the command line: exit codes are its answer."""

import json
from pathlib import Path

import pytest

from .edges import BGR, FLOAT, INT8, RGB, call, record, words


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds "reference" and "sound"."""
    path = tmp_path_factory.mktemp("fix") / "lake"
    record(path, "reference", FLOAT)
    record(path, "sound", INT8, RGB)
    return path


def test_a_sound_edge_ends_with_1_and_no_files(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "patch"
    assert call(monkeypatch, words(lake, "sound", RGB, out, "--json")) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "unhelped"
    assert document["steps"] == []
    assert "there is nothing to repair" in document["sentence"]
    assert document["files"] == []
    assert not out.exists()


def test_a_folder_that_is_there_ends_with_64(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("mine")
    assert call(monkeypatch, words(lake, "sound", BGR, tmp_path)) == 64
    assert "nothing is overwritten" in capsys.readouterr().err


def test_a_missing_option_ends_with_64(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, ["exray", "fix", "--edge", "bgr"]) == 64
    assert "Missing option" in capsys.readouterr().err


def test_a_lake_that_is_none_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = words(tmp_path / "none", "bgr", BGR, tmp_path / "out")
    assert call(monkeypatch, arguments) == 2
    assert "error: " in capsys.readouterr().err


def test_help_names_the_exit_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert call(monkeypatch, ["exray", "fix", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "0 repaired, 1 nothing helped, 2 could not judge, 64 usage" in shown
