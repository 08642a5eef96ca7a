from pathlib import Path

import pytest

from exray.exporters.otlp_http import _retry_after_s, partial_success
from exray.exporters.otlp_settings import (
    SIGNALS,
    destination,
    endpoint_from_environment,
    environment_attributes,
)
from exray.schema.errors import UsageError


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    import os

    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


def test_without_a_word_it_is_the_collector_on_this_machine() -> None:
    found = destination("traces")

    assert found.url == "http://localhost:4318/v1/traces"
    assert (found.headers, found.timeout_s, found.gzip) == ({}, 10.0, True)
    assert endpoint_from_environment() is None


@pytest.mark.parametrize("base", ["http://c:1/otlp", "http://c:1/otlp/"])
def test_a_base_gets_a_path_for_each_signal(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", base)

    assert [destination(signal).url for signal in SIGNALS] == [
        f"http://c:1/otlp/v1/{signal}" for signal in ("logs", "metrics", "traces")
    ]
    assert endpoint_from_environment() == base


def test_an_argument_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:1/x")

    assert destination("traces", "https://mine").url == "https://mine/v1/traces"


def test_a_signals_own_variables_come_before_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "ENDPOINT": ("http://c:1", "http://t:1/as/it/is"),
        "HEADERS": ("a=1", "b=2"),
        "TIMEOUT": ("3", "4.5"),
        "COMPRESSION": ("gzip", "none"),
        "CERTIFICATE": ("all.pem", "traces.pem"),
        "CLIENT_CERTIFICATE": ("c.pem", "ct.pem"),
        "CLIENT_KEY": ("k.pem", "kt.pem"),
    }
    for name, (every, own) in variables.items():
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", every)
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_TRACES_{name}", own)

    traces, logs = destination("traces"), destination("logs")

    assert (traces.url, logs.url) == ("http://t:1/as/it/is", "http://c:1/v1/logs")
    assert (traces.headers, logs.headers) == ({"b": "2"}, {"a": "1"})
    assert (traces.timeout_s, logs.timeout_s) == (4.5, 3.0)
    assert (traces.gzip, logs.gzip) == (False, True)
    assert (traces.certificate, logs.certificate) == ("traces.pem", "all.pem")
    assert (traces.client_certificate, traces.client_key) == ("ct.pem", "kt.pem")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ENDPOINT", "collector:4318", "ENDPOINT 'collector:4318' is no HTTP URL"),
        ("TIMEOUT", "soon", "TIMEOUT='soon' is no time"),
        ("TIMEOUT", "-1", "TIMEOUT='-1' is no time"),
        ("COMPRESSION", "zstd", "COMPRESSION='zstd' is not supported; expected gzip or none"),
    ],
)
def test_a_wrong_variable_is_named(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)

    with pytest.raises(UsageError, match=message):
        destination("traces")


def test_a_certificate_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / "ca.pem"))

    with pytest.raises(UsageError, match=r"certificate for https://c/v1/logs cannot be used.*ca"):
        destination("logs", "https://c").ssl_context()


def test_the_resource_is_what_the_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(environment_attributes()["service.name"]).startswith("unknown_service:python")

    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=vision,service.name=a")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shelf-camera")

    assert environment_attributes() == {"service.name": "shelf-camera", "team": "vision"}


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [(None, 0.0), ("7", 7.0), ("soon", 0.0), ("-3", 0.0), ("inf", 0.0), ("nan", 0.0)],
)
def test_retry_after_is_a_number_of_seconds(text: str | None, expected_s: float) -> None:
    assert _retry_after_s(text) == expected_s


def test_retry_after_may_be_a_date() -> None:
    assert _retry_after_s("Fri, 31 Dec 2100 23:59:59 GMT") > 1e9
    assert _retry_after_s("Fri, 31 Dec 1999 23:59:59 GMT") == 0.0


@pytest.mark.parametrize("body", [b"", b"\x0a", b"\x0a\x05\x08", b"\xff\xff", b"\x08\x01", b"\x09"])
def test_a_response_that_says_nothing_rejects_nothing(body: bytes) -> None:
    assert partial_success(body) == (0, "")
