"""Alignments of a lake: found once, kept, and found again when there is more to know."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exray.diagnosis import align_runs, alignment
from exray.diagnosis.align_runs import ensure_alignment
from exray.lake import Lake
from exray.queries.engine import connect
from exray.queries.select import resolve
from exray.schema.errors import LakeError

from .lakes import Recording, make_graph, make_lake, make_values, with_noise

NAMES = ["stem", "body", "head"]
OTHER_NAMES = ["q1", "q2", "q3"]
"""Names that say nothing about the others."""


def record(
    build: str,
    sha256: str,
    names: list[str] = NAMES,
    *,
    inputs: int = 7,
    frames: int = 2,
    level: str = "summary",
    noise_db: float = 140.0,
) -> Recording:
    """Record a model; the values of a layer are those of its position, but for noise."""
    role = "reference" if build == "r" else "edge"
    recording = Recording(make_graph(sha256, names), build, role, level=level)
    for frame in range(frames):
        layers = {i: with_noise(make_values(100 * frame + i), noise_db) for i in range(len(names))}
        measured = level == "summary"
        recording.add(
            f"{frame}.png",
            make_values(1000 * inputs + frame) if measured else None,
            layers if measured else None,
        )
    return recording


def ensure(lake: Lake, edge: str = "e", reference: str = "r") -> dict[int, tuple[Any, ...]]:
    """Ensure the alignment; return what that connection then knows, by edge layer."""
    with connect(lake) as connection:
        sides = resolve(connection, edge, "edge"), resolve(connection, reference, "reference")
        assert ensure_alignment(lake, connection, *sides) is None
        rows = connection.execute(
            "SELECT edge_layer_index, reference_layer_index, method, reason FROM alignments"
        ).fetchall()
    return {row[0]: row[1:] for row in rows}


def commits(lake: Lake) -> int:
    """How many times alignments were written."""
    return len(lake.files("alignments"))


def test_an_alignment_is_written_once_and_read_back(tmp_path: Path) -> None:
    lake = make_lake(tmp_path / "lake", record("e", "aa"), record("r", "bb"))
    first = ensure(lake)
    assert {i: row[0] for i, row in first.items()} == {0: 0, 1: 1, 2: 2}
    assert ensure(lake) == first
    assert commits(lake) == 1


def test_a_complete_alignment_costs_no_sketches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = make_lake(tmp_path / "lake", record("e", "aa"), record("r", "bb"))
    ensure(lake)

    def refuse(*_: object) -> None:
        pytest.fail("sketches were read")

    monkeypatch.setattr(align_runs, "_LayerSketches", refuse)
    ensure(lake)


def test_layers_of_one_model_need_no_alignment(tmp_path: Path) -> None:
    lake = make_lake(tmp_path / "lake", record("e", "aa"), record("r", "aa"))
    assert ensure(lake) == {}
    assert commits(lake) == 0


def test_names_that_say_nothing_are_matched_by_sketch(tmp_path: Path) -> None:
    lake = make_lake(
        tmp_path / "lake", record("e", "aa", OTHER_NAMES, noise_db=25.0), record("r", "bb")
    )
    assert {i: row[0] for i, row in ensure(lake).items()} == {0: 0, 1: 1, 2: 2}


def test_older_rules_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = make_lake(tmp_path / "lake", record("e", "aa"), record("r", "bb"))
    ensure(lake)
    monkeypatch.setattr(alignment, "ALIGNMENT_VERSION", alignment.ALIGNMENT_VERSION + 1)
    ensure(lake)
    ensure(lake)
    assert commits(lake) == 2


def test_rules_of_a_newer_exray_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = make_lake(tmp_path / "lake", record("e", "aa"), record("r", "bb"))
    ensure(lake)
    monkeypatch.setattr(alignment, "ALIGNMENT_VERSION", alignment.ALIGNMENT_VERSION - 1)
    ensure(lake)
    assert commits(lake) == 1


def test_new_rules_count_though_the_clock_went_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = make_lake(tmp_path / "lake", record("e", "aa"), record("r", "bb"))
    ensure(lake)
    monkeypatch.setattr(alignment, "ALIGNMENT_VERSION", alignment.ALIGNMENT_VERSION + 1)
    monkeypatch.setattr("exray.diagnosis.align_runs.time.time_ns", lambda: 1)
    ensure(lake)
    ensure(lake)
    assert commits(lake) == 2


@pytest.fixture
def open_layers(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Rules that leave the last layer open until the returned function is called."""
    known = alignment.align
    is_open = True

    def align(edge: Any, reference: Any, distances: Any, *, common_input: bool) -> Any:
        matches = known(edge, reference, distances, common_input=common_input)
        if is_open:
            last = matches[-1].edge_layer_index
            matches[-1] = alignment.LayerMatch(last, None, "none", reason="nothing fits")
        return matches

    def close() -> None:
        nonlocal is_open
        is_open = False

    monkeypatch.setattr(alignment, "align", align)
    return close


