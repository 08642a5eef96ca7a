"""Provisioning files and the compose project hold what push would make."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from exray.cli import make_app
from exray.grafana.alerts import RULES
from exray.grafana.compose import write_project
from exray.grafana.dashboards import BOARDS
from exray.grafana.datasource import motherduck_datasource, postgres_datasource
from exray.grafana.export import export
from exray.grafana.policy import thresholds_from_policy
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
    assert set(services) == {"sample", "sql", "rollups", "collector", "grafana"}
    assert (
        "exray[collector,diagnosis,grafana,playback]==0.1.0"
        in (services["sql"]["build"]["dockerfile_inline"])
    )
    assert services["grafana"]["ports"] == ["127.0.0.1:3001:3000"]


def exray_commands(service: dict[str, Any]) -> list[list[str]]:
    """Every call of exray in a service's command, also those of a shell script."""
    command: list[str] = service.get("command", [])
    if command[:2] != ["sh", "-c"]:
        return [command] if command else []
    tokens = shlex.shlex(command[2].replace("$$", "$"), posix=True, punctuation_chars=True)
    tokens.whitespace_split = True
    calls: list[list[str]] = [[]]
    for token in tokens:
        if set(token) <= set(";|&<>"):
            calls.append([])
        else:
            calls[-1].append(token)
    return [call for call in calls if call[:1] == ["exray"]]


def parse(arguments: list[str]) -> dict[str, Any]:
    """Parse a command line as exray would, without running it; its parameters by name."""
    command: Any = get_command(make_app())
    context = command.make_context(arguments[0], arguments[1:], resilient_parsing=False)
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        context = command.make_context(name, rest, parent=context)
    return dict(context.params)


def test_the_project_calls_exray_with_options_that_there_are(tmp_path: Path) -> None:
    services = read(write_project(tmp_path / "new", None, "0.1.0", 3000)[0])["services"]
    commands = {name: command for name, of in services.items() for command in exray_commands(of)}
    assert set(commands) == {"sample", "sql", "rollups", "collector"}
    parsed = {name: parse(command) for name, command in commands.items()}
    assert {str(parameters["lake"]) for parameters in parsed.values()} == {"/lake/fleet"}
    assert parsed["sql"]["listen"] == "0.0.0.0:5433"
    assert parsed["sql"]["insecure"] is True
    assert parsed["collector"]["http"] == "0.0.0.0:4318"
    assert parsed["collector"]["grpc"] == "0.0.0.0:4317"
    assert parsed["rollups"]["every"] == 300


def test_an_option_that_there_is_not_would_be_seen() -> None:
    with pytest.raises(Exception, match="No such option"):
        parse(["exray", "grafana", "serve", "--lakes", "lake"])


def test_the_ports_that_the_project_opens_are_those_it_listens_on(tmp_path: Path) -> None:
    services = read(write_project(tmp_path / "new", None, "0.1.0", 3000)[0])["services"]
    listened = parse(exray_commands(services["collector"])[0])
    inside = {port.rpartition(":")[2] for port in services["collector"]["ports"]}
    assert inside == {listened[name].rpartition(":")[2] for name in ("http", "grpc")}
    (datasource,) = read(tmp_path / "new" / "provisioning" / "datasources" / "exray.yaml")[
        "datasources"
    ]
    port = parse(exray_commands(services["sql"])[0])["listen"].rpartition(":")[2]
    assert datasource["url"] == f"sql:{port}"


def test_a_policys_thresholds_reach_the_files(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("limits: [{metric: sqnr_db, max_loss: 2.5}, {metric: top1, max_loss: 0.05}]")
    found = thresholds_from_policy(policy)
    export(tmp_path / "default", postgres_datasource("127.0.0.1:5433"), "/boards")
    export(tmp_path / "own", postgres_datasource("127.0.0.1:5433"), "/boards", found.thresholds)

    def fires_above(folder: str) -> dict[str, float]:
        (group,) = read(tmp_path / folder / "alerting" / "exray.yaml")["groups"]
        return {
            rule["uid"]: rule["data"][2]["model"]["conditions"][0]["evaluator"]["params"][0]
            for rule in group["rules"]
        }

    changed = {"exray-layer-divergence": 2.5, "exray-accuracy-drop": 0.05}
    assert fires_above("own") == fires_above("default") | changed
    board = (tmp_path / "own" / "dashboards" / "exray" / "build.json").read_text("utf-8")
    assert "loss_db >= 2.5" in board
    assert "loss_db >= 3" not in board


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
