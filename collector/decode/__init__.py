"""Requests as they were received into rows of the lake."""

from .traces import Body, DecodedSpans, TraceDecoder

__all__ = ["Body", "DecodedSpans", "TraceDecoder"]
