"""The password of a server, in a file that nobody else may read."""

import os
import secrets
import stat
from pathlib import Path

from exray.schema.errors import UsageError

FILE_NAME = "grafana_password"


def default_password_file() -> Path:
    """Return where a server keeps its password unless told otherwise.

    It stands in ``$XDG_STATE_HOME/exray/``, by default below ``~/.local/state``.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if state else Path.home() / ".local" / "state"
    return folder / "exray" / FILE_NAME


def read_or_make_password(path: Path) -> str:
    """Return the password in *path*; where there is no such file, make one with a random one.

    Raises:
        UsageError: Others may read the file, it is empty, or cannot be read or written.
    """
    try:
        try:
            return _made(path)
        except FileExistsError:
            return _read(path)
    except OSError as error:
        msg = f"password file '{path}': {error.strerror}. Name another with --password-file."
        raise UsageError(msg) from error


def _made(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    password = secrets.token_urlsafe(24)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - with a mode
        file.write(f"{password}\n")
    return password


def _read(path: Path) -> str:
    lines = path.read_text("utf-8").splitlines()
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        msg = f"password file '{path}' may be read by others. chmod 600 '{path}'"
        raise UsageError(msg)
    if not lines or not lines[0]:
        msg = f"password file '{path}' is empty; expected a password on its first line"
        raise UsageError(msg)
    return lines[0]
