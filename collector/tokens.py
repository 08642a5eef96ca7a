"""Bearer tokens of devices, read from a file that may change while the collector runs.

A line is ``NAME TOKEN``, a name for people and logs and what the device sends, or the token
alone; ``#`` begins a comment. Tokens themselves never reach a log.
"""

import hashlib
import hmac
import logging
import threading
import time
from pathlib import Path

from exray.schema.errors import UsageError

logger = logging.getLogger(__name__)

RELOAD_PERIOD_S = 1.0
"""How soon a changed file counts."""

SHORTEST = 16
"""Characters of a token; shorter ones are guessed."""


class Tokens:
    """Who may send.

    Args:
        path: The file; None lets everybody send.

    Raises:
        UsageError: It cannot be read, holds no token, or one that is too short.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp = _stamp(path) if path else None
        self._digests = _read(path) if path else {}
        self._looked_at_s = time.monotonic()

    @property
    def are_required(self) -> bool:
        """Whether a request without a token is refused."""
        return self._path is not None

    def admits(self, authorization: str | None) -> bool:
        """Tell whether a request with this ``authorization`` header may be taken.

        The time it takes says nothing of the tokens: digests of one length are compared,
        with all of them, each in constant time.
        """
        if self._path is None:
            return True
        self._reload(self._path)
        scheme, _, token = (authorization or "").partition(" ")
        digest = _digest(token.strip())
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(digest, known)
        return found and scheme.lower() == "bearer"

    def _reload(self, path: Path) -> None:
        with self._lock:
            now_s = time.monotonic()
            if now_s < self._looked_at_s + RELOAD_PERIOD_S:
                return
            self._looked_at_s = now_s
            stamp = _stamp(path)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            try:
                self._digests = _read(path)
                logger.info("tokens were read again: %d", len(self._digests))
            except UsageError as error:
                logger.error("%s. The tokens from before stay valid.", error)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _read(path: Path) -> dict[bytes, str]:
    """Return the digests of the tokens in *path*, with the names of their devices."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        msg = (
            f"the token file {str(path)!r} cannot be read: {reason}. Expected lines 'NAME TOKEN'; "
            "openssl rand -hex 32 makes a token"
        )
        raise UsageError(msg) from error
    tokens: dict[bytes, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) > 2 or len(words[-1]) < SHORTEST:
            msg = (
                f"the token file {str(path)!r}, line {number}: expected 'NAME TOKEN' with a token "
                f"of {SHORTEST} characters or more. Make one with: openssl rand -hex 32"
            )
            raise UsageError(msg)
        tokens[_digest(words[-1])] = words[0] if len(words) == 2 else f"line {number}"
    if not tokens:
        msg = f"the token file {str(path)!r} holds no token; expected lines 'NAME TOKEN'"
        raise UsageError(msg)
    return tokens
