"""What a user asks for on the command line, and what becomes of it."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from exray.grafana.wire.password import default_password_file, read_or_make_password
from exray.grafana.wire.serve import is_loopback, parse_address, serve, tls_context
from exray.grafana.wire.server import Address
from exray.grafana.wire.settings import Limits
from exray.lake import Lake
from exray.schema.errors import LakeError, UsageError


def asked(lake: Path, listen: str, password_file: Path, *, insecure: bool = False) -> None:
    serve(
        lake,
        listen,
        password_file=password_file,
        tls_cert=None,
        tls_key=None,
        insecure=insecure,
        limits=Limits(),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:5433", Address("127.0.0.1", 5433)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:5433", Address("::1", 5433)),
    ],
)
def test_an_address_is_host_and_port(text: str, expected: Address) -> None:
    assert parse_address(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize("text", ["", "5433", "host", ":5433", "host:", "host:x", "host:65536"])
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="is not HOST:PORT, such as"):
        parse_address(text)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.9", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("example.com", False),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_beyond_this_machine_it_wants_tls(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--tls-cert and --tls-key, or --insecure"):
        asked(tmp_path, "0.0.0.0:0", tmp_path / "password")
    with pytest.raises(LakeError):  # which is the next thing to be missed
        asked(tmp_path / "none", "0.0.0.0:0", tmp_path / "password", insecure=True)


def test_certificate_and_key_go_together(tmp_path: Path) -> None:
    file = tmp_path / "x.pem"
    file.write_text("nothing")
    with pytest.raises(UsageError, match="go together"):
        tls_context(file, None)
    with pytest.raises(UsageError, match=r"x\.pem' are no certificate and its key"):
        tls_context(file, file)
    with pytest.raises(UsageError, match="no certificate"):
        tls_context(tmp_path / "none", file)
    assert tls_context(None, None) is None


def test_a_password_is_made_once_and_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "password"
    password = read_or_make_password(path)
    assert len(password) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_make_password(path) == password
    assert read_or_make_password(tmp_path / "other") != password


def test_a_password_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("secret\n")
    path.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        read_or_make_password(path)
    path.chmod(0o600)
    assert read_or_make_password(path) == "secret"
    path.write_text("\n")
    with pytest.raises(UsageError, match="is empty"):
        read_or_make_password(path)


def test_a_password_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--password-file"):
        read_or_make_password(tmp_path / "file" / "password")


def test_the_password_stands_with_the_users_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_password_file() == Path("/state/exray/grafana_password")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_told_to_end(
    fleet_lake: Lake, tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-c", "from exray.cli import main; main()", "grafana", "serve"]
    options = ["--lake", str(fleet_lake.path), "--listen", "127.0.0.1:0", "--threads", "1"]
    process = subprocess.Popen(
        [*command, *options],
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    port = line.split(" on 127.0.0.1:")[1].split(",")[0]
    password = (tmp_path / "exray" / "grafana_password").read_text().strip()
    conninfo = f"host=127.0.0.1 port={port} user=x password={password}"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM frames").fetchone() == (True,)
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert password not in line


def test_an_address_that_is_taken_is_an_error(fleet_lake: Lake, tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"cannot listen on {address}"):
            asked(fleet_lake.path, address, tmp_path / "password")


def test_memory_that_is_none_is_an_error(fleet_lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="memory 'lots'"):
        serve(
            fleet_lake.path,
            "127.0.0.1:0",
            password_file=tmp_path / "password",
            tls_cert=None,
            tls_key=None,
            insecure=False,
            limits=Limits(memory="lots"),
        )
