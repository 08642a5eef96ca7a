"""``exray collect``: OTLP from devices, kept on disk, moved into the lake."""

from pathlib import Path
from typing import Annotated

import typer

from exray.schema.errors import MissingExtraError

app = typer.Typer()


@app.command()
def collect(
    lake: Annotated[
        str | None,
        typer.Option(
            help="Folder of the lake, or s3://BUCKET/PREFIX; made where there is none.",
            metavar="DIR|URL",
        ),
    ] = None,
    grpc: Annotated[
        str | None,
        typer.Option(
            help="Where gRPC is taken; none to do without.",
            metavar="HOST:PORT",
            show_default="127.0.0.1:4317",
        ),
    ] = None,
    http: Annotated[
        str | None,
        typer.Option(
            help="Where HTTP is taken; none to do without.",
            metavar="HOST:PORT",
            show_default="127.0.0.1:4318",
        ),
    ] = None,
    wal: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the log, on a local disk.", metavar="DIR", show_default="exray-wal"
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="Who may send: lines 'NAME TOKEN'; read again when it changes.", metavar="FILE"
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="Certificate of the collector, PEM.", metavar="FILE")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="Its private key, PEM.", metavar="FILE")
    ] = None,
    client_ca: Annotated[
        Path | None,
        typer.Option(help="Authority whose certificates clients must show, PEM.", metavar="FILE"),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Be reached from outside without TLS or tokens.")
    ] = False,
    when_full: Annotated[
        str | None,
        typer.Option(
            help="What gives way where the log is full: new requests or the oldest.",
            metavar="refuse|drop_oldest",
            show_default="refuse",
        ),
    ] = None,
    max_log_bytes: Annotated[
        int | None,
        typer.Option(help="Most that the log may hold.", metavar="BYTES", show_default="4 GiB"),
    ] = None,
    receivers: Annotated[
        int | None,
        typer.Option(
            help="Processes that take requests.", metavar="N", show_default="a core each, up to 4"
        ),
    ] = None,
    decoders: Annotated[
        int | None,
        typer.Option(
            help="Processes that move the logs of receivers into the lake, each log in one.",
            metavar="N",
            show_default="one for two receivers",
        ),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option(help="Form of what goes to stderr.", metavar="text|json", show_default="text"),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML or TOML; options come before it.", metavar="FILE"),
    ] = None,
) -> None:
    """Take OTLP over gRPC and HTTP, keep it on disk, move it into a lake.

    A request is acknowledged when it is on disk, in the log; from there it goes
    into the lake. All that can be set stands in docs/collector.md.
    """
    try:
        from .run import serve
        from .settings import load_settings
    except ImportError as error:
        extra, purpose = "collector", "exray collect"
        raise MissingExtraError(extra, purpose) from error
    options = {
        "lake": lake,
        "grpc": grpc,
        "http": http,
        "wal": wal,
        "token_file": token_file,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "client_ca": client_ca,
        "insecure": insecure or None,
        "when_full": when_full,
        "max_log_bytes": max_log_bytes,
        "receivers": receivers,
        "decoders": decoders,
        "log_format": log_format,
    }
    serve(load_settings(config, options), lambda text: typer.echo(text, err=True))
