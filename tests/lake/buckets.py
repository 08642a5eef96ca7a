"""A store that speaks S3, on loopback, and a careless one that overwrites what it should not."""

import http.client
import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from .ports import free_port

BUCKET = "lakes"

SECRET = "this-is-never-shown"


def environment(endpoint: str) -> dict[str, str]:
    """Return the settings by which a process reaches the store at *endpoint*."""
    return {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{endpoint}",
        "AWS_ALLOW_HTTP": "true",
    }


@contextmanager
def store(port: int = 0) -> Generator[str]:
    """Run a store with one bucket inside the block; give its address."""
    port = port or free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"MOTO_S3_DEFAULT_MAX_KEYS": "1000"},
    )
    try:
        _make_bucket(port)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _make_bucket(port: int, timeout_s: float = 60.0) -> None:
    end_s = time.monotonic() + timeout_s
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("PUT", f"/{BUCKET}")
            assert connection.getresponse().status == 200
        except OSError:
            assert time.monotonic() < end_s, "the store does not answer"
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()


@contextmanager
def careless(endpoint: str) -> Generator[str]:
    """Pass requests on to a store, without what says that nothing may be overwritten."""

    class Careless(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {k: v for k, v in self.headers.items() if k.lower() != "if-none-match"}
            connection = http.client.HTTPConnection(endpoint, timeout=20)
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = _pass_on  # noqa: N815  http.server's names

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Careless)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
