"""``exray diagnose``."""

import json
from pathlib import Path
from typing import Annotated

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

app = typer.Typer()


@app.command()
def diagnose(
    edge: EdgeOption,
    reference: ReferenceOption,
    baseline: BaselineOption = None,
    inputs: InputsOption = None,
    edge_model: EdgeModelOption = None,
    reference_model: ReferenceModelOption = None,
    preprocess: PreprocessOption = None,
    assertions: Annotated[
        list[Path] | None,
        typer.Option(help="Checks of your own: .py and .sql files, or folders of them."),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    kernels: KernelsOption = None,
    lake: LakeOption = DEFAULT_LAKE,
    as_json: JsonOption = False,
    repro: Annotated[
        Path | None,
        typer.Option(help="Folder for the operator at fault alone: .tflite, .npz and a script."),
    ] = None,
) -> None:
    """Say why two builds part, and what to do about it."""
    from exray.lake import Lake

    from .assertions import finder_of, load_assertions
    from .causes import Replay
    from .diagnose import diagnose as diagnose_runs
    from .finders import FINDERS

    replay = Replay(
        inputs=inputs,
        edge_model=edge_model,
        reference_model=reference_model,
        preprocess=preprocess,
    )
    own = [finder_of(load_assertions(assertions))] if assertions else []
    diagnosis = diagnose_runs(
        Lake.open(lake),
        edge,
        reference,
        baseline=baseline,
        model=model,
        device=device,
        kernels=kernels,
        replay=replay,
        finders=(*FINDERS, *own),
    )
    if repro is not None:
        from .layers.repro import write_repro

        for path in write_repro(diagnosis, replay, repro):
            typer.echo(f"wrote {path}", err=True)
    if as_json:
        print(json.dumps(diagnosis.to_json(), allow_nan=False))
        return
    from .diagnosis_terminal import print_diagnosis

    print_diagnosis(diagnosis)
