"""``exray runs``, ``exray sql`` and ``exray query`` at the command line."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from exray.lake import Lake
from exray.queries import commands
from exray.schema.errors import LakeError, SelectionError, UsageError

from .builders import Rows


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build "e" that differs from "r" in the only layer, each with one frame."""
    rows = Rows()
    for build, role, value in (("e", "edge", 11.0), ("r", "reference", 10.0)):
        frame = rows.frame(rows.run(build, role), label="1", prediction_ids=[1])
        rows.layer(frame, 0, [value])
    path = tmp_path_factory.mktemp("lake") / "lake"
    Lake.open_or_create(path).append(rows.arrow())
    return path


def call(*arguments: str, lake: Path, text: str | None = None) -> Result:
    """Run a command; errors of exray are raised, as ``cli.main`` wants them."""
    result = CliRunner().invoke(commands.app, [*arguments, "--lake", str(lake)], input=text)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def asked(*arguments: str, lake: Path, text: str | None = None) -> dict[str, Any]:
    """What a command prints with ``--json``."""
    result = call(*arguments, "--json", lake=lake, text=text)
    document: dict[str, Any] = json.loads(result.stdout)
    assert len(result.stdout.splitlines()) == 1
    return document


def test_runs_lists_runs_newest_first(lake: Path) -> None:
    lines = call("runs", lake=lake).stdout.splitlines()
    assert [line.split()[1:4] for line in lines if " net " in line] == [
        ["r", "reference", "net"],
        ["e", "edge", "net"],
    ]


def test_runs_shows_as_much_of_ids_as_tells_them_apart(lake: Path) -> None:
    first = next(line for line in call("runs", lake=lake).stdout.splitlines() if " net " in line)
    assert len(first.split()[0]) == 32  # the builder's ids differ in the last digit only


def test_runs_as_json(lake: Path) -> None:
    runs = asked("runs", lake=lake)["runs"]
    assert [(run["build"], run["frames"], run["top1_ratio"]) for run in runs] == [
        ("r", 1, 1.0),
        ("e", 1, 1.0),
    ]


def test_runs_of_an_empty_lake_says_how_to_fill_it(tmp_path: Path) -> None:
    Lake.open_or_create(tmp_path / "empty")
    assert "Record one: exray run" in call("runs", lake=tmp_path / "empty").stdout
    assert asked("runs", lake=tmp_path / "empty") == {"runs": []}


def test_sql_prints_columns_and_rows(lake: Path) -> None:
    document = asked("sql", "SELECT build, role FROM runs ORDER BY 1", lake=lake)
    assert document == {"columns": ["build", "role"], "rows": [["e", "edge"], ["r", "reference"]]}


def test_sql_values_are_those_that_json_has(lake: Path) -> None:
    query = (
        "SELECT 'nan'::DOUBLE, '-inf'::FLOAT, '\\xAB'::BLOB, TIMESTAMP '2025-10-09 08:53:20.5',"
        " DATE '2025-10-09', [1.5, 'nan'::DOUBLE], {'a': NULL}, 1.25::DECIMAL(4, 2),"
        " 170141183460469231731687303715884105727, INTERVAL 1 DAY"
    )
    rows = asked("sql", query, lake=lake)["rows"]
    day, big = "1 day, 0:00:00", 2**127 - 1
    values = [None, None, "ab", "2025-10-09T08:53:20.500000", "2025-10-09", [1.5, None]]
    assert rows == [[*values, {"a": None}, 1.25, big, day]]


def test_sql_reads_stdin(lake: Path) -> None:
    assert asked("sql", lake=lake, text="SELECT 1 AS one;") == {"columns": ["one"], "rows": [[1]]}


def test_sql_statement_without_rows(lake: Path) -> None:
    statement = "CREATE TEMP TABLE t AS SELECT 1"
    assert call("sql", statement, lake=lake).exit_code == 0


def test_sql_error_is_a_usage_error(lake: Path) -> None:
    with pytest.raises(UsageError, match="nonsense"):
        call("sql", "SELECT nonsense FROM runs", lake=lake)


