"""The demo: what a new user sees first."""

import io
import re
import shlex
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from exray.cli import make_app
from exray.diagnosis.demo import EDGE, REFERENCE, clear_demo, own_command, run_demo
from exray.instrumentation.native_library import native_library
from exray.lake import Lake
from exray.schema.errors import UsageError

from .lakes import Recording, make_graph, make_lake

pytest.importorskip("ai_edge_litert")
pytest.importorskip("PIL")
pytest.importorskip("vl_convert")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "exray-demo"


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    """What the demo prints."""
    stream = io.StringIO()
    run_demo(folder, Console(file=stream, width=110, highlight=False))
    return stream.getvalue()


def test_the_demo_ends_with_verdict_page_and_next_command(printed: str, folder: Path) -> None:
    *_, before, found, report, following = printed.splitlines()
    assert not before.startswith(("Found:", "Report:", "Next:"))
    assert found.startswith("Found:  'demo-edge' fails against 'demo-reference': edge feeds BGR")
    assert found.endswith("Feed RGB on the edge.")
    assert report == f"Report: {folder / 'report.html'}"
    assert following.startswith("Next:   exray query outcome_flips --lake ")


def test_the_page_of_the_demo_says_the_same(printed: str, folder: Path) -> None:
    page = (folder / "report.html").read_text("utf-8")
    assert "part before the model" in page
    assert "preprocessing.channel_order" in page
    assert all(f'data-chart="{name}"' in page for name in ("sqnr", "time", "accuracy"))


def test_the_page_of_the_demo_shows_distributions(printed: str, folder: Path) -> None:
    page = (folder / "report.html").read_text("utf-8")
    assert page.count('data-chart="distribution-') == 2


def test_the_next_command_of_the_demo_works(printed: str) -> None:
    words = shlex.split(printed.splitlines()[-1].removeprefix("Next:"))
    result = CliRunner().invoke(make_app(), words[1:])
    assert result.exit_code == 0
    assert "reference_top1" in result.stdout


def test_the_demo_shows_that_the_edge_lost_accuracy(printed: str) -> None:
    ratios = {
        words[0]: float(words[5].rstrip("%"))
        for words in (line.split() for line in printed.splitlines())
        if words[:1] in (["edge"], ["ref"])
    }
    assert ratios["ref"] > 90
    assert ratios["edge"] < ratios["ref"] - 20
    assert re.search(r"Flips \(right on one side only\): [1-9]\d*, McNemar p = ", printed)


def test_the_demo_shows_every_layer_and_its_times_where_they_were_measured(printed: str) -> None:
    layers = [
        words for words in map(str.split, printed.splitlines()) if words[:1] and words[0].isdigit()
    ]
    assert [words[0] for words in layers] == [str(i) for i in range(len(layers))]
    assert len(layers) > 10
    times = {word for words in layers for word in words[-2:]}
    if native_library().handle is None:
        assert times == {"-"}
    else:
        assert all(float(time) >= 0 for time in times)


def test_the_demo_shows_stage_and_inference_times(printed: str) -> None:
    stages = {words[0] for words in map(str.split, printed.splitlines()) if len(words) == 4}
    assert {"decode", "preprocess", "inference"} <= stages


def test_the_demo_replaces_an_earlier_one(printed: str, folder: Path) -> None:
    before = Lake.open(folder / "lake").files("runs")
    clear_demo(folder)
    assert before
    assert not (folder / "lake").exists()


def test_the_demo_does_not_remove_what_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match=r"holds thesis\.txt, which no demo put there"):
        run_demo(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_the_demo_does_not_remove_a_lake_with_other_builds(tmp_path: Path) -> None:
    graph = make_graph("aa", ["stem"])
    make_lake(tmp_path / "lake", Recording(graph, EDGE), Recording(graph, "1.4.2"))
    with pytest.raises(UsageError, match=r"holds a lake of 1\.4\.2, demo-edge"):
        run_demo(tmp_path)
    assert Lake.open(tmp_path / "lake").files("runs")


def test_the_demo_starts_over_after_one_that_was_cut_short(tmp_path: Path) -> None:
    make_lake(tmp_path / "lake", Recording(make_graph("aa", ["stem"]), REFERENCE))
    clear_demo(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_a_usage_error(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("")
    with pytest.raises(UsageError, match="File exists"):
        run_demo(place)


@pytest.mark.parametrize(
    ("script", "on_path", "shown"),
    [
        ("bin/exray", "bin/exray", "exray"),
        ("bin/exray", None, "bin/exray"),
        ("bin/exray", "other/exray", "bin/exray"),
        ("bin/pytest", None, "exray"),
    ],
)
def test_the_next_command_is_one_that_the_shell_finds(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    on_path: str | None,
    shown: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(tmp_path / script)])
    found = None if on_path is None else str(tmp_path / on_path)

    def which(name: str) -> str | None:
        return found

    monkeypatch.setattr("shutil.which", which)
    assert own_command() == shown
