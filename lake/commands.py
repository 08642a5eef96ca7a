"""``exray lake``: what a lake holds, and the upkeep of its files."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from exray.options import DEFAULT_LAKE

app = typer.Typer()
lake = typer.Typer(help="Look after the files of a lake.", no_args_is_help=True)
app.add_typer(lake, name="lake")

LakeArgument = Annotated[
    Path, typer.Argument(envvar="EXRAY_LAKE", help="Folder of the lake, or s3://BUCKET/PREFIX.")
]


@lake.command()
def info(path: LakeArgument = DEFAULT_LAKE) -> None:
    """Show each table's files and rows, and what of them is not compacted yet."""
    from .lake import Lake

    states = Lake.open(path).partitions()
    print(
        f"{'table':<20} {'partitions':>10} {'files':>8} {'rows':>12} {'MB':>10} {'to compact':>10}"
    )
    for table in dict.fromkeys(state.table for state in states):
        own = [state for state in states if state.table == table]
        files = [file for state in own for file in state.files]
        size_mb = sum(file.size_bytes for file in files) / 1e6
        rows = sum(file.rows for file in files)
        small = sum(len(state.small) for state in own)
        print(f"{table:<20} {len(own):>10} {len(files):>8} {rows:>12} {size_mb:>10.1f} {small:>10}")


@lake.command()
def compact(
    path: LakeArgument = DEFAULT_LAKE,
    keep_days: Annotated[
        int,
        typer.Option(
            min=1,
            help="Days for which replaced files stay on disk, for who still reads them.",
            metavar="DAYS",
        ),
    ] = 7,
) -> None:
    """Rewrite small files as one for each partition, sorted, and each row once.

    Rows that came again under a later date are dropped there. Files that were
    replaced more than --keep-days ago are deleted, and so is what killed writers
    left.
    """
    from .compact import Compacted
    from .lake import Lake

    opened = Lake.open(path)
    due = [state for state in opened.partitions() if state.small]
    done: list[Compacted] = []
    shown = sys.stderr.isatty()
    with (
        typer.progressbar(due, label="compacting", file=sys.stderr)
        if shown
        else nullcontext(due) as bar
    ):
        for state in bar:
            done.append(opened.compact(state))
    removed = opened.remove_unused(keep_days * 24)
    print(
        f"{sum(one.files_before for one in done)} files of {opened.place} rewritten as "
        f"{sum(one.files_after for one in done)}; {sum(one.repeated_rows for one in done)} repeated "
        f"rows dropped; {removed} old files deleted"
    )
