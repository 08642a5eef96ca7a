"""Requests as they were received into rows of the lake."""

from .requests import Decoded, Received, RequestDecoder
from .traces import Body, DecodedSpans, TraceDecoder

__all__ = [
    "Body",
    "Decoded",
    "DecodedSpans",
    "Received",
    "RequestDecoder",
    "TraceDecoder",
]
