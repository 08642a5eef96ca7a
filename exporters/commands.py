"""``exray spool``: what a device keeps until a server takes it."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from exray.schema.errors import ExrayError, UsageError

app = typer.Typer()
spool_app = typer.Typer(help="What this device keeps on disk until a server takes it.")
app.add_typer(spool_app, name="spool")

FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--spool",
        help="The spool's folder.",
        show_default="EXRAY_SPOOL, else $XDG_STATE_HOME/exray/spool",
        metavar="DIR",
    ),
]


@spool_app.command()
def status(spool: FolderOption = None) -> None:
    """Show what waits to be sent, and which process holds it."""
    from .log_writer import holder
    from .spool import slots, waiting_requests

    folder = _folder(spool)
    numbers = slots(folder)
    if not numbers:
        print(f"nothing was ever kept in {str(folder)!r}")
    for number in numbers:
        waiting = waiting_requests(folder / str(number))
        pid = holder(folder / str(number))
        held = f"held by process {pid}" if pid is not None else "held by nobody"
        age = "" if not waiting.oldest_ns else f", the oldest {_age(waiting.oldest_ns)} old"
        print(
            f"{folder / str(number)}: {waiting.requests} requests, {waiting.size_bytes} bytes"
            f"{age}; {held}"
        )


@spool_app.command()
def flush(
    spool: FolderOption = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="Where to send it.",
            show_default="EXRAY_ENDPOINT, else OTEL_EXPORTER_OTLP_ENDPOINT",
            metavar="URL",
        ),
    ] = None,
) -> None:
    """Send what no running process holds, once; what a running one holds it sends itself."""
    from .otlp_http import HttpSender
    from .otlp_settings import SIGNALS, Signal, destination
    from .spool import Spool, slots
    from .spool_sender import SpoolSender

    folder = _folder(spool)
    if not slots(folder):
        print(f"nothing was ever kept in {str(folder)!r}")
        return
    base = endpoint or os.environ.get("EXRAY_ENDPOINT", "").strip() or None
    senders: dict[Signal, HttpSender] = {
        signal: HttpSender(destination(signal, base), "exray") for signal in SIGNALS
    }
    problems: list[str] = []

    def report(signal: Signal, problem: str) -> None:
        problems.append(f"{senders[signal].url}: {problem}")

    sender = SpoolSender(Spool(folder), senders, report=report)
    try:
        is_done = sender.send_due()
        left = None if is_done else sender.spool.oldest()
    finally:
        sender.shutdown()
    if left is not None:
        msg = f"not all was sent. {problems[-1] if problems else ''} It is kept; try again later"
        raise ExrayError(msg)
    for problem in problems:
        print(problem)
    print("all was sent")


def _folder(spool: Path | None) -> Path:
    from .spool import default_spool

    if spool is not None:
        if spool.exists() and not spool.is_dir():
            msg = f"--spool {str(spool)!r} is a file; expected the spool's folder"
            raise UsageError(msg)
        return spool
    named = os.environ.get("EXRAY_SPOOL", "").strip()
    if named == "off":
        msg = "EXRAY_SPOOL is off: nothing is kept on disk. Name a folder with --spool"
        raise UsageError(msg)
    return Path(named) if named else default_spool()


def _age(time_ns: int) -> str:
    seconds = max(time.time() - time_ns / 1e9, 0)
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
