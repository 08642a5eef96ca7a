"""The boards' JSON is what Grafana's own types allow, and what the code generates."""

import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from exray.grafana import generate
from exray.grafana.dashboards import BOARDS, SOURCES, Board, Panel, dashboard_json
from exray.grafana.dashboards.render import link_url

from .boards import BY_NAME, PANELS

SCHEMAS = Path(__file__).parent / "schema" / "grafana.schema.json"
GENERATED = [(source, board) for source in SOURCES.values() for board in BOARDS]


def name_of(value: object) -> str | None:
    if isinstance(value, Panel):
        return value.title
    return getattr(value, "name", None)


@cache
def validator(name: str) -> Draft7Validator:
    schemas: dict[str, Any] = json.loads(SCHEMAS.read_text("utf-8"))["schemas"]
    return Draft7Validator(schemas[name])


def mistakes(name: str, document: Any) -> list[str]:
    """Return what is wrong with a document, by its place in it."""
    found = validator(name).iter_errors(document)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


@pytest.mark.parametrize(("source", "board"), GENERATED, ids=name_of)
def test_dashboard_is_one_of_grafanas_types(source: Any, board: Board) -> None:
    document = dashboard_json(board, source, BOARDS)
    for annotation in document["annotations"]["list"]:
        # The types know no targets but those of Grafana's own annotations, and say so.
        target = annotation.pop("target")
        assert target.keys() == document["panels"][0]["targets"][0].keys()
    assert mistakes("Dashboard", document) == []


def rendered(board: Board) -> Iterator[dict[str, Any]]:
    yield from dashboard_json(board, SOURCES["postgres"], BOARDS)["panels"]


@pytest.mark.parametrize("board", BOARDS, ids=name_of)
def test_panels_have_the_options_of_their_plugins(board: Board) -> None:
    for panel in rendered(board):
        plugin = panel["type"].replace("-", "")
        if plugin == "traces":  # has none, and no types of its own
            assert panel["options"] == {}
            continue
        assert mistakes(f"{plugin}.Options", panel["options"]) == []
        custom = panel["fieldConfig"]["defaults"].get("custom")
        if custom is not None:
            assert mistakes(f"{plugin}.FieldConfig", custom) == []


def test_a_mistake_in_a_dashboard_is_found() -> None:
    document = dashboard_json(BOARDS[0], SOURCES["postgres"], BOARDS)
    document["panels"][0]["gridPos"]["w"] = "wide"
    document["refreshh"] = ""
    places = [text.split(":")[0] for text in mistakes("Dashboard", document)]
    assert "" in places
    assert any(place.startswith("panels") for place in places)
    assert mistakes("table.Options", {"frameIndex": 0, "showHeader": "yes"}) != []


def test_schema_is_of_the_version_that_the_script_asks_for() -> None:
    package = json.loads(SCHEMAS.with_name("package.json").read_text("utf-8"))
    version = json.loads(SCHEMAS.read_text("utf-8"))["version"]
    assert version == package["dependencies"]["@grafana/schema"]


def test_committed_files_are_what_the_code_generates() -> None:
    assert generate.main(["--check"]) == 0


def test_check_names_stale_and_surplus_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "FOLDER", tmp_path)
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    (tmp_path / "postgres" / "fleet.json").write_text("{}")
    (tmp_path / "postgres" / "old.json").write_text("{}")
    assert generate.main(["--check"]) == 1
    shown = capsys.readouterr().out
    assert "postgres/fleet.json" in shown
    assert "postgres/old.json" in shown
    assert generate.main(["--fast"]) == 2


def test_uids_are_unique_short_and_made_of_names() -> None:
    uids = [board.uid for board in BOARDS]
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch(r"exray-[a-z]+", uid) and len(uid) <= 40 for uid in uids)


@pytest.mark.parametrize("board", BOARDS, ids=name_of)
def test_panels_stand_beside_each_other(board: Board) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in rendered(board):
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken
        taken |= cells


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=name_of)
def test_panel_says_what_a_healthy_picture_looks_like(board: Board, panel: Panel) -> None:
    assert "Healthy: " in panel.description
    assert panel.description.endswith(".")


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=name_of)
def test_numbers_with_a_unit_in_their_name_say_it(board: Board, panel: Panel) -> None:
    units = {"_ms": "ms", "_db": "dB", "_ratio": None}
    for column in panel.columns:
        for suffix, unit in units.items():
            if column.name.endswith(suffix) and unit is not None:
                assert column.unit == unit or panel.unit == unit, column.name


def test_every_link_leads_to_a_variable_of_its_board_and_takes_time_along() -> None:
    for board in BOARDS:
        for panel in board.panels:
            fields = {column.name for column in panel.columns}
            links = [*panel.links, *(c.link for c in panel.columns if c.link)]
            for link in links:
                target = BY_NAME[link.board]
                names = {variable.name for variable in target.variables}
                assert set(link.values) <= names, (board.name, panel.title, link)
                if panel.kind == "table":
                    assert set(link.values.values()) <= fields
                url = link_url(link, board, target)
                assert "${__url_time_range}" in url
                assert "${ds:queryparam}" in url


def test_the_way_from_the_fleet_to_a_tensor_has_no_gap() -> None:
    ways = {
        (board.name, link.board)
        for board in BOARDS
        for panel in board.panels
        for link in [*panel.links, *(c.link for c in panel.columns if c.link)]
    }
    steps = ["fleet", "build", "model", "layer", "frame", "tensor"]
    assert set(pairwise(steps)) <= ways
    assert {board for _, board in ways} | {"fleet"} == set(BY_NAME)


def test_a_link_carries_what_both_boards_choose_and_sets_what_the_row_says() -> None:
    model = BY_NAME["model"]
    layers = next(panel for panel in model.panels if panel.title == "Layers")
    link = next(c.link for c in layers.columns if c.name == "layer_name")
    assert link is not None
    assert link_url(link, model, BY_NAME["layer"]) == (
        "/d/exray-layer?${__url_time_range}&${ds:queryparam}&${build:queryparam}"
        "&${kernels:queryparam}&${model:queryparam}&${role:queryparam}"
        "&var-device=${__data.fields.device}&var-layer=${__data.fields.layer_index}"
    )
