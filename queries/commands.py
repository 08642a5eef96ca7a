"""``exray runs``, ``sql``, ``query`` and ``tensor``: what the lake holds."""

import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exray.schema.errors import UsageError

if TYPE_CHECKING:
    import duckdb

    from .catalog import Definition
    from .result import Result

app = typer.Typer()

LakeOption = Annotated[Path, typer.Option(envvar="EXRAY_LAKE", help="Folder of the lake.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DEFAULT_LAKE = Path("lake")

ROLE_OF_ARGUMENT = {"edge": "edge", "reference": "reference", "selector": None}
"""Arguments of the library that select runs, and the role they prefer."""

ALIASES = {"build": "selector"}
"""What users may call an argument; in SQL it cannot be called so, for columns are."""


@app.command()
def runs(lake: LakeOption = DEFAULT_LAKE, as_json: JsonOption = False) -> None:
    """List the runs in the lake, newest first."""
    from .result import fetch, print_json, print_runs

    with _connected(lake) as connection:
        result = fetch(connection.execute("SELECT * FROM run_list"))
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
    with _connected(lake) as connection:
        if query is None and sys.stdin.isatty():
            _prompt(connection, as_json)
        else:
            _show(_execute(connection, sys.stdin.read() if query is None else query), as_json)


@app.command()
def query(
    name: Annotated[str | None, typer.Argument(help="View or macro; without it, all.")] = None,
    arg: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, an argument of the macro; repeatable.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Keep runs of this model.")] = None,
    device: Annotated[str | None, typer.Option(help="Keep runs on this device.")] = None,
    kernels: Annotated[str | None, typer.Option(help="Keep runs with these kernels.")] = None,
    lake: LakeOption = DEFAULT_LAKE,
    as_json: JsonOption = False,
) -> None:
    """Run a query of the library by name; without NAME, list what there is."""
    from .catalog import queries
    from .select import Selection, matching_runs, narrow, resolve

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
    with _connected(lake) as connection:
        for key in arguments.keys() & ROLE_OF_ARGUMENT.keys():
            selector, role = arguments[key], ROLE_OF_ARGUMENT[key]
            if role is None:  # such a query keeps models and the like apart in its rows
                found = matching_runs(connection, selector)
                kept = Selection(narrow(found, model, device, kernels, selector))
            else:
                kept = resolve(
                    connection, selector, role, model=model, device=device, kernels=kernels
                )
            arguments[key] = kept.selector
        _show(_execute(connection, _call(definition, arguments)), as_json)


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
    with _connected(lake) as connection:
        found = read_tensor(connection, lake, wanted)
    with out.open("wb") as file:
        np.save(file, found.array)
    shape = "x".join(map(str, found.array.shape))
    print(f"{found.name}: {found.array.dtype.name} {shape}, written to {out}")


@contextmanager
def _connected(lake: Path) -> "Generator[duckdb.DuckDBPyConnection]":
    from exray.lake import Lake

    from .engine import connect

    with closing(connect(Lake.open(lake))) as connection:
        yield connection


def _execute(connection: "duckdb.DuckDBPyConnection", query: str) -> "Result":
    import duckdb

    from .result import fetch

    try:
        return fetch(connection.execute(query))
    except duckdb.Error as error:
        raise UsageError(str(error)) from error


def _show(result: "Result", as_json: bool) -> None:
    from .result import print_json, print_result

    if as_json:
        print_json({"columns": list(result.columns), "rows": result.json_rows()})
    else:
        print_result(result)


def _prompt(connection: "duckdb.DuckDBPyConnection", as_json: bool) -> None:
    """Read statements that end with a semicolon until the end of input."""
    print("SQL, each statement ended with a semicolon. Tables: SHOW TABLES; End: Ctrl-D.")
    lines: list[str] = []
    while True:
        try:
            lines.append(input("   ...> " if lines else "exray> "))
        except EOFError:
            print()
            return
        if not lines[-1].rstrip().endswith(";"):
            continue
        try:
            _show(_execute(connection, "\n".join(lines)), as_json)
        except UsageError as error:
            print(f"error: {error}", file=sys.stderr)
        lines.clear()


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
    missing = [name for name in names if name in ROLE_OF_ARGUMENT and not arguments.get(name)]
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
    from .result import Result, print_json, print_result

    rows = [
        (d.name, ", ".join(argument.name for argument in d.arguments), d.summary) for d in library
    ]
    result = Result(("query", "arguments", "what it says"), rows)
    if as_json:
        names = ("name", "arguments", "summary")
        print_json({"queries": [dict(zip(names, row, strict=True)) for row in rows]})
    else:
        print_result(result)
