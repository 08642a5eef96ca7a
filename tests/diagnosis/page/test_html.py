"""The page: self-contained, complete, and closed to what names may hold."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from exray.diagnosis.causes import Cause, Where
from exray.diagnosis.comparison import Comparison, Coverage, Place, Unmatched
from exray.diagnosis.conclusion import Diagnosis, FinderFailure
from exray.diagnosis.diagnosis_wording import verdict_sentence
from exray.diagnosis.page import Page, html, page_html
from exray.diagnosis.page.layer_table import LAYERS_SHOWN, worst_layers

from ..builders import make_comparison, make_input, make_layer, make_raw
from .pages import make_flips, make_hostile_page, make_layers, make_page

CAUSE = Cause(
    code="quantization.range",
    what="int8 clips 12 % of 'stem'",
    where=Where(layer_index=2, layer="net/stem/conv", op="CONV_2D"),
    confidence=0.93,
    evidence={"clipped_ratio": 0.1234567, "frames": 60},
    fix="Calibrate with more inputs.",
)


class Reading(HTMLParser):
    """Reads a page; every tag must be closed, in order."""

    VOID = ("meta", "br", "wbr", "input")
    """Tags that are never closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that opens."""
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check that the tag opened last closes."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text, but for scripts' and styles'."""
        if self._open and self._open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All text of the page, in one line."""
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(autouse=True)
def _without_vega(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    """Leave out the charting library, which a browser's test runs."""
    monkeypatch.setattr(html, "vega_script", lambda: "/* vega */")


def rows(page: str) -> Iterator[list[str]]:
    """Yield the cells of every table row."""
    for row in re.findall(r"<tr[^>]*>(.*?)</tr>", page, re.DOTALL):
        yield [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]


def page_of(comparison: Comparison) -> str:
    return page_html(Page(comparison))


def test_the_page_needs_nothing_from_anywhere_else() -> None:
    page = page_html(make_page())
    read = Reading(page)
    assert {"link", "img", "iframe"} & set(read.tags) == set()
    assert not [name for name, _ in read.attributes if name in ("src", "href")]
    assert not re.search(r"url\(|@import", page)
    links = set(re.findall(r"https?://[^\"' ]+", page))
    assert links == {"https://vega.github.io/schema/vega-lite/v6.json"}  # names a format


def test_a_browser_may_run_the_pages_own_scripts_and_load_nothing() -> None:
    (policy,) = re.findall(r'content="([^"]*default-src[^"]*)"', page_html(make_page()))
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[^']+' 'sha256-[^']+'", rules["script-src"])


def test_the_page_begins_with_the_verdict() -> None:
    text = Reading(page_html(make_page())).text
    verdict = text.index("part most at layer 6 'block_6/Relu6'")
    assert verdict < text.index("Layers, in graph order") < text.index("Outcome")


def test_without_a_diagnosis_no_causes_are_shown() -> None:
    text = Reading(page_html(make_page())).text
    assert "Causes" not in text
    assert "FAIL" not in text


def test_causes_are_told_in_the_words_of_the_terminal() -> None:
    page = make_page()
    broken = (FinderFailure("find_x", "KeyError: 1"),)
    diagnosis = Diagnosis(page.comparison, (CAUSE,), failures=broken)
    text = Reading(page_html(replace(page, diagnosis=diagnosis))).text
    for told in (
        f"FAIL {verdict_sentence(diagnosis)}",
        "quantization.range 93% sure int8 clips 12 % of 'stem'",
        "where layer 2 'stem/conv', CONV_2D",
        "shown clipped_ratio 0.1235, frames 60",
        "fix Calibrate with more inputs.",
        "Finder find_x failed and was left out: KeyError: 1",
    ):
        assert told in text.replace("_ ", "_").replace("/ ", "/")


def test_a_pass_says_so() -> None:
    page = make_page(diagnosis=Diagnosis(make_comparison()))
    text = Reading(page_html(page)).text
    assert "PASS 'e' does what 'r' does" in text
    assert "No cause fails the edge." in text


def test_the_table_lists_layers_in_graph_order_with_their_numbers() -> None:
    layers = [row for row in rows(page_html(make_page(3))) if len(row) == 10]
    assert [row[0] for row in layers] == ["0", "1", "2"]
    assert layers[0] == [
        *("0", "block_0/Relu6", "45.0", "-0.7", "1.200", "1.100", "CONV_2D"),
        *("0.9995", "0.0123", "block_0"),
    ]
    assert layers[1][2:6] == ["-"] * 4


def test_numbers_sort_by_value_and_what_was_not_measured_last() -> None:
    page = page_html(make_page(3))
    assert '<td class="n" data-value="45.0">45.0</td>' in page
    assert '<td class="n" data-value="">-</td>' in page


