"""Before the first statement: TLS, protocol versions, SCRAM."""

import shutil
import ssl
import struct
import subprocess
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from exray.grafana.wire.errors import WireError
from exray.grafana.wire.scram import Exchange, make_verifier
from exray.grafana.wire.serve import tls_context
from exray.lake import Lake

from .servers import PASSWORD, Running, ScramClient, error_state, serving


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed: no certificate to try TLS with")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [program, "req", "-x509", *curve, *name, "-days", "2", "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )
    return cert, key


@pytest.fixture(scope="module")
def encrypted(fleet_lake: Lake, certificate: tuple[Path, Path]) -> Generator[Running]:
    with serving(fleet_lake, tls=tls_context(*certificate)) as running:
        yield running


def test_tls_is_verified_and_used(encrypted: Running, certificate: tuple[Path, Path]) -> None:
    options = {"sslmode": "verify-full", "sslrootcert": str(certificate[0])}
    with encrypted.connect(**options) as connection:
        assert connection.pgconn.ssl_in_use
        assert len(connection.execute("SELECT * FROM range(50000)").fetchall()) == 50_000
        connection.cancel_safe()


def test_with_a_certificate_nothing_goes_unencrypted(encrypted: Running) -> None:
    with pytest.raises(psycopg.OperationalError, match="sslmode=require"):
        encrypted.connect(sslmode="disable")


def test_what_is_sent_before_the_handshake_is_dropped(
    encrypted: Running, certificate: tuple[Path, Path]
) -> None:
    """Else whoever sits on the line could put words in an encrypted client's mouth."""
    with encrypted.raw() as client:
        client.socket.sendall(struct.pack("!ii", 8, 80877103) + struct.pack("!ii", 8, 0))
        assert client.socket.recv(1) == b"S"
        context = ssl.create_default_context(cafile=str(certificate[0]))
        try:
            client.socket = context.wrap_socket(client.socket, server_hostname="127.0.0.1")
        except ssl.SSLError:
            return  # taken for a broken handshake, which is as good
        client.log_in()
        assert error_state(client.query("SELECT 1")) is None


def test_without_a_certificate_tls_is_declined(wire: Running) -> None:
    with wire.raw() as client:
        for code in (80877104, 80877103):
            client.socket.sendall(struct.pack("!ii", 8, code))
            assert client.socket.recv(1) == b"N"
        client.log_in()
        assert error_state(client.query("SELECT 1")) is None
    with pytest.raises(psycopg.OperationalError, match="SSL"):
        wire.connect(sslmode="require")


def test_newer_protocols_are_negotiated_down(wire: Running) -> None:
    with wire.raw() as client:
        client.startup(196610, **{"_pq_.shiny": "1"})
        assert client.receive() == (b"v", struct.pack("!ii", 0, 1) + b"_pq_.shiny\0")
        assert client.receive()[0] == b"R"


@pytest.mark.parametrize(("code", "state"), [(131072, "0A000"), (262144, "0A000")])
def test_other_protocols_are_refused(wire: Running, code: int, state: str) -> None:
    with wire.raw() as client:
        client.startup(code)
        assert error_state([client.receive()]) == state


def test_a_user_must_be_named(wire: Running) -> None:
    with wire.raw() as client:
        client.socket.sendall(struct.pack("!ii", 9, 196608) + b"\0")
        assert error_state([client.receive()]) in ("28000", "08P01")


@pytest.mark.parametrize("mechanism", [b"SCRAM-SHA-256-PLUS", b"PLAIN", b""])
def test_other_mechanisms_are_refused(wire: Running, mechanism: bytes) -> None:
    with wire.raw() as client:
        client.startup()
        client.receive()
        client.send(b"p", mechanism + b"\0" + struct.pack("!i", -1))
        assert error_state([client.receive()]) == "28000"


@pytest.mark.parametrize("password", ["simple", "naïve ½ ­soft", "x" * 500])
def test_scram_lets_in_whoever_knows_the_password(password: str) -> None:
    exchange = Exchange(make_verifier(password))
    client = ScramClient(
        "naïve 1\N{FRACTION SLASH}2 soft" if password.startswith("na") else password
    )
    proof = client.final(exchange.first(client.first()))
    assert exchange.final(proof).startswith(b"v=")


def test_scram_keeps_others_out() -> None:
    exchange = Exchange(make_verifier("right"))
    client = ScramClient("wrong")
    proof = client.final(exchange.first(client.first()))
    with pytest.raises(WireError, match="password authentication failed"):
        exchange.final(proof)


@pytest.mark.parametrize("first", [b"", b"n,", b"p=tls-unique,,n=,r=x", b"n,,n=", b"n,,m=x,n=,r=x"])
def test_scram_refuses_a_malformed_beginning(first: bytes) -> None:
    with pytest.raises(WireError, match="malformed"):
        Exchange(make_verifier("p")).first(first)


@pytest.mark.parametrize("part", ["header", "nonce", "proof", "length"])
def test_scram_refuses_a_changed_end(part: str) -> None:
    exchange, client = Exchange(make_verifier(PASSWORD)), ScramClient(PASSWORD)
    final = client.final(exchange.first(client.first()))
    changed = {
        "header": final.replace(b"c=biws", b"c=eSws"),
        "nonce": final.replace(b"r=clientnonce", b"r=clientnoncE"),
        "proof": final[:-8] + b"!!!!!!!!",
        "length": final[: final.index(b",p=")] + b",p=AAAA",
    }[part]
    assert changed != final
    with pytest.raises(WireError):
        exchange.final(changed)
