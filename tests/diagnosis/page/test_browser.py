"""The page in a real browser: charts drawn, tables sorted and filtered, nothing fetched."""

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import pytest

from exray.diagnosis.comparison import Coverage
from exray.diagnosis.page import Page, page_html

from ..builders import make_comparison
from . import browser as browsers
from .browser import Browser, start_browser
from .pages import make_hostile_page, make_page

pytest.importorskip("selenium")
pytest.importorskip("vl_convert")
pytestmark = pytest.mark.skipif(browsers.missing() != "", reason=browsers.missing())

Open = Callable[..., Browser]

CHARTS = {
    *("sqnr", "time", "accuracy", "distribution-0", "distribution-1"),
    *("trend-top1", "trend-sqnr", "trend-time"),
}

PHONE_PX = 375

LAST_LAYER = "[...document.querySelectorAll('[data-chart=sqnr] .mark-rect')].at(-1).lastChild"
"""What lies over the last layer in the chart, for the pointer."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Generator[Browser]:
    with start_browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Open:
    """Write a page and open it."""

    def shown(page: Page, **view: object) -> Browser:
        file = tmp_path / "report.html"
        file.write_text(page_html(page), "utf-8")
        browser.requests()
        browser.open(file, **view)  # type: ignore[arg-type]
        return browser

    return shown


def drawn(browser: Browser) -> set[str]:
    """Return the charts on the page that have marks."""
    return set(
        browser.run(
            "return [...document.querySelectorAll('[data-chart]')]"
            ".filter(place => place.querySelector('svg path'))"
            ".map(place => place.dataset.chart)"
        )
    )


def layers(browser: Browser) -> list[str]:
    """Return the numbers of the layers that the table shows, in its order."""
    shown: list[str] = browser.run(
        "return [...document.querySelectorAll('#layers tbody tr')]"
        ".filter(row => row.offsetParent).map(row => row.cells[0].textContent)"
    )
    return shown


def click_head(browser: Browser, title: str) -> None:
    browser.run(
        "[...document.querySelectorAll('#layers th button')]"
        ".find(head => head.textContent === arguments[0]).click()",
        title,
    )


def search(browser: Browser, words: str) -> str:
    """Type into the filter; return what it says of the rows left."""
    told: str = browser.run(
        "const box = document.querySelector('[data-filter]'); box.value = arguments[0];"
        "box.dispatchEvent(new Event('input'));"
        "return document.querySelector('[data-count]').textContent",
        words,
    )
    return told


def test_all_charts_are_drawn_and_nothing_is_fetched(show: Open, tmp_path: Path) -> None:
    browser = show(make_page())
    assert drawn(browser) == CHARTS
    assert browser.complaints() == []
    assert browser.requests() == {(tmp_path / "report.html").as_uri()}


def test_a_page_that_would_fetch_is_kept_from_it(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "bad.html"
    reached = '<img src="http://127.0.0.1:9/x.png"><script>document.title = "ran"</script>'
    page = page_html(make_page()).replace("<header>", f"{reached}<header>")
    file.write_text(page, "utf-8")
    browser.open(file)
    told = " ".join(browser.complaints())
    assert "img-src" in told
    assert "script-src" in told
    assert browser.run("return document.title") != "ran"


@pytest.mark.parametrize("count", [2, 66, 300])
def test_a_bar_stands_for_each_layer(show: Open, count: int) -> None:
    page = make_page(count)
    measured = [layer for layer in page.comparison.layers if layer.sqnr_db is not None]
    browser = show(page)
    bars = browser.run(
        "return [...document.querySelectorAll('[data-chart=sqnr] .mark-rect.layer_1_marks path')]"
        ".map(bar => bar.getBoundingClientRect()).map(box => [box.left, box.right])"
    )
    assert len(bars) == len(measured) + 1  # the model input comes first
    assert all(right > left for left, right in bars)
    edge = browser.run("return document.querySelector('[data-chart=sqnr]').clientWidth")
    assert max(right - bars[0][0] for _, right in bars) <= edge


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_the_page_without_scrolling_sideways(show: Open, scheme: str) -> None:
    browser = show(make_page(300), width=PHONE_PX, scheme=scheme, is_phone=True)
    assert browser.run("return document.documentElement.scrollWidth") == PHONE_PX
    widths = browser.run(
        "return [...document.querySelectorAll('[data-chart] svg')].map(svg => svg.clientWidth)"
    )
    assert len(widths) == len(CHARTS)
    assert all(200 < width <= PHONE_PX for width in widths)


def test_charts_follow_the_readers_light_or_dark(show: Open) -> None:
    colour = (
        "return [getComputedStyle(document.body).backgroundColor, getComputedStyle("
        "document.querySelector('[data-chart=time] .mark-rect.layer_0_marks path')).fill]"
    )
    light = show(make_page(), scheme="light").run(colour)
    dark = show(make_page(), scheme="dark").run(colour)
    assert light[0] != dark[0]
    assert light[1] != dark[1]


def test_a_column_sorts_both_ways_with_what_was_not_measured_last(show: Open) -> None:
    browser = show(make_page(6))
    values = [layer.sqnr_db for layer in make_page(6).comparison.layers]
    known = sorted((v, i) for i, v in enumerate(values) if v is not None)
    rising = [str(i) for _, i in known]
    unknown = [str(i) for i, v in enumerate(values) if v is None]
    click_head(browser, "SQNR dB")
    assert layers(browser) == [*rising, *unknown]
    click_head(browser, "SQNR dB")
    assert layers(browser) == [*rising[::-1], *unknown]
    sorts = "return document.querySelectorAll('#layers th[aria-sort=descending]').length"
    assert browser.run(sorts) == 1


def test_text_sorts_with_its_numbers_in_order(show: Open) -> None:
    browser = show(make_page(12))
    click_head(browser, "layer")
    shown = layers(browser)
    assert shown.index("2") < shown.index("10")


def test_the_filter_keeps_rows_that_hold_all_words(show: Open) -> None:
    browser = show(make_page(12))
    assert search(browser, "DEPTHWISE") == "6 of 12"
    assert layers(browser) == ["1", "3", "5", "7", "9", "11"]
    assert search(browser, "net/block_3/conv2d") == "1 of 12"  # a name's part that is not shown
    assert layers(browser) == ["3"]
    assert search(browser, "depthwise block_3") == "1 of 12"
    assert search(browser, "no such layer") == "0 of 12"
    assert search(browser, "") == "12 of 12"


def test_a_click_on_a_layer_shows_it_in_the_table(show: Open) -> None:
    browser = show(make_page(12))
    search(browser, "block_1/")
    browser.point_at(LAST_LAYER, click=True)
    assert browser.run("return document.querySelector('tr.found').id") == "layer-11"
    assert len(layers(browser)) == 12


def test_hostile_names_are_text_in_charts_tables_and_tooltips(show: Open) -> None:
    browser = show(make_hostile_page())
    assert browser.complaints() == []
    assert browser.run("return document.querySelectorAll('img').length") == 0
    browser.point_at(LAST_LAYER)
    told = browser.run(
        "const tip = document.querySelector('#vg-tooltip-element');"
        "return [tip.textContent, tip.querySelectorAll('script, img').length]"
    )
    assert "<script>alert(1)" in told[0]
    assert told[1] == 0


@pytest.mark.parametrize(
    "page",
    [
        Page(make_comparison(places=[], coverage=Coverage())),
        make_page(1, builds=make_page().builds[-1:], builds_total=1, distributions=()),
        replace(make_page(), outcomes=None, flips=(), flips_total=0),
    ],
    ids=["nothing", "one_build", "no_outcomes"],
)
def test_a_page_without_some_of_it_has_no_errors(show: Open, page: Page) -> None:
    browser = show(page)
    assert "sqnr" in drawn(browser) or not page.comparison.layers
    assert browser.complaints() == []
