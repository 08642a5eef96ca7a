"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

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
BaselineOption = Annotated[
    str | None, typer.Option(help="The edge's previous build, against which it is judged too.")
]
InputsOption = Annotated[
    Path | None, typer.Option(help="Inputs to replay: a folder, or an .npz file.")
]
EdgeModelOption = Annotated[Path | None, typer.Option(help="The edge's model file.")]
ReferenceModelOption = Annotated[Path | None, typer.Option(help="The reference's model file.")]
PreprocessOption = Annotated[
    Path | None, typer.Option(help="Declared preprocessing of the reference.")
]
