"""``exray runs``, ``sql``, ``query`` and ``tensor``: what the lake holds."""

import sys
from contextlib import closing
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from exray.options import DEFAULT_LAKE, JsonOption, LakeOption
from exray.schema.errors import UsageError, continued, error_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

    from .catalog import Definition
    from .result import Result

app = typer.Typer()

Answer = TypeVar("Answer")

SELECTORS = ("edge", "reference", "selector")
"""Arguments of the library that select runs."""

ALIASES = {"build": "selector"}
"""What users may call an argument; in SQL it cannot be called so, for columns are."""


@app.command()
def runs(lake: LakeOption = DEFAULT_LAKE, as_json: JsonOption = False) -> None:
    """List the runs in the lake, newest first."""
    from .result import print_json, print_runs

    result = _asked(lake, lambda connection: _execute(connection, "SELECT * FROM run_list"))
    if as_json:
        print_json({"runs": result.records()})
    else:
        print_runs(result)


@app.command()
def sql(
    query: Annotated[str | None, typer.Argument(help="SQL; without it, stdin or a prompt.")] = None,
    lake: LakeOption = DEFAULT_LAKE,
    as_json: JsonOption = False,
) -> None:
    """Ask the lake in SQL: its tables, and the views and macros that 'exray query' lists."""
    if query is None and sys.stdin.isatty():
        _prompt(lake, as_json)
        return
    statement = sys.stdin.read() if query is None else query
    _show(_asked(lake, lambda connection: _execute(connection, statement)), as_json)


@app.command()
def query(
    name: Annotated[str | None, typer.Argument(help="View or macro; without it, all.")] = None,
    arg: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, an argument of the macro; repeatable.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Keep runs of this model; 'A,B': A for edge, B for reference."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Keep runs on this device; 'A,B' likewise.")
    ] = None,
    kernels: Annotated[
        str | None, typer.Option(help="Keep runs with these kernels; 'A,B' likewise.")
    ] = None,
    lake: LakeOption = DEFAULT_LAKE,
    as_json: JsonOption = False,
) -> None:
    """Run a query of the library by name; without NAME, list what there is."""
    from .catalog import queries
    from .select import Selection, matching_runs, narrow, resolve_pair

    library = queries()
    if name is None:
        _list_queries(list(library.values()), as_json)
        return
    if name not in library:
        near = get_close_matches(name, library, n=3, cutoff=0.4)
        hint = f"nearest: {', '.join(near)}. " if near else ""
        msg = f"there is no query {name!r}; {hint}List all: exray query"
        raise UsageError(msg)
    definition = library[name]
    arguments = _arguments(definition, arg or [])

    def ask(connection: "duckdb.DuckDBPyConnection") -> "Result":
        if "edge" in arguments:
            pair = resolve_pair(
                connection,
                arguments["edge"],
                arguments["reference"],
                model=model,
                device=device,
                kernels=kernels,
            )
            arguments["edge"], arguments["reference"] = (side.selector for side in pair)
        if "selector" in arguments:  # such a query keeps models and the like apart in its rows
            found = matching_runs(connection, arguments["selector"])
            kept = Selection(narrow(found, model, device, kernels, arguments["selector"]))
            arguments["selector"] = kept.selector
        return _execute(connection, _call(definition, arguments))

    _show(_asked(lake, ask), as_json, short_names=True)


@app.command()
def tensor(
    build: Annotated[str, typer.Option(help="Build, or a run id.", metavar="BUILD")],
    input_id: Annotated[str, typer.Option("--input", help="Input id of the frame.", metavar="ID")],
    out: Annotated[Path, typer.Option(help="File to write.", metavar="FILE.npy")],
    layer: Annotated[
        str | None, typer.Option(help="Layer, by index or name.", metavar="N|NAME")
    ] = None,
    role: Annotated[
        str,
        typer.Option(help="Without --layer: raw, stage, input, output or custom.", metavar="ROLE"),
    ] = "output",
    index: Annotated[int, typer.Option(min=0, help="Which of several.", metavar="N")] = 0,
    lake: LakeOption = DEFAULT_LAKE,
) -> None:
    """Write one whole tensor, recorded at level full, as a .npy file."""
    import numpy as np

    from .whole_tensor import Wanted, read_tensor

    wanted = Wanted(build, input_id, layer=layer, role=role, index=index)
    found = _asked(lake, lambda connection: read_tensor(connection, lake, wanted))
    try:
        with out.open("wb") as file:
            np.save(file, found.array)
    except OSError as error:
        msg = f"tensor '{out}' cannot be written: {error.strerror}. Choose another --out FILE."
        raise UsageError(msg) from error
    shape = "x".join(map(str, found.array.shape))
    print(f"{found.name}: {found.array.dtype.name} {shape}, written to {out}")


