"""Tables in the room that a terminal gives."""

import io

import pytest
from rich.console import Console

from exray.queries.text_table import Column, cut, fitting, text_table, widths


def printed(columns: list[Column], width: int, *, leave_out: bool = True) -> list[str]:
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False)
    console.print(text_table(columns, width, leave_out=leave_out))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def names(count: int) -> Column:
    return Column("layer_name", [f"expanded_conv_{i}/depthwise" for i in range(count)], "name")


def numbers(header: str, *values: str, rank: int = 0) -> Column:
    return Column(header, values, "number", rank)


def test_nothing_is_cut_where_there_is_room() -> None:
    assert printed([names(1), numbers("sqnr_db", "12.5")], 80) == [
        "layer_name                 sqnr_db",
        "──────────────────────────────────",
        "expanded_conv_0/depthwise     12.5",
    ]


def test_headers_are_folded_before_names_are_cut() -> None:
    assert printed([names(1), numbers("sqnr_db", "12.5")], 32) == [
        "                           sqnr_",
        "layer_name                    db",
        "────────────────────────────────",
        "expanded_conv_0/depthwise   12.5",
    ]


def test_names_keep_the_end_that_tells_them_apart() -> None:
    lines = printed([names(2), numbers("db", "1", "2")], 20)
    assert lines[-2:] == ["…onv_0/depthwise   1", "…onv_1/depthwise   2"]


def test_columns_without_room_are_left_out_by_rank() -> None:
    columns = [numbers(name, "12345", rank=rank) for name, rank in (("a", 0), ("b", 2), ("c", 1))]
    assert [column.header for column in fitting(columns, 12)] == ["a", "c"]
    assert [column.header for column in fitting(columns, 19)] == ["a", "b", "c"]


def test_one_column_is_always_left() -> None:
    assert len(fitting([numbers("a", "12345678"), numbers("b", "1")], 3)) == 1


@pytest.mark.parametrize("width", [30, 40, 80, 120])
def test_every_line_fits(width: int) -> None:
    columns = [names(3), *(numbers(f"number_{i}", "0.5", "1e-07", "-3.25") for i in range(9))]
    assert max(map(len, printed(columns, width))) <= width


def test_numbers_are_whole_at_any_width() -> None:
    columns = [names(1), numbers("db", "123456.75")]
    assert "123456.75" in printed(columns, 15, leave_out=False)[-1]


def test_prose_goes_on_in_the_next_line() -> None:
    lines = printed([numbers("n", "1"), Column("said", ["word " * 20], "prose")], 40)
    assert sum(line.count("word") for line in lines) == 20


def test_texts_are_no_markup_and_steer_no_terminal() -> None:
    (line,) = printed([Column("[a]", ["[bold]x\x1b[2J"])], 80)[2:]
    assert line == "[bold]x\ufffd[2J"


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("net/conv_12", "name", "…nv_12"),
        ("a reason", "text", "a rea…"),
        ("1234567890", "number", "1234567890"),
        ("short", "name", "short"),
        ("卷积层一二三", "text", "卷积…"),
    ],
)
def test_cut(text: str, kind: str, expected: str) -> None:
    assert cut(text, 6, kind) == expected  # type: ignore[arg-type] # parametrized


def test_wide_columns_give_way_first() -> None:
    columns = [Column("a", ["x" * 30], "name"), Column("b", ["y" * 14], "text")]
    assert widths(columns, 34) == [18, 14]
