"""What an application's sensors say, as metrics."""

from collections.abc import Mapping
from typing import cast

import numpy as np

from exray.schema.attributes import EXRAY_SENSOR_INDEX
from exray.schema.records import MetricRecord

MOST_COMPONENTS = 64
"""Of a sensor's value; an image or a sound belongs into `exray.record()`."""


def metrics_of_sensor(
    name: str, value: object, unit: str, attributes: Mapping[str, object], time_ns: int
) -> list[MetricRecord]:
    """Return a sensor's value as metrics, one for each component.

    Args:
        name: The sensor.
        value: A number or a sequence of at most 64, of any real type.
        unit: UCUM unit.
        attributes: What tells this series from others of the name.
        time_ns: When, since 1970 UTC.

    Raises:
        TypeError: *value* is neither.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or array.ndim > 1 or not 1 <= array.size <= MOST_COMPONENTS:
        msg = (
            f"sensor {name!r} has a value of type {type(value).__name__}, shape {array.shape}; "
            f"expected a number or a sequence of 1 to {MOST_COMPONENTS} numbers. Record arrays "
            "with exray.record()."
        )
        raise TypeError(msg)
    plain = {key: _plain(attribute) for key, attribute in attributes.items()}
    return [
        MetricRecord(
            name=name,
            value=float(component),
            time_ns=time_ns,
            unit=unit,
            attributes=plain | ({EXRAY_SENSOR_INDEX: index} if array.ndim else {}),
        )
        for index, component in enumerate(array.reshape(-1))
    ]


def _plain(attribute: object) -> object:
    """Return an attribute as OpenTelemetry allows it, now: the application may change it later."""
    if isinstance(attribute, np.integer):
        return int(cast("np.int64", attribute))
    return attribute if isinstance(attribute, bool | int | float) else str(attribute)