def test_of_a_thousand_layers_more_the_worst_are_listed() -> None:
    every = tuple(make_layers(LAYERS_SHOWN + 500))
    shown = worst_layers(every, LAYERS_SHOWN)
    assert len(shown) == LAYERS_SHOWN
    assert list(shown) == sorted(shown, key=lambda layer: layer.layer_index)
    assert max(every, key=lambda layer: layer.rank_drop_db or -99) in shown
    page = Reading(page_html(make_page(LAYERS_SHOWN + 500))).text
    assert "1000 of 1500 layers: those that lose most against their inputs." in page


def test_full_names_stand_under_the_pointer() -> None:
    assert 'title="net/block_0/Relu6;net/block_0/Conv2D"' in page_html(make_page())


def test_a_name_of_thousands_of_characters_is_cut() -> None:
    page = page_of(make_comparison([make_layer(layer="net/" + "fused;" * 5000)]))
    assert "…" in page
    assert max(map(len, re.findall(r'title="([^"]*)"', page))) < 1000


def test_what_the_verdict_names_is_marked_in_the_tables() -> None:
    assert page_html(make_page()).count(' class="worst">') == 1
    apart = make_comparison([make_layer(0, 2.0, 9.0)], [make_raw(), make_input(3.0)])
    marked = re.findall(r'<tr class="worst"><td[^>]*>([^<]*)', page_of(apart))
    assert marked == ["model input"]


def test_coverage_lists_what_was_left_out_and_why() -> None:
    coverage = Coverage(
        frames_paired=60,
        frames_measured=50,
        layers_excluded=(Unmatched(1, "net/shape", "SHAPE", "shape arithmetic"),),
        reference_unmatched=(Unmatched(4, "bn", "BatchNormalization", "no edge layer answers"),),
        note="the graph is missing",
    )
    page = page_of(make_comparison([make_layer()], coverage=coverage))
    text = Reading(page).text
    assert "60 paired, 50 of them with tensors of both sides" in text
    assert ["excluded", "1", "net/shape", "shape arithmetic"] in list(rows(page))
    assert "Reference layers that answer to no edge layer: 1" in text
    assert "BatchNormalization" in text
    assert "the graph is missing" in text


def test_outcome_shows_accuracy_interval_and_the_four_cases() -> None:
    page = page_html(make_page())
    assert ["top-1", "73.3%", "90.0%"] in list(rows(page))
    assert ["95 % interval", "60.0% .. 83.0%", "80.0% .. 95.0%"] in list(rows(page))
    assert ["edge right", "43", "1"] in list(rows(page))
    assert ["edge wrong", "10", "6"] in list(rows(page))
    assert "Flips (right on one side only): 11, McNemar p = 0.0117" in Reading(page).text


def test_flipped_inputs_are_listed_with_both_classes() -> None:
    assert ["cat_0.jpg", "3", "5", "3", "reference"] in list(rows(page_html(make_page())))


def test_a_list_that_was_cut_says_so() -> None:
    page = make_page(flips=make_flips(100), flips_total=2345, builds_total=40)
    text = Reading(page_html(page)).text
    assert "The first 100 of 2345 inputs; all of them: exray query outcome_flips." in text
    assert "8 of 40 builds." in text


def test_one_build_alone_is_no_trend() -> None:
    page = make_page(builds=make_page().builds[-1:], builds_total=1)
    assert (
        "'1.4.2' is the only build of 1.4.2_net on pi5 (xnnpack)" in Reading(page_html(page)).text
    )
    assert 'data-chart="trend' not in page_html(page)


def test_without_labels_the_page_says_how_to_give_them() -> None:
    page = Page(make_comparison([make_layer()]))
    assert "there is no accuracy to show: exray run --labels" in Reading(page_html(page)).text


def test_without_flips_the_page_says_that_all_agree() -> None:
    outcomes = make_page().outcomes
    assert outcomes is not None
    page = make_page(outcomes=replace(outcomes, differing=0), flips=(), flips_total=0)
    assert "Both sides give all 60 paired inputs the same class." in Reading(page_html(page)).text


@pytest.mark.parametrize("places", [[], [make_raw()], [make_input(None, reason="why not")]])
def test_a_page_can_be_made_of_nearly_nothing(places: list[Place]) -> None:
    text = Reading(page_of(make_comparison(places=places, coverage=Coverage()))).text
    assert "share no input" in text
    assert "The lake holds no layers of the edge's model." in text


def test_names_cannot_break_out() -> None:
    text = page_html(make_hostile_page())
    page = Reading(text)
    assert page.tags.count("script") == 3  # the data, the library, the page's own
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "alert(1)" in page.text  # shown, as text