def test_sql_table_shows_dashes_and_brackets(lake: Path) -> None:
    output = call("sql", "SELECT NULL AS nothing, '[red]' AS name, 2.0/3 AS x", lake=lake).stdout
    row = next(line for line in output.splitlines() if "red" in line)
    assert row.split() == ["-", "[red]", "0.6667"]


def test_sql_does_not_cut_values_in_a_pipe(lake: Path) -> None:
    assert "x" * 500 in call("sql", f"SELECT '{'x' * 500}'", lake=lake).stdout


@pytest.mark.parametrize("text", ["", " ;\n", "-- nothing"])
def test_sql_without_a_statement_is_a_usage_error(lake: Path, text: str) -> None:
    with pytest.raises(UsageError, match="no SQL statement"):
        call("sql", lake=lake, text=text)


def test_prompt_goes_on_after_an_error(
    lake: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("SELECT nonsense;\nSELECT\n 7 AS seven;\n"))
    commands.sql(None, lake)
    captured = capsys.readouterr()
    assert "nonsense" in captured.err
    assert "seven" in captured.out


def test_query_runs_a_macro_on_builds(lake: Path) -> None:
    arguments = ("--arg", "edge=e", "--arg", "reference=r")
    document = asked("query", "layer_frame_divergence", *arguments, lake=lake)
    columns, rows = document["columns"], document["rows"]
    assert [round(row[columns.index("sqnr_db")], 3) for row in rows] == [20.0]


def test_query_runs_a_view(lake: Path) -> None:
    assert " net " in call("query", "run_list", lake=lake).stdout


def test_query_takes_build_for_selector(lake: Path) -> None:
    document = asked("query", "outcome_accuracy", "--arg", "build=e", lake=lake)
    assert len(document["rows"]) == 1


def test_query_passes_other_arguments(lake: Path) -> None:
    arguments = ("--arg", "edge=e", "--arg", "reference=r", "--arg", "max_frames=0")
    assert asked("query", "layer_sketches", *arguments, lake=lake)["rows"] == []


def test_query_without_a_name_lists_the_library(lake: Path) -> None:
    assert "layer_divergence" in call("query", lake=lake).stdout
    listed = asked("query", lake=lake)["queries"]
    assert all(entry["summary"].endswith(".") for entry in listed)
    assert not any(entry["name"].startswith("_") for entry in listed)


def test_query_lists_the_library_without_a_lake(tmp_path: Path) -> None:
    assert call("query", lake=tmp_path / "none").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("layer_divergense",), "nearest: layer_divergence"),
        (("_layer_pairs",), "no query '_layer_pairs'"),
        (("layer_divergence",), "--arg edge=BUILD --arg reference=BUILD"),
        (("stage_latency",), "--arg selector=BUILD"),
        (("layer_divergence", "--arg", "edge"), "not NAME=VALUE"),
        (("layer_divergence", "--arg", "egde=e"), "arguments of layer_divergence: edge, ref"),
        (("run_list", "--arg", "edge=e"), "arguments of run_list: none"),
    ],
)
def test_query_says_what_is_wrong(arguments: tuple[str, ...], message: str, lake: Path) -> None:
    with pytest.raises(UsageError, match=message):
        call("query", *arguments, lake=lake)


def test_query_of_an_unknown_build_lists_builds(lake: Path) -> None:
    with pytest.raises(SelectionError, match="builds: "):
        call("query", "stage_latency", "--arg", "build=nope", lake=lake)


def test_query_narrows_by_kernels(lake: Path) -> None:
    with pytest.raises(SelectionError, match="there: xnnpack"):
        call("query", "stage_latency", "--arg", "build=e", "--kernels", "builtin", lake=lake)


def test_lake_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LakeError):
        call("runs", lake=tmp_path / "none")


