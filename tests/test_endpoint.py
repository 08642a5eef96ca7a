"""From two lines in an application to an OTLP server."""

from pathlib import Path

import pytest

import exray

from .exporters.otlp_oracle import decode
from .exporters.otlp_server import otlp_server


def test_an_endpoint_gets_frames_and_no_lake_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with otlp_server() as server:
        exray.configure(build="1.4.2", endpoint=server.url, sampling="all")
        with exray.frame(input_id="cat"):
            exray.record("light", 0.5)
        exray.shutdown()

    (span,) = decode(server.bodies("traces")).values()
    assert span["attributes"]["exray.input.id"] == ("string_value", "cat")
    assert span["resource"]["service.version"] == ("string_value", "1.4.2")
    assert len(server.bodies("metrics")) == 1
    assert list(tmp_path.iterdir()) == []
