"""A Grafana is made to show a lake, once, and is left alone the second time.

Against a stand-in, or with GRAFANA_URL and GRAFANA_TOKEN against the Grafana that they name.
"""

import os
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from exray.grafana.alerts import RULES
from exray.grafana.api import Grafana, read_token
from exray.grafana.dashboards import BOARDS, POSTGRES
from exray.grafana.datasource import postgres_datasource
from exray.grafana.doctor import examine_grafana
from exray.grafana.push import check_panels, health, push
from exray.schema.errors import GrafanaError, UsageError

from .peer import TOKEN, State, grafana_peer

SERVER = os.environ.get("EXRAY_GRAFANA_SERVER", "127.0.0.1:5433")
PASSWORD = os.environ.get("EXRAY_GRAFANA_PASSWORD", "secret")
REAL = os.environ.get("GRAFANA_URL")
PANELS = sum(len(board.panels) for board in BOARDS)


@pytest.fixture
def state(fleet: duckdb.DuckDBPyConnection) -> State:
    return State(fleet)


@pytest.fixture
def grafana(state: State) -> Generator[Grafana]:
    if REAL:
        with closing(Grafana(REAL, read_token(None))) as real:
            yield real
        return
    with grafana_peer(state) as url, closing(Grafana(url, TOKEN)) as target:
        yield target
    assert state.refused == []


def pushed(grafana: Grafana, server: str = SERVER) -> dict[str, str]:
    items = push(grafana, postgres_datasource(server), PASSWORD)
    return {f"{item.kind} {item.name}": item.change for item in items}


def test_everything_is_made(grafana: Grafana, state: State) -> None:
    changes = pushed(grafana)
    assert len(changes) == 3 + len(BOARDS)
    if not REAL:
        assert set(changes.values()) == {"created"}
        assert state.datasources["exray"]["secureJsonData"] == {"password": PASSWORD}
        assert set(state.dashboards) == {board.uid for board in BOARDS}
        assert len(state.groups["exray", "exray"]["rules"]) == len(RULES)


def test_a_second_push_changes_nothing_but_the_password(grafana: Grafana, state: State) -> None:
    pushed(grafana)
    state.written()
    assert set(pushed(grafana).values()) == {"unchanged"}
    if not REAL:
        assert state.written() == [("PUT", "/api/datasources/uid/exray")]


@pytest.mark.skipif(bool(REAL), reason="changes what the stand-in holds")
def test_what_was_changed_there_is_put_right(grafana: Grafana, state: State) -> None:
    pushed(grafana)
    state.dashboards["exray-fleet"]["dashboard"]["title"] = "mine"
    state.groups["exray", "exray"]["rules"].pop()
    changes = pushed(grafana, "127.0.0.1:6000")
    assert {name for name, change in changes.items() if change == "updated"} == {
        "data source exray",
        "dashboard exray / Fleet",
        "alert rules exray",
    }
    assert state.dashboards["exray-fleet"]["dashboard"]["version"] == 2


def test_every_panel_is_asked_and_answers(grafana: Grafana) -> None:
    pushed(grafana)
    assert "OK" in health(grafana, POSTGRES)
    checked = list(check_panels(grafana, POSTGRES))
    assert len(checked) == PANELS
    assert {panel.state for panel in checked} == {"ok"}


@pytest.mark.skipif(bool(REAL), reason="breaks what the stand-in asks")
def test_a_panel_that_fails_is_told_with_its_error(
    grafana: Grafana, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed(grafana)
    monkeypatch.setattr(state, "connection", duckdb.connect())
    checked = list(check_panels(grafana, POSTGRES))
    assert {panel.state for panel in checked} == {"error"}
    assert "build_trend" in checked[1].error


@pytest.mark.skipif(bool(REAL), reason="breaks what the stand-in says")
def test_a_data_source_that_does_not_work_says_why(grafana: Grafana, state: State) -> None:
    pushed(grafana)
    state.broken = "password authentication failed"
    with pytest.raises(GrafanaError, match="password authentication failed"):
        health(grafana, POSTGRES)
    findings = {finding.what: finding for finding in examine_grafana(grafana, POSTGRES)}
    assert not findings["data source"].good
    assert findings["dashboards"].good


def test_doctor_finds_nothing_after_a_push(grafana: Grafana) -> None:
    pushed(grafana)
    assert all(finding.good for finding in examine_grafana(grafana, POSTGRES))


@pytest.mark.skipif(bool(REAL), reason="starts from nothing")
def test_doctor_finds_what_was_never_pushed(grafana: Grafana) -> None:
    findings = {finding.what: finding for finding in examine_grafana(grafana, POSTGRES)}
    assert findings["grafana"].good
    assert "exray grafana push" in findings["data source"].said
    assert "exray / Fleet" in findings["dashboards"].said


@pytest.mark.skipif(bool(REAL), reason="changes what the stand-in says")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "10.4.1"}, "need 11 or later"),
        ({"role": "Editor"}, "needs the role Admin"),
    ],
)
def test_a_grafana_that_is_old_or_refuses_is_told(
    state: State, change: dict[str, str], said: str
) -> None:
    for name, value in change.items():
        setattr(state, name, value)
    with (
        grafana_peer(state) as url,
        closing(Grafana(url, TOKEN)) as target,
        pytest.raises(GrafanaError, match=said),
    ):
        target.version()
        pushed(target)


@pytest.mark.skipif(bool(REAL), reason="gives a wrong token")
def test_a_wrong_token_is_told_without_showing_it(state: State) -> None:
    with (
        grafana_peer(state) as url,
        closing(Grafana(url, "glsa_wrong")) as target,
        pytest.raises(GrafanaError, match="--token-file") as raised,
    ):
        target.version()
    assert "glsa_wrong" not in str(raised.value)


def test_no_grafana_there_is_told() -> None:
    said = r"no Grafana answers at http://127\.0\.0\.1:9"
    target = Grafana("http://127.0.0.1:9", TOKEN)
    with closing(target), pytest.raises(GrafanaError, match=said):
        target.version()


def test_an_address_without_scheme_is_refused() -> None:
    with pytest.raises(UsageError, match="--url 'localhost:3000'"):
        Grafana("localhost:3000")


@pytest.mark.skipif(bool(REAL), reason="changes what the stand-in holds")
def test_a_provisioned_data_source_is_left_to_its_file(grafana: Grafana, state: State) -> None:
    pushed(grafana)
    state.datasources["exray"]["readOnly"] = True
    with pytest.raises(GrafanaError, match="provisioning file"):
        pushed(grafana)


def test_token_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("glsa_file\n")
    monkeypatch.setenv("GRAFANA_TOKEN", "glsa_environment")
    assert (read_token(file), read_token(None)) == ("glsa_file", "glsa_environment")
    file.write_text("\n")
    with pytest.raises(UsageError, match="is empty"):
        read_token(file)
    with pytest.raises(UsageError, match="No such file"):
        read_token(tmp_path / "gone")
