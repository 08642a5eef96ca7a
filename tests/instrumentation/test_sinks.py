import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import exray
from exray.exporters.buffer import RecordBuffer
from exray.exporters.lake import LakeExporter
from exray.exporters.otlp import OTLPExporter
from exray.instrumentation.config import resolve
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.sinks import Tee, endpoint_of, is_lake_named, open_sink
from exray.schema.errors import UsageError
from exray.schema.records import Graph, MetricRecord
from exray.testing import MemorySink, recording


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction] - autouse
    for name in list(os.environ):
        if name.startswith(("OTEL_", "EXRAY_ENDPOINT", "EXRAY_LAKE")):
            monkeypatch.delenv(name)
    forget_logged()
    yield
    exray.shutdown()


# --- which ----------------------------------------------------------------------------------


def test_without_a_word_there_is_no_endpoint() -> None:
    assert endpoint_of(None, lake_named=False) is None


def test_an_argument_comes_before_any_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXRAY_ENDPOINT", "http://exray:1")

    assert endpoint_of("http://mine:1", lake_named=True) == "http://mine:1"


def test_exrays_own_variable_comes_before_that_of_all_telemetry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:1")
    monkeypatch.setenv("EXRAY_ENDPOINT", " http://exray:1 ")

    assert endpoint_of(None, lake_named=True) == "http://exray:1"


def test_the_variable_of_all_telemetry_counts_where_no_lake_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:1")

    assert endpoint_of(None, lake_named=False) == "http://all:1"
    assert endpoint_of(None, lake_named=True) is None


def test_a_wrong_argument_is_an_error() -> None:
    with pytest.raises(UsageError, match="endpoint 'collector' is no HTTP URL"):
        exray.configure(endpoint="collector")


@pytest.mark.parametrize("name", ["EXRAY_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"])
def test_a_wrong_variable_is_logged(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(name, "collector:4318")

    assert endpoint_of(None, lake_named=False) is None
    assert f"{name} 'collector:4318' is no HTTP URL" in caplog.text


def test_a_lake_is_named_by_argument_or_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_lake_named(None)
    assert is_lake_named("lake")
    monkeypatch.setenv("EXRAY_LAKE", "lake")
    assert is_lake_named(None)


# --- opened ---------------------------------------------------------------------------------


def exporters_of(sink: object) -> list[type]:
    buffers = sink._sinks if isinstance(sink, Tee) else [sink]
    assert all(isinstance(buffer, RecordBuffer) for buffer in buffers)
    return [type(buffer._exporter) for buffer in buffers if isinstance(buffer, RecordBuffer)]


@pytest.mark.parametrize(
    ("endpoint", "into_lake", "expected"),
    [
        (None, True, [LakeExporter]),
        ("http://c:1", False, [OTLPExporter]),
        ("http://c:1", True, [LakeExporter, OTLPExporter]),
    ],
)
def test_what_is_asked_for_is_opened(
    endpoint: str | None, into_lake: bool, expected: list[type], tmp_path: Path
) -> None:
    sink = open_sink(resolve(lake=tmp_path / "lake"), endpoint, into_lake=into_lake)

    assert exporters_of(sink) == expected
    assert (tmp_path / "lake").exists() == into_lake
    assert sink is not None
    sink.shutdown()


def test_a_lake_that_cannot_be_opened_leaves_the_endpoint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "lake").write_text("a file")

    sink = open_sink(resolve(lake=tmp_path / "lake"), "http://c:1", into_lake=True)

    assert exporters_of(sink) == [OTLPExporter]
    assert "Nothing is recorded" in caplog.text


def test_a_wrong_variable_of_the_exporter_is_logged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")

    assert open_sink(resolve(lake=tmp_path), "http://c:1", into_lake=False) is None
    assert "OTEL_EXPORTER_OTLP_TIMEOUT='soon' is no time" in caplog.text


# --- several --------------------------------------------------------------------------------


@dataclass(slots=True)
class SlowSink(MemorySink):
    done: bool = True
    timeouts_s: list[float] = field(default_factory=list[float])

    def flush(self, timeout_s: float) -> bool:
        self.timeouts_s.append(timeout_s)
        return self.done


def test_every_record_reaches_every_sink() -> None:
    sinks = [MemorySink(), MemorySink()]
    tee = Tee(sinks)

    tee.add_metrics([MetricRecord(name="load", value=0.5, time_ns=1)])
    with recording(tee), exray.frame(input_id="cat.png"):
        exray.record("light", 0.5)
    tee.add_graph(Graph("net", "ab" * 32, ()))

    assert [
        (len(s.runs), len(s.graphs), len(s.frames), len(s.metrics), s.closed) for s in sinks
    ] == [(1, 1, 1, 1, True)] * 2


def test_a_flush_waits_for_all_and_succeeds_if_all_do() -> None:
    first, second = SlowSink(done=False), SlowSink()

    assert not Tee([first, second]).flush(5.0)
    assert len(second.timeouts_s) == 1
    first.done = True
    assert Tee([first, second]).flush(5.0)
