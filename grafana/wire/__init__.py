"""SQL over the PostgreSQL wire: a lake, read-only, for whatever speaks to PostgreSQL."""

from .server import Address, WireServer
from .settings import Limits

__all__ = ["Address", "Limits", "WireServer"]
