"""``exray fix``."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from exray.diagnosis.options import (
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

app = typer.Typer()

EXIT_CODES = {"repaired": 0, "unhelped": 1, "unjudged": 2}
EXIT_UNJUDGED, EXIT_USAGE = 2, 64


@app.command()
def fix(
    edge: EdgeOption,
    reference: ReferenceOption,
    edge_model: Annotated[Path, typer.Option(help="The edge's model file.")],
    inputs: Annotated[Path, typer.Option(help="Recorded inputs: a folder, an .npz or a CSV.")],
    preprocess: Annotated[
        Path | None,
        typer.Option(help="The edge's preprocessing, as it was recorded.", metavar="SPEC.yaml"),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="True class of each input.", metavar="CSV[:COLUMN]")
    ] = None,
    label_offset: Annotated[
        int, typer.Option(help="Added to each label.", metavar="N", show_default=False)
    ] = 0,
    out: Annotated[
        Path, typer.Option(help="New folder for the patch and its evidence.", metavar="DIR")
    ] = Path("exray-fix"),
    reference_model: Annotated[
        Path | None,
        typer.Option(help="The reference's model file, to take weights and ranges from."),
    ] = None,
    reference_preprocess: Annotated[
        Path | None,
        typer.Option(
            help="The reference's preprocessing, if the lake does not know it.",
            metavar="SPEC.yaml",
        ),
    ] = None,
    baseline: BaselineOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    kernels: KernelsOption = None,
    lake: LakeOption = DEFAULT_LAKE,
    as_json: JsonOption = False,
) -> None:
    """Mend what a diagnosis names: exit 0 repaired, 1 nothing helped, 2 could not judge, 64 usage.

    The fix is chosen on one half of the inputs and judged on the other, by paired tests.
    """
    from exray.lake import Lake
    from exray.playback.progress import show_progress
    from exray.schema.errors import ExrayError, UsageError, error_lines

    from .patch import check_out, evidence, write_patch
    from .report import print_outcome_of
    from .request import Request
    from .search import repair

    try:
        check_out(out)
        request = Request(
            lake=Lake.open(lake),
            edge=edge,
            reference=reference,
            baseline=baseline,
            edge_model=edge_model,
            inputs=inputs,
            labels=labels,
            label_offset=label_offset,
            preprocess=preprocess,
            reference_model=reference_model,
            reference_preprocess=reference_preprocess,
            chosen={"model": model, "device": device, "kernels": kernels},
        )
        with tempfile.TemporaryDirectory(prefix="exray-fix-") as scratch:
            outcome = repair(request, Path(scratch), show_progress)
            files: list[Path] = []
            if outcome.verdict == "repaired":
                files = write_patch(outcome, out, preprocess)
    except ExrayError as error:
        print(*error_lines(error), sep="\n", file=sys.stderr)
        code = EXIT_USAGE if isinstance(error, UsageError) else EXIT_UNJUDGED
        raise typer.Exit(code) from error
    if as_json:
        document = evidence(outcome, [str(file) for file in files])
        print(json.dumps(document, allow_nan=False))
    else:
        print_outcome_of(outcome)
        for file in files:
            print(file)
    raise typer.Exit(EXIT_CODES[outcome.verdict])
