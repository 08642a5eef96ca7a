"""JSON of whatever applications put into attributes, readable by every parser."""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import cast


def json_from_mapping(values: Mapping[str, object]) -> str:
    """Return *values* as a JSON object.

    Numbers that JSON lacks become the strings that OTLP uses for them, bytes become
    base64, anything else its text.

    >>> json_from_mapping({"ratio": float("nan"), "ids": (1, 2), "raw": b"ab"})
    '{"ratio":"NaN","ids":[1,2],"raw":"YWI="}'
    """
    return json.dumps(_plain(values), allow_nan=False, separators=(",", ":"))


def json_from_sequence(values: Sequence[object]) -> str:
    """Return *values* as a JSON array, by the same rules."""
    return json.dumps(_plain(values), allow_nan=False, separators=(",", ":"))


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value)
        return {plain_text(str(key)): _plain(item) for key, item in pairs.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in cast("Sequence[object]", value)]
    return plain_text(str(value))


def plain_text(text: str) -> str:
    r"""Return *text* as UTF-8 can hold it: bytes of a foreign file name are spelled out.

    >>> plain_text("caf\udce9.png")
    'caf\\udce9.png'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
