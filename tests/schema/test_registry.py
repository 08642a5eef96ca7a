"""The registry is consistent, and what is generated from it is fresh."""

import ast
from pathlib import Path

import pytest

from exray.schema import generate
from exray.schema.errors import UsageError
from exray.schema.registry_reader import read_conventions, read_tables
from exray.schema.tables import TABLES

REGISTRY = generate.SCHEMA / "registry"
ATTRIBUTES, GROUPS = read_conventions(REGISTRY / "conventions")


def test_generated_files_are_fresh() -> None:
    assert generate.stale() == []


def test_check_reports_a_stale_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "DOCS", tmp_path)
    assert generate.main(["--check"]) == 1
    assert "attributes.md, tables.md" in capsys.readouterr().out
    assert generate.main(["--chek"]) == 2


def test_every_attribute_of_a_table_is_in_the_registry() -> None:
    keys = {attribute.key for attribute in ATTRIBUTES}
    used = {
        column.attribute
        for table in TABLES.values()
        for column in table.columns
        if column.attribute
    }
    assert used <= keys


def test_every_exray_attribute_is_carried_by_some_span_or_resource() -> None:
    carried = {key for group in GROUPS for key in group.keys}
    assert {attribute.key for attribute in ATTRIBUTES} == carried


def test_every_attribute_is_a_constant_with_a_docstring() -> None:
    body = ast.parse((generate.SCHEMA / "attributes.py").read_text("utf-8")).body[1:]
    constants, docs = body[::2], body[1::2]
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in constants
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert sorted(values.values()) == sorted(attribute.key for attribute in ATTRIBUTES)
    assert all(name == key.replace(".", "_").upper() for name, key in values.items())
    assert len(docs) == len(values)
    assert all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in docs)


def test_only_opentelemetrys_own_attributes_lack_the_prefix() -> None:
    assert all(a.key.startswith("exray.") != a.upstream for a in ATTRIBUTES)


def test_span_groups_are_those_of_a_frame() -> None:
    spans = [group.name for group in GROUPS if group.type == "span"]
    assert spans == ["frame", "stage", "inference", "layer", "tensor"]


@pytest.mark.parametrize("table", ["frames", "layer_spans", "tensors", "spans"])
def test_rows_of_spans_begin_alike(table: str) -> None:
    names = [column.name for column in TABLES[table].columns]
    assert names[:11] == [
        "run_id",
        "build",
        "model_name",
        "model_sha256",
        "trace_id",
        "span_id",
        "parent_span_id",
        "frame_span_id",
        "input_key",
        "start_ns",
        "dur_ns",
    ]


def test_encodings_follow_the_type_unless_told() -> None:
    encodings = {column.name: column.encoding for column in TABLES["tensors"].columns}
    assert encodings["trace_id"] == "plain"
    assert encodings["start_ns"] == "delta"
    assert encodings["sum"] == encodings["sketch"] == "byte_stream_split"
    assert encodings["layer_name"] == "dictionary"
    assert encodings["hash"] == "plain"


def test_stored_columns_leave_out_those_of_the_path() -> None:
    names = [column.name for column in TABLES["frames"].stored_columns]
    assert names[-1] == "received_ns"
    assert len(names) == len(TABLES["frames"].columns) - 2


def test_a_key_without_its_column_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "tables.yaml"
    path.write_text(
        "column_groups: {partition: []}\n"
        "tables: {t: {brief: T., key: [id], sort: [], columns: []}}\n"
    )
    with pytest.raises(UsageError, match=r"no column for \['id'\]"):
        read_tables(path)


def test_an_unknown_type_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "tables.yaml"
    path.write_text("column_groups: {partition: [{name: dt, type: date, brief: D.}]}\ntables: {}\n")
    with pytest.raises(UsageError, match="column 'dt' has type 'date'"):
        read_tables(path)


def test_a_reference_to_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "spans.yaml").write_text(
        "groups: [{id: span.x, type: span, brief: X., attributes: [{ref: exray.none}]}]"
    )
    with pytest.raises(UsageError, match=r"'span.x' refers to \['exray.none'\]"):
        read_conventions(tmp_path)


def test_an_attribute_defined_twice_is_an_error(tmp_path: Path) -> None:
    one = "{id: exray.a, type: int, brief: A.}"
    (tmp_path / "a.yaml").write_text(
        f"groups: [{{id: r, type: attribute_group, brief: R., attributes: [{one}, {one}]}}]"
    )
    with pytest.raises(UsageError, match=r"'exray.a' is defined twice"):
        read_conventions(tmp_path)


def test_tables_that_say_when_a_row_was_recorded_have_corrections_the_others_copies() -> None:
    corrected = {table.name for table in TABLES.values() if table.newest_by}
    assert {"runs", "alignments", "build_stats"} <= corrected
    assert not corrected & {"frames", "layer_spans", "tensors", "graphs"}
