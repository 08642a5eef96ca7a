"""Each rule fires on a fleet with its fault, and on none without."""

import re
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from exray.grafana.alerts import RULES, Rule, group_file, group_json, rule_json
from exray.grafana.dashboards import BOARDS, MOTHERDUCK, POSTGRES
from exray.grafana.macros import TimeRange, expand
from exray.grafana.sample import HOUR_NS
from exray.queries import connect

from .boards import Answer, answer
from .fleets import faulty, make_fleet
from .test_query_rules import broken_rules

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks.md"
BY_NAME = {rule.name: rule for rule in RULES}


def asked(connection: duckdb.DuckDBPyConnection, rule: Rule) -> Answer:
    end = datetime.now(UTC)
    return answer(connection, expand(rule.sql, TimeRange(end - timedelta(days=rule.days), end)))


def fired(connection: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    """Return the series for which a rule fires."""
    rule = BY_NAME[name]
    rows = asked(connection, rule).records()
    return [str(row["metric"]) for row in rows if float(str(row["value"])) > rule.above]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Generator[duckdb.DuckDBPyConnection]:
    """A fleet in which all is well, and whose frames are minutes old."""
    fleet = faulty()
    fleet = replace(fleet, end_ns=fleet.end_ns + 2 * HOUR_NS - HOUR_NS // 20, frames_per_run=32)
    with closing(connect(make_fleet(tmp_path_factory.mktemp("sound") / "lake", fleet))) as found:
        yield found


@pytest.fixture(scope="module")
def ill(tmp_path_factory: pytest.TempPathFactory) -> Generator[duckdb.DuckDBPyConnection]:
    """A fleet whose newest build has every fault."""
    fleet = faulty(quantization=-1, slow=-1, nonfinite=-1, overhead=-1, silent=-1)
    fleet = replace(fleet, frames_per_run=64, inputs=64, measured_every=4)
    fleet = replace(fleet, faults=replace(fleet.faults, wrong_ratio=0.4))
    with closing(connect(make_fleet(tmp_path_factory.mktemp("ill") / "lake", fleet))) as found:
        yield found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule_is_quiet_where_all_is_well(rule: Rule, sound: duckdb.DuckDBPyConnection) -> None:
    assert fired(sound, rule.name) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule_has_series_where_all_is_well(rule: Rule, sound: duckdb.DuckDBPyConnection) -> None:
    """It is quiet because of what it sees, not because it sees nothing."""
    assert asked(sound, rule).rows != []


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("layer-divergence", "sorter 1.1.0 on {} ({}), block_7/conv"),
        ("accuracy-drop", "sorter 1.1.0 on {} ({})"),
    ],
)
def test_rule_fires_for_every_device_of_a_bad_build(
    name: str, series: str, ill: duckdb.DuckDBPyConnection
) -> None:
    devices = [("jetson", "builtin"), ("pixel8", "xnnpack")]
    assert set(fired(ill, name)) == {series.format(*device) for device in devices}


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("latency-p99", ["sorter 1.1.0 on pixel8 (xnnpack)"]),
        ("not-finite", ["sorter 1.1.0 on jetson (builtin)"]),
        ("device-silent", ["device-00000 (pi5, 1.0.0)"]),
        ("lake-lag", ["lake"]),
    ],
)
def test_rule_fires_for_what_is_at_fault_alone(
    name: str, series: list[str], ill: duckdb.DuckDBPyConnection
) -> None:
    assert fired(ill, name) == series


def test_overhead_fires_where_recording_took_too_much(ill: duckdb.DuckDBPyConnection) -> None:
    assert len(fired(ill, "overhead")) == 2


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule_gives_thirty_series_of_one_value_at_most(
    rule: Rule, ill: duckdb.DuckDBPyConnection
) -> None:
    found = asked(ill, rule)
    assert found.columns == {"time": "TIMESTAMP", "metric": "VARCHAR", "value": "DOUBLE"}
    assert len(found.rows) == len(set(found.column("metric"))) <= 30
    assert broken_rules(rule.sql) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule_has_a_runbook_and_a_board(rule: Rule) -> None:
    sections = re.findall(r"^## (.+)$", RUNBOOKS.read_text("utf-8"), re.MULTILINE)
    assert rule.name in sections
    assert rule.board in {board.name for board in BOARDS}
    assert len(rule.uid) <= 40


def test_every_runbook_is_of_a_rule() -> None:
    sections = re.findall(r"^## (.+)$", RUNBOOKS.read_text("utf-8"), re.MULTILINE)
    assert sections == [rule.name for rule in RULES]


@pytest.mark.parametrize("source", [POSTGRES, MOTHERDUCK], ids=lambda source: source.name)
def test_rule_reduces_its_query_to_the_last_value_and_holds_it_to_a_threshold(
    source: Any,
) -> None:
    document = rule_json(BY_NAME["latency-p99"], source)
    query, reduce, threshold = document["data"]
    assert query["datasourceUid"] == source.uid
    assert query["model"]["format"] == source.formats["time_series"]
    assert (reduce["model"]["expression"], reduce["model"]["reducer"]) == ("A", "last")
    assert threshold["model"]["expression"] == "B"
    assert threshold["model"]["conditions"][0]["evaluator"] == {"type": "gt", "params": [1.2]}
    assert document["condition"] == "C"
    assert document["noDataState"] == "OK"


def test_group_and_file_hold_the_same_rules() -> None:
    by_api = group_json(RULES, POSTGRES)["rules"]
    by_file = group_file(RULES, POSTGRES)["groups"][0]["rules"]
    assert [rule["uid"] for rule in by_api] == [rule["uid"] for rule in by_file]
    assert [rule["data"] for rule in by_api] == [rule["data"] for rule in by_file]
    assert not {"folderUID", "ruleGroup", "orgID"} & set(by_file[0])
