"""What the page shows, read from lakes."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from exray.diagnosis.page import make_page
from exray.diagnosis.page.content import Page
from exray.diagnosis.page.read import FLIPS_SHOWN
from exray.diagnosis.page.trend import BUILDS_SHOWN, window
from exray.lake import Lake

from ..lakes import Recording, make_graph, make_lake, make_values, with_noise

NAMES = ["stem", "body", "head"]
GRAPH = make_graph("aa" * 32, NAMES)


def record(
    build: str, predictions: Sequence[int], role: str = "edge", sqnr_db: float | None = None
) -> Recording:
    """Return a run over labelled inputs; label 1 throughout, layer 1 and 2 with an error."""
    recording = Recording(GRAPH, build, role)
    for i, prediction in enumerate(predictions):
        values = [make_values(10 * i + layer) for layer in range(3)]
        if sqnr_db is not None:
            values[1:] = [with_noise(value, sqnr_db, seed=i) for value in values[1:]]
        recording.add(
            f"{i}.png",
            make_values(1000 + i),
            dict(enumerate(values)),
            label=1,
            prediction=prediction,
        )
    return recording


def read(lake: Lake, edge: str = "1.1", reference: str = "float") -> Page:
    return make_page(lake, edge, reference)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """A page of a build that flipped one input and lost 20 dB at a layer."""
    lake = make_lake(
        tmp_path_factory.mktemp("lake") / "lake",
        record("float", [1, 1, 1, 2], "reference"),
        record("1.0", [1, 1, 1, 2], sqnr_db=40.0),
        record("1.1", [1, 1, 2, 2], sqnr_db=20.0),
    )
    return read(lake)


def test_the_four_cases_of_mcnemars_test_are_read(page: Page) -> None:
    seen = page.outcomes
    assert seen is not None
    cases = (seen.both_correct, seen.reference_only_correct, seen.edge_only_correct)
    assert (*cases, seen.both_wrong) == (2, 1, 0, 1)


def test_inputs_classified_differently_are_read(page: Page) -> None:
    (flip,) = page.flips
    assert (flip.input_id, flip.label, flip.edge_top1, flip.reference_top1) == ("2.png", "1", 2, 1)
    assert (flip.edge_correct, flip.reference_correct) == (False, True)


def test_builds_of_the_edges_kind_are_read_each_against_the_reference(page: Page) -> None:
    assert [(build.build, build.is_edge) for build in page.builds] == [
        ("1.0", False),
        ("1.1", True),
    ]
    assert [build.top1 for build in page.builds] == [0.75, 0.5]
    assert page.layer is not None
    assert page.layer.layer == "body"
    followed = [build.layer_sqnr_db for build in page.builds]
    assert followed == pytest.approx([40.0, 20.0], abs=1.5)
    assert [build.output_sqnr_db for build in page.builds] == pytest.approx([40, 20], abs=1.5)
    assert all(build.model_ms == pytest.approx(2.0) for build in page.builds)


def test_the_edges_own_point_is_what_the_rest_of_the_page_says(page: Page) -> None:
    edge = page.builds[-1]
    assert (edge.top1, edge.ci95) == (page.comparison.edge.top1, page.comparison.edge.ci95)
    assert edge.layer_sqnr_db == page.comparison.layers[1].sqnr_db


def test_without_distributions_none_are_read(page: Page) -> None:
    assert page.distributions == ()


def test_no_causes_are_looked_for_unless_asked(page: Page) -> None:
    assert page.diagnosis is None


def test_long_lists_are_cut_and_counted(tmp_path: Path) -> None:
    count = FLIPS_SHOWN + 5
    reference = Recording(GRAPH, "float", "reference")
    others = [Recording(GRAPH, f"0.{i}") for i in range(BUILDS_SHOWN + 3)]
    edge = Recording(GRAPH, "1.1")
    for i in range(count):
        for recording, prediction in ((reference, 1), (edge, 2)):
            recording.add(f"{i}.png", label=1, prediction=prediction)
    for other in others:
        other.add("0.png", label=1, prediction=1)
    page = read(make_lake(tmp_path / "lake", reference, *others, edge))
    assert (len(page.flips), page.flips_total) == (FLIPS_SHOWN, count)
    assert (len(page.builds), page.builds_total) == (BUILDS_SHOWN, BUILDS_SHOWN + 4)
    assert page.builds[-1].is_edge


@pytest.mark.parametrize(
    ("edge", "count", "first", "last"),
    [(4, 5, 0, 4), (29, 30, 18, 29), (20, 30, 18, 29), (13, 30, 2, 13), (3, 30, 0, 11)],
)
def test_an_edge_older_than_the_newest_builds_ends_those_shown(
    edge: int, count: int, first: int, last: int
) -> None:
    rows = [{"build": i, "selected": i == edge} for i in range(count)]
    shown = [row["build"] for row in window(rows)]
    assert shown == list(range(first, last + 1))


def test_sides_that_share_no_input_make_a_page(tmp_path: Path) -> None:
    edge, reference = Recording(GRAPH, "1.1"), Recording(GRAPH, "float", "reference")
    edge.add("a.png")
    reference.add("b.png")
    page = read(make_lake(tmp_path / "lake", edge, reference))
    assert page.outcomes is None
    assert page.flips == ()
    assert "share no input" in page.finding.sentence
