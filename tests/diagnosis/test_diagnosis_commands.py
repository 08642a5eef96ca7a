"""``exray compare`` and ``exray report`` at the command line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from exray.diagnosis.commands import app
from exray.diagnosis.diagnose_commands import app as diagnose_app
from exray.diagnosis.page.vega import vega_script
from exray.schema.errors import LakeError, MissingExtraError, SelectionError, UsageError

from .lakes import Recording, make_graph, make_lake, make_values, with_noise


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds "e" and "r"; the second layer of the edge is at 10 dB."""
    names = ["net/stem", "net/head"]
    edge = Recording(make_graph("aa", names), "e")
    reference = Recording(make_graph("bb", names), "r", "reference")
    for frame in range(4):
        layers = {i: make_values(10 * frame + i) for i in range(2)}
        reference.add(f"{frame}.png", make_values(frame + 100), layers, label=1, prediction=1)
        layers[1] = with_noise(layers[1], 10.0)
        edge.add(f"{frame}.png", make_values(frame + 100), layers, label=1, prediction=frame % 2)
    path = tmp_path_factory.mktemp("lake") / "lake"
    make_lake(path, edge, reference)
    return path


def call(*arguments: str, lake: Path) -> Result:
    """Run a command; errors of exray are raised, as ``cli.main`` wants them."""
    result = CliRunner().invoke(app, [*arguments, "--lake", str(lake)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_compare_prints_one_json_object_and_nothing_else(lake: Path) -> None:
    result = call("compare", "--edge", "e", "--reference", "r", "--json", lake=lake)
    (line,) = result.stdout.splitlines()
    document: dict[str, Any] = json.loads(line)
    assert document["coverage"]["frames_paired"] == 4
    assert document["coverage"]["layers_unaligned"] == []
    assert [layer["layer_index"] for layer in document["layers"]] == [0, 1]
    assert document["input"]["sqnr_db"] == 140.0
    assert document["outcome"]["edge"]["top1"] == 0.5
    assert document["outcome"]["flips"] == 2
    assert document["verdict"]["layer_index"] == 1


def test_compare_ends_with_the_verdict(lake: Path) -> None:
    lines = call("compare", "--edge", "e", "--reference", "r", lake=lake).stdout.splitlines()
    assert lines[-1].startswith("'e' and 'r' get the same model input and part most at layer 1")


def test_report_writes_a_page_and_says_where(lake: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    result = call("report", "--edge", "e", "--reference", "r", "--html", str(page), lake=lake)
    verdict, where = result.stdout.splitlines()
    assert where == str(page)
    assert verdict.startswith("'e' and 'r'")
    assert page.read_text("utf-8").startswith("<!doctype html>")


def test_report_shows_causes_when_asked(lake: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    asked = ("report", "--edge", "e", "--reference", "r", "--html", str(page))
    told = call(*asked, "--diagnose", lake=lake).stdout.splitlines()[0]
    said = CliRunner().invoke(
        diagnose_app, ["--edge", "e", "--reference", "r", "--lake", str(lake)]
    )
    assert told in said.stdout.splitlines()[0]
    assert "<h2>Causes</h2>" in page.read_text("utf-8")
    call(*asked, lake=lake)
    assert "<h2>Causes</h2>" not in page.read_text("utf-8")


def test_a_file_to_replay_asks_for_causes(lake: Path, tmp_path: Path) -> None:
    asked = ("report", "--edge", "e", "--reference", "r", "--html", str(tmp_path / "r.html"))
    with pytest.raises(UsageError, match=r"--inputs 'none' does not exist"):
        call(*asked, "--inputs", "none", lake=lake)


def test_report_without_its_extra_says_which_one(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    vega_script.cache_clear()
    page = tmp_path / "report.html"
    with pytest.raises(MissingExtraError, match=r"pip install 'exray\[report\]'"):
        call("report", "--edge", "e", "--reference", "r", "--html", str(page), lake=lake)
    assert not page.exists()


def test_report_of_an_empty_lake_says_how_to_fill_it(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    make_lake(tmp_path / "lake")
    asked = ("report", "--edge", "e", "--reference", "r", "--html", str(page))
    with pytest.raises(SelectionError, match=r"holds no runs yet\. Record one"):
        call(*asked, lake=tmp_path / "lake")
    assert not page.exists()


@pytest.mark.parametrize(
    ("page", "reason"), [("missing/report.html", "No such file"), (".", "Is a directory")]
)
def test_report_to_where_nothing_can_be_written_is_a_usage_error_before_any_work(
    lake: Path, tmp_path: Path, page: str, reason: str
) -> None:
    asked = ("--edge", "unknown", "--reference", "r", "--html", str(tmp_path / page))
    with pytest.raises(UsageError, match=f"cannot be written: {reason}"):
        call("report", *asked, lake=lake)


def test_compare_of_a_build_that_is_not_there_lists_those_that_are(lake: Path) -> None:
    with pytest.raises(SelectionError, match="builds: e, r"):
        call("compare", "--edge", "x", "--reference", "r", lake=lake)


def test_compare_of_what_is_no_lake_says_so(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="not a lake"):
        call("compare", "--edge", "e", "--reference", "r", lake=tmp_path / "none")


def test_a_model_can_be_chosen_for_both_sides(lake: Path) -> None:
    both = ("compare", "--edge", "e", "--reference", "r", "--json", "--model")
    assert json.loads(call(*both, "net_aa,net_bb", lake=lake).stdout)
    assert json.loads(call(*both, "net_aa", lake=lake).stdout)
    with pytest.raises(SelectionError, match="net_bb"):
        call(*both, "net_aa,net_aa", lake=lake)


def test_commands_import_nothing_heavy() -> None:
    code = (
        "import sys, exray.diagnosis.commands\n"
        "heavy = {'numpy', 'duckdb', 'pyarrow', 'deltalake', 'rich', 'opentelemetry'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
