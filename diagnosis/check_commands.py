"""``exray check``."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    DEFAULT_LAKE,
    BaselineOption,
    DeviceOption,
    EdgeOption,
    JsonOption,
    KernelsOption,
    LakeOption,
    ModelOption,
    ReferenceOption,
)

if TYPE_CHECKING:
    from .policy import Check

app = typer.Typer()


@app.command()
def check(
    policy: Annotated[Path, typer.Option(help="What the build must keep to, YAML.")],
    edge: EdgeOption,
    reference: ReferenceOption,
    baseline: BaselineOption = None,
    junit: Annotated[Path | None, typer.Option(help="File for a JUnit report.")] = None,
    github: Annotated[
        bool,
        typer.Option(
            "--github", help="Print annotations of GitHub Actions; there it is the default."
        ),
    ] = False,
    model: ModelOption = None,
    device: DeviceOption = None,
    kernels: KernelsOption = None,
    lake: LakeOption = DEFAULT_LAKE,
    as_json: JsonOption = False,
) -> None:
    """Hold a build against a policy: exit 0 pass, 1 fail, 2 could not judge, 64 usage."""
    from exray.schema.errors import ExrayError, UsageError

    from .policy.verdicts import EXIT_UNJUDGED, EXIT_USAGE, exit_code

    try:
        checks = _checks(policy, (edge, reference, baseline), (model, device, kernels), lake)
        if junit is not None:
            _write_junit(junit, checks, f"exray {edge} against {reference}")
    except ExrayError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        code = EXIT_USAGE if isinstance(error, UsageError) else EXIT_UNJUDGED
        raise typer.Exit(code) from error
    code = exit_code(checks)
    if as_json:
        document = {"exit_code": code, "checks": [found.to_json() for found in checks]}
        print(json.dumps(document, allow_nan=False))
    else:
        _print(checks, code, edge)
    if github or os.environ.get("GITHUB_ACTIONS") == "true":
        from .policy import github_annotations

        # on stderr beside JSON, which must stay one object
        where = sys.stderr if as_json else sys.stdout
        print(*github_annotations(checks), sep="\n", file=where)
    raise typer.Exit(code)


def _checks(
    policy_file: Path,
    builds: tuple[str, str, str | None],
    chosen: tuple[str | None, str | None, str | None],
    lake: Path,
) -> "tuple[Check, ...]":
    from exray.lake import Lake

    from .assertions import finder_of, load_assertions
    from .diagnose import diagnose
    from .finders import FINDERS
    from .policy import check_diagnosis, load_policy

    policy = load_policy(policy_file)
    own = [finder_of(load_assertions(policy.assertions))] if policy.assertions else []
    finders = (*FINDERS, *own)
    edge, reference, baseline = builds
    model, device, kernels = chosen
    diagnosis = diagnose(
        Lake.open(lake),
        edge,
        reference,
        baseline=baseline,
        model=model,
        device=device,
        kernels=kernels,
        finders=finders,
    )
    today = datetime.now(UTC).date()
    return check_diagnosis(diagnosis, diagnosis.before, policy, today)


def _write_junit(path: Path, checks: "tuple[Check, ...]", suite: str) -> None:
    from exray.schema.errors import UsageError

    from .policy import junit_xml

    try:
        path.write_text(junit_xml(checks, suite), "utf-8")
    except OSError as error:
        msg = f"report '{path}' cannot be written: {error.strerror}. Choose another --junit FILE."
        raise UsageError(msg) from error


def _print(checks: "tuple[Check, ...]", code: int, edge: str) -> None:
    from .policy.verdicts import check_line
    from .terminal import make_console, print_line

    console = make_console()
    styles = {"fail": "red", "unjudged": "yellow", "waived": "dim", "pass": "green"}
    for found in checks:
        print_line(check_line(found), console, style=styles[found.outcome])
    told = {0: "keeps to the policy", 1: "does not keep to the policy"}
    print_line(f"'{edge}' {told.get(code, 'could not be judged')}.", console, style="bold")
