"""``exray compare``, ``exray report`` and ``exray demo``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from .comparison import Comparison

app = typer.Typer()

EdgeOption = Annotated[str, typer.Option(help="Build, or run id by its beginning.")]
ReferenceOption = Annotated[str, typer.Option(help="Build, or run id by its beginning.")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        help="Model, where a build has several; 'A,B': A for the edge, B for the reference."
    ),
]
DeviceOption = Annotated[
    str | None, typer.Option(help="Device, where a build has several; 'A,B' likewise.")
]
KernelsOption = Annotated[
    str | None, typer.Option(help="Kernel family, where a build has several; 'A,B' likewise.")
]
LakeOption = Annotated[Path, typer.Option(envvar="EXRAY_LAKE", help="Folder of the lake.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DEFAULT_LAKE = Path("lake")


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
    model: ModelOption = None,
    device: DeviceOption = None,
    kernels: KernelsOption = None,
    lake: LakeOption = DEFAULT_LAKE,
) -> None:
    """Write the comparison of two builds as one HTML page."""
    from .html import html_report
    from .verdict import judge

    comparison = _compare(lake, edge, reference, model, device, kernels)
    _write(html, html_report(comparison))
    print(judge(comparison).sentence)
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


def _write(path: Path, text: str) -> None:
    from exray.schema.errors import UsageError

    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        msg = f"report '{path}' cannot be written: {error.strerror}. Choose another --html FILE."
        raise UsageError(msg) from error
