from typing import Any

import numpy as np
import pytest

from exray.instrumentation.sensor_values import metrics_of_sensor
from exray.schema.records import MetricRecord


def metrics_of(value: object, **attributes: object) -> list[MetricRecord]:
    return metrics_of_sensor("light", value, "lx", attributes, 7)


@pytest.mark.parametrize("value", [310, 310.0, True, np.float32(310), np.array(310), np.int8(3)])
def test_a_number_is_one_metric(value: Any) -> None:
    assert metrics_of(value) == [
        MetricRecord(name="light", value=float(value), time_ns=7, unit="lx")
    ]


@pytest.mark.parametrize("value", [(1, 2.5), [1, 2.5], np.array([1, 2.5], np.float16)])
def test_a_vector_is_one_metric_for_each_component(value: Any) -> None:
    metrics = metrics_of(value, place="front")

    assert [(m.value, m.attributes) for m in metrics] == [
        (1.0, {"place": "front", "exray.sensor.index": 0}),
        (2.5, {"place": "front", "exray.sensor.index": 1}),
    ]


def test_a_vector_of_one_is_a_vector() -> None:
    (metric,) = metrics_of([4])
    assert metric.attributes == {"exray.sensor.index": 0}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("bright", "type str"),
        (None, "type NoneType"),
        (1j, "type complex"),
        ([], r"shape \(0,\)"),
        (np.zeros((2, 2)), r"shape \(2, 2\)"),
        (np.zeros(65), r"shape \(65,\)"),
    ],
)
def test_what_is_no_reading_is_an_error_that_says_what_is(value: object, found: str) -> None:
    with pytest.raises(TypeError, match=rf"sensor 'light' has a value of .*{found}.* 1 to 64"):
        metrics_of(value)


def test_attributes_are_plain_values_of_that_moment() -> None:
    place = ["front"]
    (metric,) = metrics_of(1, place=place, port=np.int64(3), on=True, gain=0.5)
    place[0] = "back"

    assert metric.attributes == {"place": "['front']", "port": 3, "on": True, "gain": 0.5}
    assert type(metric.attributes["port"]) is int
