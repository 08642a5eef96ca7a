"""The SQL library and the engine that runs it."""

from .engine import connect, connect_tables
from .select import SelectedRun, Selection, resolve, resolve_pair

__all__ = ["SelectedRun", "Selection", "connect", "connect_tables", "resolve", "resolve_pair"]
