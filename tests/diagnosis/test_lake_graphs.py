"""Graphs that come back from a lake as they went in."""

from pathlib import Path

from exray.diagnosis.alignment import layers_from_graph
from exray.diagnosis.lake_graphs import read_graph, read_layers
from exray.queries.engine import connect

from .lakes import Recording, make_graph, make_lake


def test_a_graph_comes_back_as_it_was_recorded(tmp_path: Path) -> None:
    graph = make_graph("aa", ["stem", "shape", "head"], excluded=[1])
    lake = make_lake(tmp_path / "lake", Recording(graph))
    with connect(lake) as connection:
        assert read_graph(connection, "aa") == graph
        assert read_layers(connection, "aa") == layers_from_graph(graph)


def test_a_model_that_is_not_there_has_no_layers(tmp_path: Path) -> None:
    lake = make_lake(tmp_path / "lake", Recording(make_graph("aa", ["stem"])))
    with connect(lake) as connection:
        assert read_layers(connection, "bb").layers == ()
