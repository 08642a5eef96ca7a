"""Provisioning files and the compose project hold what push would make."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from exray.grafana.alerts import RULES
from exray.grafana.compose import write_project
from exray.grafana.dashboards import BOARDS
from exray.grafana.datasource import motherduck_datasource, postgres_datasource
from exray.grafana.export import export
from exray.schema.errors import UsageError


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def test_files_hold_data_source_provider_dashboards_and_rules(tmp_path: Path) -> None:
    files = export(tmp_path, postgres_datasource("127.0.0.1:5433"), "/boards")
    assert len(files) == 3 + len(BOARDS)
    (datasource,) = read(tmp_path / "datasources" / "exray.yaml")["datasources"]
    assert datasource["uid"] == "exray"
    assert datasource["editable"] is False
    (provider,) = read(tmp_path / "dashboards" / "exray.yaml")["providers"]
    assert provider["options"] == {"path": "/boards"}
    (group,) = read(tmp_path / "alerting" / "exray.yaml")["groups"]
    assert [rule["uid"] for rule in group["rules"]] == [rule.uid for rule in RULES]
    assert group["folder"] == provider["folder"]


def test_the_password_stands_in_no_file(tmp_path: Path) -> None:
    export(tmp_path, postgres_datasource("127.0.0.1:5433"), "/boards")
    (datasource,) = read(tmp_path / "datasources" / "exray.yaml")["datasources"]
    assert datasource["secureJsonData"] == {"password": "$EXRAY_GRAFANA_PASSWORD"}


def test_dollars_of_queries_are_doubled_where_grafana_expands_them(tmp_path: Path) -> None:
    export(tmp_path, postgres_datasource("127.0.0.1:5433"), "/boards")
    text = (tmp_path / "alerting" / "exray.yaml").read_text("utf-8")
    assert "$$__timeFilter(started)" in text
    assert "{{ $$labels.metric }}" in text
    assert "$" not in text.replace("$$", "")
    board = json.loads((tmp_path / "dashboards" / "exray" / "fleet.json").read_text("utf-8"))
    assert "$__timeFilter(" in board["panels"][0]["targets"][0]["rawSql"]
    assert "$$" not in json.dumps(board)


def test_motherducks_data_source_has_no_password(tmp_path: Path) -> None:
    export(tmp_path, motherduck_datasource("SELECT '$1'"), "/boards")
    (datasource,) = read(tmp_path / "datasources" / "exray.yaml")["datasources"]
    assert "secureJsonData" not in datasource
    assert datasource["jsonData"]["initSql"] == "SELECT '$$1'"


def test_project_has_a_lake_a_server_a_collector_and_a_grafana(tmp_path: Path) -> None:
    files = write_project(tmp_path / "new", None, "0.1.0", 3001)
    project = read(files[0])
    services = project["services"]
    assert set(services) == {"sample", "sql", "collector", "grafana"}
    assert (
        "exray[collector,diagnosis,grafana,playback]==0.1.0"
        in (services["sql"]["build"]["dockerfile_inline"])
    )
    assert services["grafana"]["ports"] == ["127.0.0.1:3001:3000"]


def test_every_service_is_reached_from_this_machine_alone(tmp_path: Path) -> None:
    project = read(write_project(tmp_path / "new", None, "0.1.0", 3000)[0])
    ports = [port for service in project["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_volumes_and_conditions_of_the_project_are_declared(tmp_path: Path) -> None:
    project = read(write_project(tmp_path / "new", tmp_path, "0.1.0", 3000)[0])
    for service in project["services"].values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert source in project["volumes"] or (tmp_path / "new" / source).exists()
        for needed in service.get("depends_on", {}):
            assert needed in project["services"]
        assert set(service) <= {
            "image", "build", "command", "entrypoint", "environment", "volumes", "ports",
            "depends_on", "restart", "user",
        }  # fmt: skip


def test_project_of_a_checkout_is_built_from_it(tmp_path: Path) -> None:
    project = read(write_project(tmp_path / "new", Path("/src/exray"), "0.1.0", 3000)[0])
    build = project["services"]["sql"]["build"]
    assert build["context"] == "/src/exray"
    assert "COPY . /exray" in build["dockerfile_inline"]


def test_project_is_written_again_but_not_over_something_else(tmp_path: Path) -> None:
    write_project(tmp_path / "new", None, "0.1.0", 3000)
    write_project(tmp_path / "new", None, "0.1.0", 3000)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(UsageError, match="holds something else"):
        write_project(tmp_path / "other", None, "0.1.0", 3000)