def test_lake_comes_from_the_environment(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXRAY_LAKE", str(lake))
    result = CliRunner().invoke(commands.app, ["sql", "SELECT count(*) AS n FROM runs", "--json"])
    assert json.loads(result.stdout) == {"columns": ["n"], "rows": [[2]]}


def test_commands_load_nothing_heavy() -> None:
    code = (
        "import sys, exray.queries.commands, exray.queries;"
        "heavy = {'duckdb', 'pyarrow', 'deltalake', 'rich.table'} & set(sys.modules);"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- at a terminal --------------------------------------------------------------------------


def at_terminal(*arguments: str, lake: Path, columns: int, rows: int = 24) -> list[str]:
    """What a command prints at a terminal of that size, without colours."""
    environment = os.environ | {"COLUMNS": str(columns), "LINES": str(rows), "FORCE_COLOR": "1"}
    code = "from exray.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--lake", str(lake)],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout).splitlines()


@pytest.fixture(scope="module")
def wide_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two builds of a network whose names are as long as a converter's."""
    rows = Rows()
    for build, role, value in (
        ("edge-build", "edge", 11.0),
        ("reference-build", "reference", 10.0),
    ):
        run = rows.run(build, role, model_name="mobilenet_v2_1.0_224_quantized")
        frame = rows.frame(run, label="1", prediction_ids=[1])
        for index in range(12):
            name = f"mobilenetv2/conv_{index}/depthwise;" + "mobilenetv2/other/name;" * 100
            rows.layer(frame, index, [value + index], layer_name=name)
    path = tmp_path_factory.mktemp("wide") / "lake"
    Lake.open_or_create(path).append(rows.arrow())
    return path


DIVERGENCE = [
    "query",
    "layer_divergence",
    "--arg",
    "edge=edge-build",
    "--arg",
    "reference=reference-build",
]


@pytest.mark.parametrize("columns", [80, 120])
def test_query_has_a_line_a_row_at_a_terminal(wide_lake: Path, columns: int) -> None:
    lines = at_terminal(*DIVERGENCE, lake=wide_lake, columns=columns)
    body = [line for line in lines if "depthwise" in line]
    assert [line.split()[0] for line in body] == [str(index) for index in range(12)]
    assert max(map(len, body)) <= columns


def test_query_names_the_columns_it_leaves_out(wide_lake: Path) -> None:
    output = "\n".join(at_terminal(*DIVERGENCE, lake=wide_lake, columns=60))
    assert "Left out for want of room: " in output
    assert "In every row: edge_model mobilenet_v2_1.0_224_quantized" in output


def test_a_result_that_fits_a_screen_upright_is_shown_so(wide_lake: Path) -> None:
    arguments = ("query", "outcome_accuracy", "--arg", "build=edge-build")
    lines = at_terminal(*arguments, lake=wide_lake, columns=40)
    assert ["top1_ratio", "1"] in [line.split() for line in lines]
    assert not any("Left out" in line for line in lines)


def test_query_shows_short_names_in_a_pipe(wide_lake: Path) -> None:
    output = call(*DIVERGENCE, lake=wide_lake).stdout
    assert "conv_11/depthwise" in output
    assert "other" not in output


def test_sql_shows_whole_names_in_a_pipe(wide_lake: Path) -> None:
    assert "other" in call("sql", "SELECT layer_name FROM tensors", lake=wide_lake).stdout


@pytest.mark.parametrize("columns", [80, 120])
def test_runs_has_a_line_a_run_at_a_terminal(wide_lake: Path, columns: int) -> None:
    lines = at_terminal("runs", lake=wide_lake, columns=columns)
    assert [line.split()[2] for line in lines if "xnnpack" in line] == ["reference", "edge"]
    assert max(len(line) for line in lines if not line.startswith("Left out")) <= columns


@pytest.mark.parametrize(
    "words", [("runs",), ("sql", "SELECT 1"), ("query", "host_summary", "--arg", "build=e")]
)
def test_a_damaged_file_is_an_error_of_the_lake_that_names_it(
    tmp_path: Path, lake: Path, words: tuple[str, ...]
) -> None:
    damaged = tmp_path / "lake"
    copytree(lake, damaged)
    file = next(damaged.glob("frames/role=edge/dt=*/*.parquet"))
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(LakeError, match=rf"cannot be read: .*{file.name}'\. Restore the file"):
        call(*words, lake=damaged)
    assert call(*words, lake=lake).exit_code == 0