@pytest.mark.usefixtures("open_layers")
def test_what_stays_open_is_not_written_again(tmp_path: Path) -> None:
    lake = make_lake(tmp_path / "lake", record("e", "aa"), record("r", "bb"))
    assert ensure(lake)[2] == (None, "none", "nothing fits")
    ensure(lake)
    assert commits(lake) == 1


def test_what_can_be_closed_now_is_written(tmp_path: Path, open_layers: Callable[[], None]) -> None:
    lake = make_lake(tmp_path / "lake", record("e", "aa"), record("r", "bb"))
    ensure(lake)
    open_layers()
    assert ensure(lake)[2][0] == 2
    assert ensure(lake)[2][0] == 2
    assert commits(lake) == 2


def test_open_layers_are_left_alone_without_a_common_input(
    tmp_path: Path, open_layers: Callable[[], None]
) -> None:
    lake = make_lake(tmp_path / "lake", record("e", "aa", inputs=8), record("r", "bb"))
    ensure(lake)
    open_layers()
    assert ensure(lake)[2][0] is None
    assert commits(lake) == 1


def test_an_alignment_by_names_alone_is_backed_by_the_first_tensors(tmp_path: Path) -> None:
    path = tmp_path / "lake"
    lake = make_lake(path, record("e", "aa", level="latency"), record("r", "bb"))
    ensure(lake)
    ensure(lake)
    assert commits(lake) == 1
    make_lake(path, record("e", "aa"))
    ensure(lake)
    ensure(lake)
    assert commits(lake) == 2


def test_a_lake_that_cannot_be_written_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = make_lake(tmp_path / "lake", record("e", "aa"), record("r", "bb"))

    def refuse(self: Lake, tables: object) -> None:
        raise LakeError("read-only")

    monkeypatch.setattr(Lake, "append", refuse)
    assert {i: row[0] for i, row in ensure(lake).items()} == {0: 0, 1: 1, 2: 2}
    assert commits(lake) == 0


def test_a_connection_may_be_asked_twice(tmp_path: Path) -> None:
    lake = make_lake(tmp_path / "lake", record("e", "aa"), record("r", "bb"), record("f", "cc"))
    with connect(lake) as connection:
        reference = resolve(connection, "r", "reference")
        for build in ("e", "f"):
            ensure_alignment(lake, connection, resolve(connection, build, "edge"), reference)
        rows = connection.execute("SELECT count(*) FROM alignments").fetchall()
    assert rows == [(6,)]


def test_a_model_without_graph_is_named(tmp_path: Path) -> None:
    edge = record("e", "aa")
    edge.graph = make_graph("zz", NAMES)  # what is written is not the model's own
    lake = make_lake(tmp_path / "lake", edge, record("r", "bb"))
    with connect(lake) as connection:
        sides = resolve(connection, "e", "edge"), resolve(connection, "r", "reference")
        note = ensure_alignment(lake, connection, *sides)
    assert note == (
        "the lake does not hold the graph of net_aa, so layers cannot be matched. Record it again "
        "with the model's file known to exray."
    )
