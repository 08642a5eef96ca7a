"""Ports for servers that must be found at one again, or at none."""

import random
import socket
from pathlib import Path

RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""Of Linux: the ports that it gives to whoever asks for any, as other tests' servers do."""

LOWEST = 10_000


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens at, and that nobody is given by chance."""
    first_given = int(RANGE_FILE.read_text().split()[0]) if RANGE_FILE.exists() else 32_768
    candidates = list(range(LOWEST, first_given))
    random.SystemRandom().shuffle(candidates)  # tests run side by side
    found: list[int] = []
    for port in candidates:
        if len(found) == count:
            break
        if _is_free(port):
            found.append(port)
    assert len(found) == count, f"fewer than {count} of {len(candidates)} ports are free"
    return found


def free_port() -> int:
    """Return one of `free_ports`."""
    return free_ports(1)[0]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
