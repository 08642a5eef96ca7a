"""``exray check`` at the command line: exit codes are its answer."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from exray.cli import main

from .lakes import Recording, make_graph, make_lake, make_values


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds "e" and "r", which agree over eight frames."""
    edge = Recording(make_graph("aa", ["stem"]), "e")
    reference = Recording(make_graph("bb", ["stem"]), "r", "reference")
    for frame in range(8):
        for recording in (edge, reference):
            recording.add(f"{frame}.png", make_values(frame), {0: make_values(frame + 50)}, label=1)
    path = tmp_path_factory.mktemp("lake") / "lake"
    make_lake(path, edge, reference)
    return path


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: object
    stdout: str
    stderr: str


class Call:
    """Runs ``exray check`` as its own process would, with what it prints."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._capture = capture

    def __call__(self, lake: Path, policy: Path, *arguments: str) -> Done:
        """Return how it ended."""
        builds = ("--edge", "e", "--reference", "r", "--lake", str(lake))
        words = ["exray", "check", "--policy", str(policy), *builds, *arguments]
        self._patch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as exit_info:
            main()
        shown = self._capture.readouterr()
        return Done(exit_info.value.code, shown.out, shown.err)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")  # which the command sets for its process
    return Call(monkeypatch, capsys)


def write(path: Path, text: str) -> Path:
    file = path / "policy.yaml"
    file.write_text(text)
    return file


def test_a_build_that_keeps_to_the_policy_exits_0(call: Call, lake: Path, tmp_path: Path) -> None:
    policy = write(tmp_path, "limits: [{metric: sqnr_db, min: 100}]")
    done = call(lake, policy, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert [c["outcome"] for c in document["checks"]] == ["pass", "pass"]
    assert {"what": "whether anything got worse than before", "needs": "--baseline BUILD"} in (
        document["not_judged"]
    )


def test_what_the_lake_alone_does_not_tell_is_said(call: Call, lake: Path, tmp_path: Path) -> None:
    shown = call(lake, write(tmp_path, "limits: []")).stdout
    assert (
        "not judged: whether each layer's weights are the reference's; it takes --edge-m" in shown
    )


def test_a_broken_limit_exits_1_and_is_told_everywhere(
    call: Call, lake: Path, tmp_path: Path
) -> None:
    policy = write(tmp_path, "limits: [{metric: frames_paired, min: 9}]")
    report = tmp_path / "junit.xml"
    done = call(lake, policy, "--junit", str(report), "--github")
    assert done.returncode == 1
    assert "FAIL      frames_paired: frames_paired 8: expected at least 9" in done.stdout
    assert "::error title=frames_paired::" in done.stdout
    assert ElementTree.parse(report).getroot().get("failures") == "1"


def test_what_cannot_be_judged_exits_2(call: Call, lake: Path, tmp_path: Path) -> None:
    policy = write(tmp_path, "limits: [{metric: model_ms, max_ratio: 1.1}]")
    assert call(lake, policy).returncode == 2
    assert call(tmp_path / "none", write(tmp_path, "limits: []")).returncode == 2


def test_a_wrong_policy_build_or_option_exits_64(call: Call, lake: Path, tmp_path: Path) -> None:
    wrong = call(lake, write(tmp_path, "limit: []"))
    assert (wrong.returncode, wrong.stderr.count("error: ")) == (64, 1)
    policy = write(tmp_path, "limits: []")
    assert call(lake, policy, "--baseline", "x").returncode == 64
    assert call(lake, policy, "--no-such-option").returncode == 64
    assert call(lake, policy, "--edge-model", "none.tflite").returncode == 64
