"""Rules that every query keeps, so that both data sources and any lake can answer it."""

import re

import pytest

from exray.grafana.dashboards import Panel
from exray.queries.catalog import definitions

from .boards import PANELS, QUERIES, VARIABLES

TABLES = {
    "frames", "layer_spans", "tensors", "spans", "metrics", "logs", "runs", "graphs",
    "alignments", "build_stats", "layer_build_stats",
    "build_answers", "build_times", "tensor_build_stats",
}  # fmt: skip


def broken_rules(sql: str) -> list[str]:
    """Return what is wrong with a query."""
    found: list[str] = []
    text = re.sub(r"'[^']*'", "''", sql)
    if not re.search(r"\bLIMIT \d+$", text) and not is_one_row(text):
        found.append("no LIMIT at its end")
    for limit in re.findall(r"\bLIMIT (\d+)", text):
        if int(limit) > 1000:
            found.append(f"LIMIT {limit}")
    if re.search(
        r"read_parquet|read_csv|\bglob\(|\bATTACH\b|\bCOPY\b|\bPIVOT\b", text, re.IGNORECASE
    ):
        found.append("reads files or pivots")
    if re.search(
        r"TIMESTAMPTZ|TIME ZONE|\bcurrent_timestamp\b|\bcurrent_date\b", text, re.IGNORECASE
    ):
        found.append("a time that is not UTC")
    if re.search(r"(?<!CAST\()\bnow\(\)", text):
        found.append("now() without a cast to TIMESTAMP")
    if text.rstrip().endswith(";"):
        found.append("a semicolon")
    if re.search(r"\$\{\w+\}|\$\w+(?!\w|\()", re.sub(r"\$__interval_ms", "", text)):
        found.append("a variable without :sqlstring")
    if re.search(r"\$__(?:timeGroup|unixEpoch)", text):
        found.append("a macro that the DuckDB plugin has not")
    for divisor in re.findall(r"/ *(\w+)(\(?)", text):
        if not divisor[0].isdigit() and divisor != ("nullif", "("):
            found.append(f"divides by {divisor[0]} without nullif")
    found += [f"{word} without a cast" for word in uncast(text)]
    for name in re.findall(r"\b(?:FROM|JOIN) (\w+)", text):
        known = {d.name for d in definitions() if d.public} - TABLES
        own = set(re.findall(r"\b(\w+) AS \(", text))
        if name not in known | own:
            found.append(f"reads {name}, which is no public view")
    return found


def is_one_row(text: str) -> bool:
    """Whether a query is one aggregate, without groups."""
    outer = re.sub(r"\([^()]*\)", "", re.sub(r"\([^()]*\)", "", text))
    return "GROUP BY" not in outer and "CAST" in outer and "AS " in outer


def uncast(text: str) -> list[str]:
    """Return aggregates whose type the engine chooses: sum of integers is HUGEINT."""
    found: list[str] = []
    for match in re.finditer(r"\b(sum|avg|count|row_number|date_diff|quantile_cont)\(", text):
        before = text[: match.start()]
        after_order = before.rpartition("ORDER BY")
        in_order = bool(after_order[1]) and "SELECT" not in after_order[2]
        depth = before.rpartition("CAST(")
        inside = depth[1] and depth[2].count("(") >= depth[2].count(")")
        if not inside and not in_order and "WITH" not in before:
            found.append(match[1])
    return found


@pytest.mark.parametrize(("name", "sql"), QUERIES, ids=[name for name, _ in QUERIES])
def test_query_keeps_the_rules(name: str, sql: str) -> None:
    assert broken_rules(sql) == []


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("SELECT build FROM build_trend", "no LIMIT at its end"),
        ("SELECT build FROM build_trend LIMIT 5000", "LIMIT 5000"),
        ("SELECT a FROM read_parquet('x') LIMIT 1", "reads files or pivots"),
        ("SELECT started FROM build_trend WHERE started < now() LIMIT 1", "now() without"),
        ("SELECT CAST(started AS TIMESTAMPTZ) FROM build_trend LIMIT 1", "not UTC"),
        ("SELECT build FROM build_trend LIMIT 1;", "a semicolon"),
        ("SELECT build FROM build_trend WHERE build = '$build' LIMIT 1", None),
        ("SELECT build FROM build_trend WHERE build = $build LIMIT 1", "without :sqlstring"),
        ("SELECT build FROM build_trend WHERE build = ${build} LIMIT 1", "without :sqlstring"),
        ("SELECT p50_ms / p99_ms AS r FROM build_trend LIMIT 1", "without nullif"),
        ("SELECT sum(frames) AS n FROM build_trend LIMIT 1", "sum without a cast"),
        ("SELECT build FROM layer_spans LIMIT 1", "reads layer_spans"),
        ("SELECT build FROM _frames LIMIT 1", "reads _frames"),
        ("SELECT $__timeGroup(a, 1h) FROM build_trend LIMIT 1", "a macro that"),
    ],
)
def test_each_rule_finds_what_it_forbids(sql: str, rule: str | None) -> None:
    found = broken_rules(sql)
    if rule is None:  # a quoted variable is text to the rules: the panels' tests find it
        assert found == []
    else:
        assert any(rule in text for text in found), found


@pytest.mark.parametrize(
    "panel",
    [panel for _, panel in PANELS if panel.format == "time_series"],
    ids=lambda panel: panel.title,
)
def test_lines_heed_the_time_range(panel: Panel) -> None:
    assert "$__timeFilter(" in panel.sql


def test_variables_ask_for_at_most_500_values() -> None:
    for _, variable in VARIABLES:
        assert int(variable.sql.rpartition("LIMIT ")[2]) <= 500
