"""Files of OTLP requests into a lake."""

from .ingest import Ingested, ingest_file

__all__ = ["Ingested", "ingest_file"]
