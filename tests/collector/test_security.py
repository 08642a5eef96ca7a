"""Who may send, and from where."""

import http.client
import ssl
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import trustme

from exray.collector import tokens as tokens_module
from exray.collector.service import Collector
from exray.collector.tokens import Tokens
from exray.exporters.log import LogRecord
from exray.schema.errors import UsageError

from .service import (
    PROTOBUF,
    collector,
    exporting,
    grpc_call,
    http_call,
    request_bytes,
    stored,
)

TOKEN, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"# devices\ncamera-1 {TOKEN}\n")
    return path


def test_request_without_a_known_token_is_refused(tmp_path: Path, token_file: Path) -> None:
    with collector(tmp_path / "log", token_file=token_file) as one:
        answers = [
            http_call(one, request_bytes(), PROTOBUF | headers).code
            for headers in (
                {},
                {"Authorization": f"Bearer {OTHER}"},
                {"Authorization": f"Basic {TOKEN}"},
                {"Authorization": TOKEN},
                {"Authorization": "Bearer é"},
            )
        ]
        assert answers == [401] * 5
        assert grpc_call(one, request_bytes()).code == "UNAUTHENTICATED"
        bearer = f"Bearer {TOKEN}"
        assert http_call(one, request_bytes(), PROTOBUF | {"Authorization": bearer}).code == 200
        assert grpc_call(one, request_bytes(), metadata=(("authorization", bearer),)).code == ""
        assert http_call(one, b"", {}, "/metrics", "GET").code == 401
        assert http_call(one, b"", {}, "/healthz", "GET").code == 200
    assert len(stored(tmp_path / "log")) == 2


def test_changed_token_file_counts_without_a_restart(
    token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "RELOAD_PERIOD_S", 0.0)
    tokens = Tokens(token_file)
    assert tokens.admits(f"Bearer {TOKEN}")
    token_file.write_text(f"{OTHER}\n")
    assert not tokens.admits(f"Bearer {TOKEN}")
    assert tokens.admits(f"bearer {OTHER}")


def test_damaged_token_file_leaves_the_tokens_from_before(
    token_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tokens_module, "RELOAD_PERIOD_S", 0.0)
    tokens = Tokens(token_file)
    token_file.write_text("camera-1 tooshort\n")
    assert tokens.admits(f"Bearer {TOKEN}")
    assert "line 1" in caplog.text and "tooshort" not in caplog.text
    token_file.unlink()
    assert tokens.admits(f"Bearer {TOKEN}")


@pytest.mark.parametrize("content", ["", "# none\n", "name short\n", f"a b {TOKEN}\n"])
def test_token_file_without_good_tokens_is_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(content)
    with pytest.raises(UsageError, match="token"):
        Tokens(path)


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "example.org:4317"])
def test_address_reached_from_outside_needs_tls_and_a_token(tmp_path: Path, address: str) -> None:
    with (
        pytest.raises(UsageError, match=r"--tls-cert.*--token-file.*--insecure"),
        collector(tmp_path, grpc=address),
    ):
        pass


def test_insecure_says_it_is_meant(tmp_path: Path) -> None:
    with collector(tmp_path, http="0.0.0.0:0", insecure=True) as one:
        assert one.http_address is not None


@dataclass(frozen=True)
class Authority:
    """Files of an authority, the server's certificate and a client's."""

    ca: Path
    cert: Path
    key: Path
    client: Path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("tls")
    made = trustme.CA()
    server, client = made.issue_cert("127.0.0.1"), made.issue_cert("camera-1")
    made.cert_pem.write_to_path(str(folder / "ca"))
    server.private_key_pem.write_to_path(str(folder / "key"))
    server.cert_chain_pems[0].write_to_path(str(folder / "cert"))
    client.private_key_and_cert_chain_pem.write_to_path(str(folder / "client"))
    return Authority(folder / "ca", folder / "cert", folder / "key", folder / "client")


@pytest.fixture
def mutual(tmp_path: Path, authority: Authority) -> Generator[Collector]:
    with collector(
        tmp_path, tls_cert=authority.cert, tls_key=authority.key, client_ca=authority.ca
    ) as one:
        yield one


def https_code(one: Collector, authority: Authority, *, with_client: bool) -> int:
    context = ssl.create_default_context(cafile=str(authority.ca))
    if with_client:
        context.load_cert_chain(authority.client)
    assert one.http_address is not None
    connection = http.client.HTTPSConnection(
        one.http_address.host, one.http_address.port, context=context, timeout=10
    )
    try:
        connection.request("POST", "/v1/traces", request_bytes(), PROTOBUF)
        return connection.getresponse().status
    finally:
        connection.close()


def grpcs_code(one: Collector, authority: Authority, *, with_client: bool) -> str:
    pem = authority.client.read_bytes() if with_client else None
    credentials = grpc.ssl_channel_credentials(authority.ca.read_bytes(), pem, pem)
    with grpc.secure_channel(str(one.grpc_address), credentials) as channel:
        try:
            exporting(channel)(request_bytes(), timeout=10)
        except grpc.RpcError as error:
            assert isinstance(error, grpc.Call)
            return error.code().name
        return ""


def test_client_with_a_certificate_is_let_in(mutual: Collector, authority: Authority) -> None:
    assert https_code(mutual, authority, with_client=True) == 200
    assert grpcs_code(mutual, authority, with_client=True) == ""


def test_client_without_a_certificate_is_kept_out(mutual: Collector, authority: Authority) -> None:
    with pytest.raises((OSError, http.client.HTTPException)):
        https_code(mutual, authority, with_client=False)
    assert grpcs_code(mutual, authority, with_client=False) == "UNAVAILABLE"
    assert [item for item in stored(mutual.writer.folder) if isinstance(item, LogRecord)] == []


def test_certificate_without_its_key_is_an_error(tmp_path: Path, authority: Authority) -> None:
    with (
        pytest.raises(UsageError, match="go together"),
        collector(tmp_path, tls_cert=authority.cert),
    ):
        pass
    other = tmp_path / "other"
    trustme.CA().private_key_pem.write_to_path(str(other))
    with (
        pytest.raises(UsageError, match="cannot be used"),
        collector(tmp_path / "log", tls_cert=authority.cert, tls_key=other),
    ):
        pass


def test_log_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    with collector(tmp_path) as one:
        assert http_call(one, request_bytes()).code == 200
    assert {path.stat().st_mode & 0o077 for path in tmp_path.glob("*.log")} == {0}
