"""Options of every command that has a lake."""

from pathlib import Path
from typing import Annotated

import typer

LakeOption = Annotated[
    Path, typer.Option(envvar="EXRAY_LAKE", help="Folder of the lake.", metavar="DIR")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DEFAULT_LAKE = Path("lake")
