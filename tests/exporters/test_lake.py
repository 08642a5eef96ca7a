"""What a lake holds of what the exporter was given."""

from pathlib import Path
from typing import Any, cast

import pytest

from exray.exporters.buffer import RecordBuffer
from exray.exporters.lake import LakeExporter
from exray.exporters.typing import ExportResult, RecordBatch
from exray.lake import Lake
from exray.queries import connect
from exray.schema.records import MetricRecord

from .builders import START_NS, make_frame, make_run

pytest.importorskip("deltalake")


def make_metric(value: float = 1.0, **attributes: object) -> MetricRecord:
    return MetricRecord(
        name="light", value=value, time_ns=START_NS, attributes=attributes, run=make_run()
    )


def ask(lake: Path, query: str) -> list[tuple[object, ...]]:
    connection = connect(Lake.open(lake))
    rows = connection.execute(query).fetchall()
    connection.close()
    return rows


def test_numbers_outside_frames_reach_the_lake_through_the_buffer(tmp_path: Path) -> None:
    buffer = RecordBuffer(LakeExporter(tmp_path / "lake"))
    buffer.add_run(make_run())
    buffer.add_metrics([make_metric(2.5, place="front")])

    assert buffer.flush(60)
    buffer.shutdown()

    query = "SELECT name, value, build, frame_span_id, attributes_json FROM metrics"
    assert ask(tmp_path / "lake", query) == [("light", 2.5, "1.4.2", None, '{"place":"front"}')]


def test_a_buffer_that_was_shut_down_takes_no_numbers_and_raises_nothing(tmp_path: Path) -> None:
    buffer = RecordBuffer(LakeExporter(tmp_path / "lake"))
    buffer.shutdown()

    buffer.add_metrics([make_metric()])

    assert buffer.flush(60)
    assert ask(tmp_path / "lake", "SELECT * FROM metrics") == []


def test_a_number_that_no_table_can_hold_does_not_hold_up_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = LakeExporter(tmp_path / "lake")
    bad = make_metric(cast("Any", "bright"))
    batch = RecordBatch(
        runs=(make_run(),), frames=(make_frame(),), metrics=(make_metric(1.0, a=1), bad)
    )

    assert exporter.export(batch) is ExportResult.SUCCESS

    assert ask(tmp_path / "lake", "SELECT value FROM metrics") == [(1.0,)]
    assert ask(tmp_path / "lake", "SELECT count(*) FROM frames") == [(1,)]
    assert "0 of 1 frames and 1 of 2 metrics are left out" in caplog.text


def test_metrics_of_a_lake_without_attributes_and_those_with_them_are_read_together(
    tmp_path: Path,
) -> None:
    exporter = LakeExporter(tmp_path / "lake")
    for attributes in ({}, {"place": "front"}):
        batch = RecordBatch(runs=(make_run(),), metrics=(make_metric(1.0, **attributes),))
        assert exporter.export(batch) is ExportResult.SUCCESS

    query = "SELECT attributes_json FROM metrics ORDER BY 1 NULLS FIRST"
    assert ask(tmp_path / "lake", query) == [(None,), ('{"place":"front"}',)]
