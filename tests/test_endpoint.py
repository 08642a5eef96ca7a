"""From two lines in an application to an OTLP server."""

from pathlib import Path

import pytest

import exray
from exray.exporters.spool import waiting_requests

from .exporters.otlp_oracle import decode
from .exporters.otlp_server import Reply, otlp_server


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


def test_records_wait_on_disk_for_an_endpoint_that_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    spool = tmp_path / "spool"
    with otlp_server() as server:
        server.replies += [Reply(503)] * 5
        exray.configure(build="1", endpoint=server.url, spool=spool, sampling="all")
        with exray.frame(input_id="cat"):
            pass
        exray.shutdown()
        assert waiting_requests(spool / "0").requests > 0

        server.replies.clear()
        exray.configure(build="1", endpoint=server.url, spool=spool, sampling="all")
        exray.flush()
        with exray.frame(input_id="dog"):
            pass
        exray.shutdown()
    names = {
        span["attributes"]["exray.input.id"][1] for span in decode(server.bodies("traces")).values()
    }
    assert names == {"cat", "dog"}
    assert waiting_requests(spool / "0").requests == 0


def test_sending_waits_while_the_application_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with otlp_server() as server:
        exray.configure(
            build="1", endpoint=server.url, spool=tmp_path, is_sending_paused=lambda: True
        )
        with exray.frame(input_id="cat"):
            pass
        exray.shutdown()
        assert server.received == []
    assert waiting_requests(tmp_path / "0").requests > 0
