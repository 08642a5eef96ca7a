"""The secret of an installation that was given none: random, made once, kept for its user."""

import contextlib
import os
import secrets
from pathlib import Path

from .guard import error_text, log_once


def installation_secret() -> bytes:
    """Return this user's secret on this machine, made now if there is none.

    It stands in ``$XDG_STATE_HOME/exray/installation_secret``, by default below
    ``~/.local/state``, readable by its user alone. Where it cannot be kept, the process
    has one of its own, and the log says so.
    """
    try:
        return _read_or_make(_path())
    except (OSError, RuntimeError) as error:  # RuntimeError: nobody's home is known
        log_once(
            "installation secret",
            f"the installation's secret cannot be kept ({error_text(error)}): input ids and "
            "hashes of this process pair with no other's. Set EXRAY_FLEET_SECRET.",
        )
        return secrets.token_bytes(32)


def _path() -> Path:
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if state else Path.home() / ".local" / "state"
    return folder / "exray" / "installation_secret"


def _read_or_make(path: Path) -> bytes:
    try:
        return _read(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(scratch, path)  # unlike a rename it leaves another process's alone
    finally:
        scratch.unlink(missing_ok=True)
    return _read(path)


def _read(path: Path) -> bytes:
    secret = path.read_text("ascii", errors="replace").strip().encode()
    if len(secret) < 32:
        msg = f"'{path}' holds {len(secret)} bytes; expected 64 hex digits. Delete it."
        raise OSError(msg)
    return secret
