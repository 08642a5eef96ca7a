"""What a server allows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that keep a server alive whatever its clients do.

    Args:
        connections: Connections at once, cancel requests apart.
        statements: Statements running at once; others wait their turn.
        statement_timeout_s: Longest that a statement may take, waiting and sending included.
        login_timeout_s: Longest from connecting to being let in.
        message_bytes: Longest message from a client that is let in.
        prepared: Prepared statements of one connection.
        portals: Portals of one connection; each may hold a result that is read in part.
        memory: DuckDB's memory, such as ``2GB``; nothing is spilled to disk.
        threads: DuckDB's threads; None: as many as there are cores.
    """

    connections: int = 100
    statements: int = 8
    statement_timeout_s: float = 60.0
    login_timeout_s: float = 10.0
    message_bytes: int = 4 << 20
    prepared: int = 256
    portals: int = 32
    memory: str = "2GB"
    threads: int | None = None
