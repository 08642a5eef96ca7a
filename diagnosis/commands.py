"""``exray compare``, ``exray report`` and ``exray demo``."""

import json
import os
from errno import EACCES, EISDIR, ENOENT
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
    from exray.schema.errors import UsageError

    from .comparison import Comparison

app = typer.Typer()


@app.command()
def compare(
    edge: EdgeOption,
    reference: ReferenceOption,
    model: ModelOption = None,
    device: DeviceOption = None,
    kernels: KernelsOption = None,
    lake: LakeOption = DEFAULT_LAKE,
    as_json: JsonOption = False,
) -> None:
    """Compare two builds layer by layer over the inputs that both have seen."""
    from .verdict import judge

    comparison = _compare(lake, edge, reference, model, device, kernels)
    finding = judge(comparison)
    if as_json:
        document = comparison.to_json() | {"verdict": finding.to_json()}
        print(json.dumps(document, allow_nan=False))
        return
    from .terminal import make_console, print_comparison, print_line

    console = make_console()
    print_comparison(comparison, console)
    print_line(finding.sentence, console, style="bold")


@app.command()
def report(
    edge: EdgeOption,
    reference: ReferenceOption,
    html: Annotated[Path, typer.Option(help="File to write: one self-contained page.")],
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="Look for causes, too, as the next five options do.")
    ] = False,
    baseline: BaselineOption = None,
    inputs: InputsOption = None,
    edge_model: EdgeModelOption = None,
    reference_model: ReferenceModelOption = None,
    preprocess: PreprocessOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    kernels: KernelsOption = None,
    lake: LakeOption = DEFAULT_LAKE,
) -> None:
    """Write the comparison of two builds as one HTML page, with charts."""
    from exray.lake import Lake

    from .causes import Replay
    from .diagnosis_wording import verdict_sentence
    from .page import make_page, page_html
    from .page.vega import vega_script

    vega_script()  # rather a missing extra now than after the queries
    _check_writable(html)
    replay = Replay(
        inputs=inputs,
        edge_model=edge_model,
        reference_model=reference_model,
        preprocess=preprocess,
    )
    found = make_page(
        Lake.open(lake),
        edge,
        reference,
        is_diagnosed=diagnose or baseline is not None or replay != Replay(),
        baseline=baseline,
        model=model,
        device=device,
        kernels=kernels,
        replay=replay,
    )
    _write(html, page_html(found))
    diagnosis = found.diagnosis
    print(verdict_sentence(diagnosis) if diagnosis else found.finding.sentence)
    print(html)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where to put lake and report.")] = Path(
        "exray-demo"
    ),
) -> None:
    """Find a planted preprocessing bug: an int8 pipeline against its reference."""
    from .demo import run_demo

    run_demo(folder)


def _compare(
    lake: Path,
    edge: str,
    reference: str,
    model: str | None,
    device: str | None,
    kernels: str | None,
) -> "Comparison":
    from exray.lake import Lake

    from .compare import compare as compare_runs

    opened = Lake.open(lake)
    return compare_runs(opened, edge, reference, model=model, device=device, kernels=kernels)


def _check_writable(path: Path) -> None:
    if path.is_dir():
        raise _unwritable(path, EISDIR)
    if not path.parent.is_dir():
        raise _unwritable(path, ENOENT)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise _unwritable(path, EACCES)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise _unwritable(path, error.errno or 0) from error


def _unwritable(path: Path, reason: int) -> "UsageError":
    from exray.schema.errors import UsageError

    return UsageError(
        f"report '{path}' cannot be written: {os.strerror(reason)}. Choose another --html FILE."
    )
