"""``exray grafana``: the lake in Grafana."""

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exray.grafana.doctor import Finding
    from exray.grafana.push import Checked, Pushed
    from exray.grafana.thresholds import Thresholds

app = typer.Typer()
grafana = typer.Typer(help="Show the lake in Grafana.", no_args_is_help=True)
app.add_typer(grafana, name="grafana")

LakeOption = Annotated[Path, typer.Option(envvar="EXRAY_LAKE", help="Folder of the lake.")]
DEFAULT_LAKE = Path("lake")
UrlOption = Annotated[str, typer.Option(envvar="GRAFANA_URL", help="Address of the Grafana.")]
DEFAULT_URL = "http://localhost:3000"
TokenOption = Annotated[
    Path | None,
    typer.Option(help="File with a service account's token; without it, GRAFANA_TOKEN."),
]
ServerOption = Annotated[
    str, typer.Option(help="HOST:PORT of 'exray grafana serve', as Grafana reaches it.")
]
DEFAULT_SERVER = "127.0.0.1:5433"
PasswordOption = Annotated[
    Path | None, typer.Option(help="File with the server's password; the server's own by default.")
]
TlsOption = Annotated[bool, typer.Option("--tls", help="The server has a certificate.")]
SourceOption = Annotated[
    Literal["postgres", "motherduck"],
    typer.Option(help="Data source: Grafana's own PostgreSQL one, or MotherDuck's for DuckDB."),
]

PolicyOption = Annotated[
    Path | None,
    typer.Option(
        help="Policy of 'exray check': its limits of all layers, answers and times colour the panels"
        " and set off the alerts."
    ),
]


@grafana.command()
def refresh(
    lake: LakeOption = DEFAULT_LAKE,
    every: Annotated[
        float | None,
        typer.Option(min=1, metavar="SECONDS", help="Again so long after the last, until Ctrl-C."),
    ] = None,
) -> None:
    """Bring the rollups up to date that the dashboards read: after new runs, or every few minutes.

    It reads what is new, commits as it goes, and may be interrupted and begun again."""
    from exray.grafana.rollup import refresh as refresh_rollups
    from exray.lake import Lake
    from exray.playback.progress import show_progress
    from exray.queries.interrupt import interruptible

    opened = Lake.open(lake)
    while True:
        with show_progress("rollups") as progress:
            written = interruptible(lambda watch: refresh_rollups(opened, watch, progress))
        if written:
            groups = f"{written} group{'' if written == 1 else 's'} of runs"
            print(f"rollups of {groups} written to {lake}", flush=True)
        elif every is None:
            print(f"the rollups in {lake} are up to date")
        if every is None:
            return
        time.sleep(every)


@grafana.command()
def sample(
    lake: LakeOption = DEFAULT_LAKE,
    devices: Annotated[int, typer.Option(min=3, max=20_000, help="Devices of the fleet.")] = 12,
    builds: Annotated[int, typer.Option(min=2, max=60, help="Builds, a week apart.")] = 8,
) -> None:
    """Write a made-up fleet with known faults to a new lake, to try the dashboards with."""
    from exray.grafana.rollup import refresh as refresh_rollups
    from exray.grafana.sample import HOUR_NS, Fleet, write_sample
    from exray.lake import Lake
    from exray.playback.progress import show_progress
    from exray.queries.interrupt import interruptible
    from exray.schema.errors import UsageError

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
    from exray.grafana.wire import Limits
    from exray.grafana.wire.serve import serve as serve_lake

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


@grafana.command()
def push(
    url: UrlOption = DEFAULT_URL,
    token_file: TokenOption = None,
    server: ServerOption = DEFAULT_SERVER,
    password_file: PasswordOption = None,
    tls: TlsOption = False,
    source: SourceOption = "postgres",
    lake: LakeOption = DEFAULT_LAKE,
    policy: PolicyOption = None,
) -> None:
    """Make a Grafana show the lake: data source, folder, dashboards, alert rules; then ask every
    panel. Again after an update: what is the same is left alone."""
    from exray.grafana.api import Grafana, read_token
    from exray.grafana.dashboards import SOURCES
    from exray.grafana.push import check_panels, health
    from exray.grafana.push import push as push_all

    thresholds = _thresholds(policy)
    datasource = _datasource(source, server, lake, tls=tls)
    password = _password(password_file) if source == "postgres" else None
    with closing(Grafana(url, read_token(token_file))) as target:
        print(f"Grafana {target.version()} at {url}")
        _print_pushed(push_all(target, datasource, password, thresholds))
        print(health(target, SOURCES[source]))
        checked = list(check_panels(target, SOURCES[source]))
    _print_checked(checked)
    print(f"Look at it: {url.rstrip('/')}/d/exray-fleet")
    if any(panel.state == "error" for panel in checked):
        raise typer.Exit(1)


