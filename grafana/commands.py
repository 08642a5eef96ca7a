"""``exray grafana``: the lake in Grafana."""

import time
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
grafana = typer.Typer(help="Show the lake in Grafana.", no_args_is_help=True)
app.add_typer(grafana, name="grafana")

LakeOption = Annotated[Path, typer.Option(envvar="EXRAY_LAKE", help="Folder of the lake.")]
DEFAULT_LAKE = Path("lake")


@grafana.command()
def refresh(lake: LakeOption = DEFAULT_LAKE) -> None:
    """Bring the rollups up to date that the dashboards read: after new runs, or every few minutes."""
    from exray.lake import Lake
    from exray.playback.progress import show_progress
    from exray.queries.interrupt import interruptible

    from .rollup import refresh as refresh_rollups

    opened = Lake.open(lake)
    with show_progress("rollups") as progress:
        written = interruptible(lambda watch: refresh_rollups(opened, watch, progress))
    print(f"rollups of {written} group{'' if written == 1 else 's'} of runs written to {lake}")


@grafana.command()
def sample(
    lake: LakeOption = DEFAULT_LAKE,
    devices: Annotated[int, typer.Option(min=3, max=20_000, help="Devices of the fleet.")] = 12,
    builds: Annotated[int, typer.Option(min=2, max=60, help="Builds, a week apart.")] = 8,
) -> None:
    """Write a made-up fleet with known faults to a new lake, to try the dashboards with."""
    from exray.lake import Lake
    from exray.playback.progress import show_progress
    from exray.queries.interrupt import interruptible
    from exray.schema.errors import UsageError

    from .rollup import refresh as refresh_rollups
    from .sample import HOUR_NS, Fleet, write_sample

    opened = Lake.open_or_create(lake)
    if opened.files("runs"):
        msg = f"the lake {lake} holds runs already: a made-up fleet goes into a new one"
        raise UsageError(msg)
    fleet = Fleet(time.time_ns() - 2 * HOUR_NS, devices=devices, builds=builds)
    with show_progress("builds") as progress:
        write_sample(opened, fleet, progress)
    with show_progress("rollups") as progress:
        interruptible(lambda watch: refresh_rollups(opened, watch, progress))
    print(f"{devices} devices and {builds} builds in {lake}")


@grafana.command()
def serve(
    lake: LakeOption = DEFAULT_LAKE,
    listen: Annotated[str, typer.Option(help="HOST:PORT.")] = "127.0.0.1:5433",
    password_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the password; made with a random one if it is not there. Default: "
            "~/.local/state/exray/grafana_password."
        ),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen beyond this machine without TLS.")
    ] = False,
    statement_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds that a statement may take.")
    ] = 60.0,
    max_statements: Annotated[
        int, typer.Option(min=1, max=256, help="Statements at once; others wait.")
    ] = 8,
    max_connections: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    memory: Annotated[str, typer.Option(help="Memory for statements, such as 512MB.")] = "2GB",
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Threads for statements; as many as cores.")
    ] = None,
) -> None:
    """Answer SQL over the PostgreSQL wire, read-only: for Grafana's PostgreSQL data source, psql
    and others."""
    from .wire import Limits
    from .wire.serve import serve as serve_lake

    limits = Limits(
        connections=max_connections,
        statements=max_statements,
        statement_timeout_s=statement_timeout,
        memory=memory,
        threads=threads,
    )
    serve_lake(
        lake,
        listen,
        password_file=password_file,
        tls_cert=tls_cert,
        tls_key=tls_key,
        insecure=insecure,
        limits=limits,
    )
