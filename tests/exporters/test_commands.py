"""``exray spool``: what waits, and sending it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from exray.cli import make_app
from exray.exporters.log import Encoding
from exray.exporters.spool import Spool

from .otlp_server import Reply, otlp_server


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(make_app(), ["spool", *words])
    return result.exit_code, result.output + str(result.exception or "")


def filled(folder: Path) -> Spool:
    spool = Spool(folder)
    spool.append("traces", Encoding.PROTOBUF, b"\x0a\x00", 1)
    spool.sync()
    return spool


def test_status_tells_what_waits_and_who_holds_it(tmp_path: Path) -> None:
    assert "nothing was ever kept" in run("status", "--spool", str(tmp_path))[1]
    spool = filled(tmp_path)
    shown = run("status", "--spool", str(tmp_path))[1]
    assert "1 requests" in shown and "held by process" in shown and "days old" in shown
    spool.close()
    assert "held by nobody" in run("status", "--spool", str(tmp_path))[1]


def test_a_file_in_the_place_of_a_spool_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, said = run("status", "--spool", str(tmp_path / "file"))
    assert code != 0 and "is a file; expected the spool's folder" in said


def test_flush_sends_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    filled(tmp_path).close()
    with otlp_server() as server:
        words = ("flush", "--spool", str(tmp_path), "--endpoint", server.url)
        server.replies.append(Reply(503))
        code, shown = run(*words)
        assert code != 0 and "503" in shown and "It is kept" in shown
        assert run(*words) == (0, "all was sent\n")
        assert server.bodies("traces")[-1] == b"\x0a\x00"
    assert "0 requests" in run("status", "--spool", str(tmp_path))[1]
