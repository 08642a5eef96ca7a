"""``exray ingest``: files of OTLP into a lake."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from exray.playback.progress import Progress

app = typer.Typer()

SHOWN_PROBLEMS = 5
"""Bad requests of a file that are shown one by one."""


@app.command()
def ingest(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="OTLP as lines of JSON or as protobuf messages behind their lengths (what the "
            "OpenTelemetry Collector's file exporter writes), gzip or not; folders of spools."
        ),
    ],
    lake: Annotated[
        Path, typer.Option(envvar="EXRAY_LAKE", help="Folder of the lake, or s3://BUCKET/PREFIX.")
    ] = Path("lake"),
) -> int:
    """Add what OTLP files hold to a lake, however often: rows that a file gave before are left out."""
    from exray.lake import Lake
    from exray.playback.progress import show_progress

    try:
        from .ingest import ingest_file
        from .ingest.files import check_file
    except ImportError as error:
        from exray.schema.errors import MissingExtraError

        extra, purpose = "collector", "exray ingest"
        raise MissingExtraError(extra, purpose) from error

    for path in files:
        check_file(path)
    opened = Lake.open_or_create(lake)
    sound = True
    for path in files:
        total = max(_size_bytes(path), 1)
        with show_progress(path.name) as progress:
            found = ingest_file(path, opened, partial(_show, progress, total))
        print(
            f"{path}: {found.requests} requests, {found.spans} spans, "
            f"{found.new_rows} new rows in {opened.place}"
        )
        for problem in found.problems[:SHOWN_PROBLEMS]:
            print(f"error: {path}, {problem}", file=sys.stderr)
        if len(found.problems) > SHOWN_PROBLEMS:
            more = len(found.problems) - SHOWN_PROBLEMS
            print(f"error: {path}: and {more} more like these", file=sys.stderr)
        sound = sound and not found.problems
    return 0 if sound else 1


def _show(progress: "Progress", total: int, done: int) -> None:
    progress(min(done, total), total)  # of a compressed file more comes out than it has


def _size_bytes(path: Path) -> int:
    if path.is_dir():
        return sum(member.stat().st_size for member in path.iterdir() if member.is_file())
    return path.stat().st_size
