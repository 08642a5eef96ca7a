"""The OTLP service."""
