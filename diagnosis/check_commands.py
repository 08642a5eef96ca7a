"""``exray check``."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exray.options import DEFAULT_LAKE, JsonOption, LakeOption

from .options import (
    BaselineOption,
    DeviceOption,
    EdgeModelOption,
    EdgeOption,
    InputsOption,
    KernelsOption,
    ModelOption,
    PreprocessOption,
    ReferenceModelOption,
    ReferenceOption,
)

if TYPE_CHECKING:
    from exray.diagnosis.causes import Replay
    from exray.diagnosis.policy import Check
    from exray.diagnosis.unseen import Unseen

app = typer.Typer()


@app.command()
def check(
    policy: Annotated[Path, typer.Option(help="What the build must keep to, YAML.")],
    edge: EdgeOption,
    reference: ReferenceOption,
    baseline: BaselineOption = None,
    inputs: InputsOption = None,
    edge_model: EdgeModelOption = None,
    reference_model: ReferenceModelOption = None,
    preprocess: PreprocessOption = None,
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
    from exray.diagnosis.causes import Replay
    from exray.diagnosis.policy.verdicts import EXIT_UNJUDGED, EXIT_USAGE, exit_code
    from exray.schema.errors import ExrayError, UsageError, error_lines

    replay = Replay(
        inputs=inputs,
        edge_model=edge_model,
        reference_model=reference_model,
        preprocess=preprocess,
    )
    try:
        checks, left = _checks(
            policy, (edge, reference, baseline), (model, device, kernels), lake, replay
        )
        if junit is not None:
            _write_junit(junit, checks, f"exray {edge} against {reference}")
    except ExrayError as error:
        print(*error_lines(error), sep="\n", file=sys.stderr)
        code = EXIT_USAGE if isinstance(error, UsageError) else EXIT_UNJUDGED
        raise typer.Exit(code) from error
    code = exit_code(checks)
    if as_json:
        document = {
            "exit_code": code,
            "checks": [found.to_json() for found in checks],
            "not_judged": [found.to_json() for found in left],
        }
        print(json.dumps(document, allow_nan=False))
    else:
        _print(checks, left, code, edge)
    if github or os.environ.get("GITHUB_ACTIONS") == "true":
        from exray.diagnosis.policy import github_annotations

        # on stderr beside JSON, which must stay one object
        where = sys.stderr if as_json else sys.stdout
        print(*github_annotations(checks), sep="\n", file=where)
    raise typer.Exit(code)


def _checks(
    policy_file: Path,
    builds: tuple[str, str, str | None],
    chosen: tuple[str | None, str | None, str | None],
    lake: Path,
    replay: "Replay",
) -> "tuple[tuple[Check, ...], tuple[Unseen, ...]]":
    from exray.diagnosis.assertions import finder_of, load_assertions
    from exray.diagnosis.diagnose import diagnose
    from exray.diagnosis.finders import FINDERS
    from exray.diagnosis.policy import check_diagnosis, load_policy
    from exray.diagnosis.unseen import unseen
    from exray.lake import Lake

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
        replay=replay,
        finders=finders,
    )
    today = datetime.now(UTC).date()
    checks = check_diagnosis(diagnosis, diagnosis.before, policy, today)
    return checks, unseen(diagnosis, replay)


def _write_junit(path: Path, checks: "tuple[Check, ...]", suite: str) -> None:
    from exray.diagnosis.policy import junit_xml
    from exray.schema.errors import UsageError

    try:
        path.write_text(junit_xml(checks, suite), "utf-8")
    except OSError as error:
        msg = f"report '{path}' cannot be written: {error.strerror}. Choose another --junit FILE."
        raise UsageError(msg) from error


def _print(checks: "tuple[Check, ...]", left: "tuple[Unseen, ...]", code: int, edge: str) -> None:
    from exray.diagnosis.policy.verdicts import check_line

    from .terminal import make_console, print_line

    console = make_console()
    styles = {"fail": "red", "unjudged": "yellow", "waived": "dim", "pass": "green"}
    for found in checks:
        print_line(check_line(found), console, style=styles[found.outcome])
    for what in left:
        print_line(f"not judged: {what.what}; it takes {what.needs}", console, style="dim")
    told = {0: "keeps to the policy", 1: "does not keep to the policy"}
    print_line(f"'{edge}' {told.get(code, 'could not be judged')}.", console, style="bold")
