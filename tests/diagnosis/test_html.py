"""The page: self-contained, complete, and closed to what names may hold."""

import re
from html.parser import HTMLParser

import pytest

from exray.diagnosis.comparison import Comparison, Coverage, Place, StageTime, Unmatched
from exray.diagnosis.html import html_report

from .builders import (
    make_comparison,
    make_input,
    make_layer,
    make_lost_layer,
    make_raw,
    make_side,
)

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>&'\x1b[31m\u202e"


class Page(HTMLParser):
    """Reads a page; every tag must be closed, in order."""

    VOID = ("meta", "br", "wbr")
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

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that is one of its own."""
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        """Check that the tag opened last closes."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All text of the page, in one line."""
        return " ".join("".join(self.texts).split())


def rows(page: str) -> list[list[str]]:
    """Return the cells of every table row."""
    found = re.findall(r"<tr[^>]*>(.*?)</tr>", page, re.DOTALL)
    return [
        [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
        for row in found
    ]


def make_full() -> Comparison:
    """Return a comparison that has everything a page can show."""
    layers = [
        make_layer(0, 30.0, 2.0, cosine=0.99951, nrmse=0.01234, edge_ms=0.25),
        make_lost_layer(1, "shape arithmetic", layer="net/shape"),
        make_layer(2, 9.0, 12.0),
    ]
    coverage = Coverage(
        frames_paired=60,
        frames_measured=50,
        layers_aligned=2,
        layers_excluded=(Unmatched(1, "net/shape", "SHAPE", "shape arithmetic"),),
        reference_unmatched=(Unmatched(4, "bn", "BatchNormalization", "no edge layer answers"),),
    )
    return make_comparison(
        layers,
        coverage=coverage,
        stages=(StageTime("decode", 1.5, None),),
        edge=make_side("1.4.2", top1=0.733, ci95=(0.6, 0.83), model_ms=3.4),
        flips=3,
        mcnemar_p=1.0,
    )


def test_the_page_needs_nothing_from_anywhere_else() -> None:
    page = html_report(make_full())
    read = Page(page)
    assert {"script", "link", "img", "iframe"} & set(read.tags) == set()
    assert not [name for name, _ in read.attributes if name in ("src", "href")]
    assert not re.search(r"url\(|@import|https?://", page)


def test_the_page_begins_with_the_verdict() -> None:
    text = Page(html_report(make_full())).text
    verdict = text.index("part most at layer 2 'block_2/Relu6'")
    assert verdict < text.index("SQNR per layer, in graph order") < text.index("Outcome")


def test_the_table_lists_layers_in_graph_order_with_their_numbers() -> None:
    layers = [row for row in rows(html_report(make_full())) if len(row) == 10 and row[0].isdigit()]
    assert [row[0] for row in layers] == ["0", "1", "2"]
    assert layers[0] == [
        *("0", "block_0/Relu6", "CONV_2D", "block_0"),
        *("30.0", "2.0", "0.9995", "0.0123", "0.250", "-"),
    ]
    assert layers[1][3:] == ["-"] * 7


def test_full_names_stand_under_the_pointer() -> None:
    page = html_report(make_full())
    assert 'title="net/block_0/Relu6;net/block_0/Conv2D"' in page


def test_what_the_verdict_names_is_marked_in_the_tables() -> None:
    assert html_report(make_full()).count('<tr class="worst">') == 1
    apart = make_comparison([make_layer(0, 2.0, 9.0)], [make_raw(), make_input(3.0)])
    assert re.findall(r'<tr class="worst"><td[^>]*>([^<]*)', html_report(apart)) == ["model input"]


def test_coverage_lists_what_was_left_out_and_why() -> None:
    text = Page(html_report(make_full())).text
    assert "60 paired, 50 of them with tensors of both sides" in text
    assert "excluded 1 net/shape shape arithmetic" in " ".join(
        " ".join(row) for row in rows(html_report(make_full()))
    )
    assert "Reference layers that answer to no edge layer: 1" in text
    assert "BatchNormalization" in text


def test_outcome_shows_accuracy_interval_and_flips() -> None:
    text = Page(html_report(make_full())).text
    assert "73.3%" in text
    assert "60.0% .. 83.0%" in text
    assert "Flips (right on one side only): 3, McNemar p = 1" in text


def test_a_note_on_coverage_is_shown() -> None:
    comparison = make_comparison(coverage=Coverage(frames_paired=1, note="the graph is missing"))
    assert "the graph is missing" in Page(html_report(comparison)).text


@pytest.mark.parametrize("places", [[], [make_raw()], [make_input(None, reason="why not")]])
def test_a_page_can_be_made_of_nearly_nothing(places: list[Place]) -> None:
    comparison = make_comparison(places=places, coverage=Coverage())
    assert "share no input" in Page(html_report(comparison)).text


def test_names_cannot_break_out() -> None:
    lost = Unmatched(1, HOSTILE, HOSTILE, HOSTILE)
    comparison = make_comparison(
        [make_layer(0, 9.0, 12.0, layer=HOSTILE, op=HOSTILE, reference_layer=HOSTILE)],
        [make_raw(None, reason=HOSTILE), make_input()],
        edge=make_side(HOSTILE, model_name=HOSTILE, kernels=HOSTILE, device=HOSTILE),
        reference=make_side(HOSTILE, "reference", times_inflated=True),
        stages=(StageTime(HOSTILE, 1.0, 1.0),),
        coverage=Coverage(
            frames_paired=1,
            frames_measured=1,
            layers_unaligned=(lost,),
            layers_excluded=(lost,),
            reference_unmatched=(lost,),
            note=HOSTILE,
        ),
    )
    text = html_report(comparison)
    page = Page(text)
    assert {"script", "img"} & set(page.tags) == set()
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "alert(1)" in page.text  # shown, as text
