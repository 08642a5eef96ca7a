"""The headers of the SQL library say what its definitions are."""

from collections.abc import Generator
from pathlib import Path

import duckdb
import pytest

from exray.queries import catalog, connect_tables, generate
from exray.queries.catalog import MODULES, Definition, definitions, parse

LIBRARY = Path(catalog.__file__).parent
PUBLIC = [definition for definition in definitions() if definition.public]


@pytest.fixture(scope="module")
def connection() -> Generator[duckdb.DuckDBPyConnection]:
    connection = connect_tables({})
    yield connection
    connection.close()


def named(definition: Definition) -> str:
    return definition.name


def test_every_module_is_loaded() -> None:
    found = {path.relative_to(LIBRARY).as_posix() for path in LIBRARY.glob("*/*.sql")}
    assert sorted(MODULES) == sorted(found)


def test_no_definition_is_made_twice() -> None:
    names = [definition.name for definition in definitions()]
    assert len(names) == len(set(names))


def test_every_definition_in_a_file_is_read() -> None:
    created = sum(
        path.read_text("utf-8").count("CREATE OR REPLACE") for path in LIBRARY.glob("*/*.sql")
    )
    assert len(definitions()) == created


@pytest.mark.parametrize("definition", definitions(), ids=named)
def test_header_begins_with_a_sentence(definition: Definition) -> None:
    assert definition.paragraphs
    assert definition.paragraphs[0].endswith((".", ":"))


@pytest.mark.parametrize("definition", PUBLIC, ids=named)
def test_public_name_begins_with_its_module(definition: Definition) -> None:
    module = definition.module.rpartition("/")[2].removesuffix(".sql")
    assert definition.name == module or definition.name.startswith(f"{module.split('_')[0]}_")


@pytest.mark.parametrize("definition", PUBLIC, ids=named)
def test_every_argument_is_described(definition: Definition) -> None:
    assert definition.documented == tuple(argument.name for argument in definition.arguments)
    assert all(argument.text for argument in definition.arguments)


@pytest.mark.parametrize("definition", [d for d in PUBLIC if d.kind != "scalar macro"], ids=named)
def test_columns_are_those_described(
    definition: Definition, connection: duckdb.DuckDBPyConnection
) -> None:
    call = definition.name if definition.kind == "view" else f"{definition.name}()"
    described = connection.execute(f"DESCRIBE SELECT * FROM {call}").fetchall()
    actual = [(row[0], row[1]) for row in described]
    assert [(column.name, column.type) for column in definition.columns] == actual


@pytest.mark.parametrize(
    "call",
    [
        "hex_id('\\x0A'::BLOB)",
        "ts(0)",
        "ms(1)",
        "sqnr_db(0.1)",
        "finite_or_null(1.0::DOUBLE)",
        "sketch_sqdist([1.0::FLOAT], [1.0::FLOAT])",
        "sketch_fold([1.0::FLOAT], 1)",
        "sketch_dot([1.0::FLOAT], [1.0::FLOAT])",
        "sketch_cosine([1.0::FLOAT], 1.0::DOUBLE, [1.0::FLOAT], 1.0::DOUBLE)",
        "weighted_mean(1.0::DOUBLE, 1.0::DOUBLE)",
        "weighted_count(1.0::DOUBLE)",
        "weighted_quantile(1.0::DOUBLE, 1.0::DOUBLE, 1.0::DOUBLE, 0.5::DOUBLE)",
    ],
)
def test_scalar_macro_returns_the_type_described(
    call: str, connection: duckdb.DuckDBPyConnection
) -> None:
    definition = next(d for d in PUBLIC if d.name == call.partition("(")[0])
    row = connection.execute(f"SELECT typeof({call})").fetchone()
    assert row == (definition.columns[0].type,)


def test_page_is_what_the_headers_say() -> None:
    assert generate.PAGE.read_text("utf-8") == generate.page()


def test_check_reports_a_stale_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "PAGE", tmp_path / "queries.md")
    assert generate.main(["--check"]) == 1
    assert "python -m exray.queries.generate" in capsys.readouterr().out
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0


def test_parse_joins_continued_lines_and_reads_defaults() -> None:
    text = """\
-- First sentence. Second.
--
-- More.
--
-- Arguments:
--   edge: the edge,
--     in two lines.
-- Columns:
--   a_ms DOUBLE: time, ms.
CREATE OR REPLACE MACRO m_one(edge := '', size := 3) AS TABLE
SELECT 1.0 AS a_ms;
"""
    (definition,) = parse("p/m.sql", text)
    assert definition.summary == "First sentence."
    assert definition.paragraphs == ("First sentence. Second.", "More.")
    assert [(a.name, a.default, a.text) for a in definition.arguments] == [
        ("edge", "''", "the edge, in two lines."),
        ("size", "3", ""),
    ]
    assert [(c.name, c.type, c.text) for c in definition.columns] == [
        ("a_ms", "DOUBLE", "time, ms.")
    ]