@grafana.command()
def export(
    folder: Annotated[Path, typer.Option("--dir", help="Folder to write; Grafana's provisioning.")],
    server: ServerOption = DEFAULT_SERVER,
    tls: TlsOption = False,
    source: SourceOption = "postgres",
    lake: LakeOption = DEFAULT_LAKE,
    boards_path: Annotated[
        str | None,
        typer.Option(help="Where Grafana will see the dashboards; below --dir unless given."),
    ] = None,
    policy: PolicyOption = None,
) -> None:
    """Write data source, dashboards and alert rules as Grafana's provisioning files."""
    from exray.grafana.export import PASSWORD_VARIABLE
    from exray.grafana.export import export as export_files

    thresholds = _thresholds(policy)
    datasource = _datasource(source, server, lake, tls=tls)
    path = boards_path or str((folder / "dashboards" / "exray").absolute())
    files = export_files(folder, datasource, path, thresholds)
    print(f"{len(files)} files below {folder}; Grafana's environment needs {PASSWORD_VARIABLE}")


@grafana.command()
def doctor(
    url: UrlOption = DEFAULT_URL,
    token_file: TokenOption = None,
    server: ServerOption = DEFAULT_SERVER,
    source: SourceOption = "postgres",
    lake: LakeOption = DEFAULT_LAKE,
    policy: PolicyOption = None,
) -> None:
    """Say what stands between the lake and its dashboards: lake, rollups, server, Grafana."""
    from exray.grafana.api import Grafana, read_token
    from exray.grafana.dashboards import SOURCES
    from exray.grafana.doctor import examine_grafana, examine_lake, examine_server

    thresholds = _thresholds(policy)
    findings = list(examine_lake(lake))
    if source == "postgres":
        findings.append(examine_server(server, lake))
    with closing(Grafana(url, read_token(token_file))) as target:
        findings += examine_grafana(target, SOURCES[source], thresholds)
    _print_findings(findings)
    if not all(finding.good for finding in findings):
        raise typer.Exit(1)


@grafana.command()
def up(
    folder: Annotated[Path, typer.Option("--dir", help="Folder for the project.")] = Path(
        "exray-grafana"
    ),
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Grafana's port here.")] = 3000,
    start: Annotated[
        bool, typer.Option("--start/--no-start", help="Start it, or only write its files.")
    ] = True,
) -> None:
    """Start Grafana, a collector and a made-up fleet with docker compose."""
    import shutil
    import subprocess
    from importlib.metadata import version

    from exray.grafana.compose import write_project

    checkout = Path(__file__).resolve().parents[1]
    is_checkout = (checkout / "pyproject.toml").exists()
    files = write_project(folder, checkout if is_checkout else None, version("exray"), port)
    command = ["docker", "compose", "--file", str(files[0]), "up", "--build", "--detach"]
    print(f"docker compose project written to {folder}")
    if not start or shutil.which("docker") is None:
        reason = "" if not start else "docker is not installed here. "
        print(f"{reason}Start it: {' '.join(command)}")
        return
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise typer.Exit(1)
    print(
        f"Grafana: http://localhost:{port}/d/exray-fleet; stop it: docker compose"
        f" --file {files[0]} down --volumes"
    )


def _datasource(source: str, server: str, lake: Path, *, tls: bool) -> dict[str, Any]:
    from exray.grafana.datasource import motherduck_datasource, postgres_datasource

    if source == "postgres":
        return postgres_datasource(server, tls=tls)
    from exray.grafana.duckdb_views import init_sql
    from exray.lake import Lake

    return motherduck_datasource(init_sql(Lake.open(lake).path))


def _thresholds(policy: Path | None) -> "Thresholds | None":
    """Return a policy's thresholds, and say which of its limits set none."""
    if policy is None:
        return None
    from exray.grafana.policy import thresholds_from_policy

    found = thresholds_from_policy(policy)
    print(f"thresholds from {policy}: {', '.join(found.used) or 'none'}")
    if found.unused:
        print(f"for 'exray check' alone: {', '.join(found.unused)}")
    return found.thresholds


def _password(file: Path | None) -> str:
    from exray.grafana.wire.password import default_password_file, read_or_make_password

    return read_or_make_password(file or default_password_file())


def _print_pushed(pushed: "Iterable[Pushed]") -> None:
    rows = [(item.kind, item.name, item.change) for item in pushed]
    _print_table(("what", "name", "change"), rows)


def _print_checked(checked: "Sequence[Checked]") -> None:
    """Print a line for each panel that is empty or wrong, and how many are neither."""
    odd = [panel for panel in checked if panel.state != "ok"]
    if odd:
        _print_table(
            ("board", "panel", "state", "error"),
            [(panel.board, panel.panel, panel.state, panel.error or "no rows") for panel in odd],
        )
    counts = {state: sum(p.state == state for p in checked) for state in ("ok", "empty", "error")}
    print(f"{len(checked)} panels: " + ", ".join(f"{n} {state}" for state, n in counts.items()))
    if counts["empty"]:
        print(
            "An empty panel found nothing of its kind: a second build, frames at level latency, a"
            " fault. If all are empty: exray grafana refresh"
        )


def _print_findings(findings: "Sequence[Finding]") -> None:
    rows = [(f.what, "ok" if f.good else "problem", f.said) for f in findings]
    _print_table(("what", "state", "found"), rows)


def _print_table(headers: "Sequence[str]", rows: "Sequence[tuple[str, ...]]") -> None:
    from rich.console import Console

    from exray.queries.text_table import Column, text_table

    columns = [
        Column(header, texts, "word" if number < 2 else "prose")
        for number, (header, texts) in enumerate(zip(headers, zip(*rows, strict=True), strict=True))
    ]
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    console.print(text_table(columns, console.width))
