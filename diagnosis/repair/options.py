"""Files that a repair takes, as options."""

from pathlib import Path
from typing import Annotated

import typer

EdgeModelOption = Annotated[Path, typer.Option(help="The edge's model file.")]
InputsOption = Annotated[Path, typer.Option(help="Recorded inputs: a folder, an .npz or a CSV.")]
PreprocessOption = Annotated[
    Path | None,
    typer.Option(help="The edge's preprocessing, as it was recorded.", metavar="SPEC.yaml"),
]
LabelsOption = Annotated[
    str | None, typer.Option(help="True class of each input.", metavar="CSV[:COLUMN]")
]
OutOption = Annotated[
    Path, typer.Option(help="New folder for the patch and its evidence.", metavar="DIR")
]
ReferenceModelOption = Annotated[
    Path | None,
    typer.Option(help="The reference's model file, to take weights and ranges from."),
]
ReferencePreprocessOption = Annotated[
    Path | None,
    typer.Option(
        help="The reference's preprocessing, if the lake does not know it.", metavar="SPEC.yaml"
    ),
]