def _asked(lake: Path, ask: "Callable[[duckdb.DuckDBPyConnection], Answer]") -> Answer:
    """Open the lake, ask it, and close it again; Ctrl-C ends whatever it is at."""
    from exray.lake import Lake

    from .engine import connect, unreadable
    from .interrupt import Watch, interruptible

    def work(watch: Watch) -> Answer:
        opened = Lake.open(lake)
        with closing(connect(opened)) as connection:
            import duckdb

            try:
                return ask(watch.watched(connection))
            except duckdb.Error as error:
                raise unreadable(opened, error) from error

    return interruptible(work)


def _execute(connection: "duckdb.DuckDBPyConnection", query: str) -> "Result":
    import duckdb

    from .result import fetch

    try:
        if not connection.extract_statements(query):
            msg = "there is no SQL statement in what was given. Try: exray sql 'SHOW TABLES'"
            raise UsageError(msg)
        return fetch(connection.execute(query))
    except duckdb.Error as error:
        raise UsageError(continued(error)) from error


def _show(result: "Result", as_json: bool, *, short_names: bool = False) -> None:
    from .result import print_json, print_result

    if as_json:
        print_json({"columns": list(result.columns), "rows": result.json_rows()})
    else:
        print_result(result, short_names=short_names)


def _prompt(lake: Path, as_json: bool) -> None:
    """Read statements that end with a semicolon until the end of input.

    Ctrl-C gives up a statement, whether it is being typed or answered.
    """
    from exray.lake import Lake

    from .engine import connect

    print("SQL, each statement ended with a semicolon. Tables: SHOW TABLES; End: Ctrl-D.")
    lines: list[str] = []
    with closing(connect(Lake.open(lake))) as connection:
        while True:
            try:
                lines.append(input("   ...> " if lines else "exray> "))
                if lines[-1].rstrip().endswith(";"):
                    _answer(connection, "\n".join(lines), as_json)
                    lines.clear()
            except EOFError:
                print()
                return
            except KeyboardInterrupt:
                print("\ninterrupted", file=sys.stderr)
                lines.clear()


def _answer(connection: "duckdb.DuckDBPyConnection", statement: str, as_json: bool) -> None:
    """Show what a statement returns, or what is wrong with it."""
    from .interrupt import interruptible

    try:
        _show(interruptible(lambda watch: _execute(watch.watched(connection), statement)), as_json)
    except UsageError as error:
        print(*error_lines(error), sep="\n", file=sys.stderr)


def _arguments(definition: "Definition", given: list[str]) -> dict[str, str]:
    """Arguments by name; an error for those unknown, and for runs that are not named."""
    names = [argument.name for argument in definition.arguments]
    expected = f"arguments of {definition.name}: {', '.join(names) or 'none'}"
    arguments: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        key = ALIASES.get(key, key)
        if not equals or key not in names:
            msg = f"--arg {text!r} is not NAME=VALUE of a known NAME; {expected}"
            raise UsageError(msg)
        arguments[key] = value
    missing = [name for name in names if name in SELECTORS and not arguments.get(name)]
    if missing:
        wanted = " ".join(f"--arg {name}=BUILD" for name in missing)
        msg = f"{definition.name} needs to know which runs: {wanted}. List builds: exray runs"
        raise UsageError(msg)
    return arguments


def _call(definition: "Definition", arguments: dict[str, str]) -> str:
    if definition.kind == "view":
        return f"SELECT * FROM {definition.name}"
    quoted = {name: "'" + value.replace("'", "''") + "'" for name, value in arguments.items()}
    listed = ", ".join(f"{name} := {value}" for name, value in quoted.items())
    return f"SELECT * FROM {definition.name}({listed})"


def _list_queries(library: "list[Definition]", as_json: bool) -> None:
    from .result import print_catalogue, print_json

    rows = [
        (d.name, ", ".join(argument.name for argument in d.arguments), d.summary) for d in library
    ]
    if as_json:
        names = ("name", "arguments", "summary")
        print_json({"queries": [dict(zip(names, row, strict=True)) for row in rows]})
    else:
        print_catalogue(rows)
