"""``exray grafana``: what a user types, and what it says."""

from collections.abc import Generator
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from exray.cli import make_app
from exray.grafana.doctor import examine_lake, examine_server
from exray.lake import Lake

from .peer import TOKEN, State, grafana_peer
from .wire.servers import serving


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    return file


@pytest.fixture
def peer(fleet: duckdb.DuckDBPyConnection) -> Generator[str]:
    with grafana_peer(State(fleet)) as url:
        yield url


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(make_app(), ["grafana", *map(str, words)])
    return result.exit_code, f"{result.output}{result.exception or ''}"


def test_push_tells_what_it_did_and_how_the_panels_are(peer: str, token_file: Path) -> None:
    code, said = run("push", "--url", peer, "--token-file", token_file)
    assert code == 0
    assert "Grafana 13.2.3" in said
    assert "exray / Fleet" in said
    assert "created" in said
    assert "0 error" in said
    assert f"Look at it: {peer}/d/exray-fleet" in said
    assert TOKEN not in said


def test_push_fails_where_panels_do(
    peer: str, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exray.grafana.push.interpolate", lambda sql, _: f"{sql} nonsense")
    code, said = run("push", "--url", peer, "--token-file", token_file)
    assert code == 1
    assert "error" in said


def test_export_writes_files_and_names_the_variable(tmp_path: Path) -> None:
    code, said = run("export", "--dir", tmp_path / "provisioning")
    assert code == 0
    assert "11 files" in said
    assert "EXRAY_GRAFANA_PASSWORD" in said


def test_export_for_motherduck_names_the_lakes_files(tmp_path: Path, fleet_lake: Lake) -> None:
    code, _ = run("export", "--dir", tmp_path, "--source", "motherduck", "--lake", fleet_lake.path)
    assert code == 0
    text = (tmp_path / "datasources" / "exray.yaml").read_text("utf-8")
    assert f"{fleet_lake.path}/tensors/**/*.parquet" in text


def test_up_writes_a_project_and_says_how_to_start_it(tmp_path: Path) -> None:
    code, said = run("up", "--dir", tmp_path / "project", "--no-start")
    assert code == 0
    assert "docker compose" in said
    assert (tmp_path / "project" / "docker-compose.yaml").exists()


def test_sample_refuses_a_lake_that_holds_runs(fleet_lake: Lake) -> None:
    code, said = run("sample", "--lake", fleet_lake.path)
    assert code == 1
    assert "holds runs already" in said


def test_refresh_of_a_fresh_lake_has_nothing_to_do(fleet_lake: Lake) -> None:
    code, said = run("refresh", "--lake", fleet_lake.path)
    assert code == 0
    assert "up to date" in said


def test_refresh_goes_on_until_it_is_interrupted(
    fleet_lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    copy = Path(shutil.copytree(fleet_lake.path, tmp_path / "lake"))
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            raise KeyboardInterrupt
        shutil.rmtree(copy / "build_stats")

    monkeypatch.setattr("exray.grafana.commands.time.sleep", sleep)
    _, said = run("refresh", "--lake", copy, "--every", 300)
    assert waited == [300, 300]
    assert "rollups of 19 groups of runs" in said


def test_export_takes_the_thresholds_of_a_policy_and_says_which(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("limits: [{metric: sqnr_db, max_loss: 7}, {metric: flips, max: 3}]")
    code, said = run("export", "--dir", tmp_path / "provisioning", "--policy", policy)
    assert code == 0
    assert f"thresholds from {policy}: sqnr_db" in said
    assert "for 'exray check' alone: flips" in said
    rules = (tmp_path / "provisioning" / "alerting" / "exray.yaml").read_text("utf-8")
    assert "7.0" in rules


def test_a_policy_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    code, said = run("export", "--dir", tmp_path / "new", "--policy", tmp_path / "none.yaml")
    assert code != 0
    assert "does not exist" in said
    assert not (tmp_path / "new").exists()


def test_doctor_is_content_where_all_is_well(peer: str, token_file: Path, fleet_lake: Lake) -> None:
    run("push", "--url", peer, "--token-file", token_file)
    with serving(fleet_lake) as running:
        server = f"127.0.0.1:{running.address.port}"
        code, said = run(
            "doctor", "--url", peer, "--token-file", token_file, "--server", server,
            "--lake", fleet_lake.path,
        )  # fmt: skip
    assert code == 0, said
    assert "problem" not in said


def test_doctor_finds_what_is_wrong_and_says_how_to_put_it_right(
    token_file: Path, tmp_path: Path
) -> None:
    code, said = run(
        "doctor", "--url", "http://127.0.0.1:9", "--token-file", token_file,
        "--server", "127.0.0.1:9", "--lake", tmp_path,
    )  # fmt: skip
    assert code == 1
    assert f"exray grafana serve --lake {tmp_path}" in " ".join(said.split())
    assert "no Grafana answers at http://127.0.0.1:9: Connection refused. Is it" in " ".join(
        said.split()
    )


def test_doctor_asks_for_a_refresh(fleet_lake: Lake, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(fleet_lake.path, tmp_path / "lake"))
    shutil.rmtree(copy / "build_stats")
    findings = {finding.what: finding for finding in examine_lake(copy)}
    assert findings["lake"].good
    assert "exray grafana refresh" in findings["rollups"].said


def test_doctor_says_that_an_empty_lake_needs_a_run(tmp_path: Path) -> None:
    lake = Lake.open_or_create(tmp_path / "lake")
    (finding,) = examine_lake(lake.path)
    assert "exray run" in finding.said


def test_what_speaks_another_protocol_is_no_server(peer: str) -> None:
    finding = examine_server(peer.removeprefix("http://"), Path("lake"))
    assert not finding.good
    assert "does not speak PostgreSQL" in finding.said
