"""``exray fix``."""

import json
import sys
import tempfile
from pathlib import Path

import typer

from exray.diagnosis.options import (
    BaselineOption,
    DeviceOption,
    EdgeOption,
    KernelsOption,
    ModelOption,
    ReferenceOption,
)
from exray.options import DEFAULT_LAKE, JsonOption, LakeOption
from exray.playback.options import LabelOffsetOption

from .options import (
    EdgeModelOption,
    InputsOption,
    LabelsOption,
    OutOption,
    PreprocessOption,
    ReferenceModelOption,
    ReferencePreprocessOption,
)

app = typer.Typer()

EXIT_CODES = {"repaired": 0, "unhelped": 1, "unjudged": 2}
EXIT_UNJUDGED, EXIT_USAGE = 2, 64


@app.command()
def fix(
    edge: EdgeOption,
    reference: ReferenceOption,
    edge_model: EdgeModelOption,
    inputs: InputsOption,
    preprocess: PreprocessOption = None,
    labels: LabelsOption = None,
    label_offset: LabelOffsetOption = 0,
    out: OutOption = Path("exray-fix"),
    reference_model: ReferenceModelOption = None,
    reference_preprocess: ReferencePreprocessOption = None,
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
