"""Arguments and options of what plays recorded inputs."""

from pathlib import Path
from typing import Annotated

import typer

from .limits import MAX_THREADS

ModelArgument = Annotated[
    Path,
    typer.Argument(help="A .tflite, .onnx, .keras or .h5 file, or a SavedModel.", metavar="MODEL"),
]
InputsOption = Annotated[
    str,
    typer.Option(
        help="Folder of images, .wav or .txt files; an .npz file; a CSV with a column 'text'.",
        metavar="DIR|NPZ|CSV",
    ),
]
BuildOption = Annotated[
    str, typer.Option(help="Name of the build, as 'compare' will take it.", metavar="NAME")
]
RoleOption = Annotated[
    str, typer.Option(help="Which side of a comparison it is.", metavar="edge|reference")
]
LabelsOption = Annotated[
    str | None,
    typer.Option(
        help="True class of each input; or COCO annotations of boxes; or a folder of masks.",
        metavar="CSV[:COLUMN]|JSON|DIR",
    ),
]
LabelOffsetOption = Annotated[
    int, typer.Option(help="Added to each label.", metavar="N", show_default=False)
]
PreprocessOption = Annotated[
    Path | None, typer.Option(help="Declared preprocessing.", metavar="SPEC.yaml")
]
KernelsOption = Annotated[
    str | None,
    typer.Option(
        help="Of a .tflite model: xnnpack (the default), builtin or reference.", metavar="FAMILY"
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(min=1, max=MAX_THREADS, help="Threads of a .tflite or .onnx model.", metavar="N"),
]
LevelOption = Annotated[
    str,
    typer.Option(help="How much is recorded.", metavar="off|latency|summary|distribution|full"),
]
LayersOption = Annotated[
    str | None,
    typer.Option(
        help="Which layers are summarised: 'conv*', 'op:CONV_2D', '0-5', joined with commas, "
        "each with '=LEVEL' if need be; 'none': inputs and outputs alone.",
        metavar="SELECTORS",
    ),
]
PrivacyOption = Annotated[
    str | None,
    typer.Option(
        help="Whether inputs may be rebuilt from what is recorded: open (the default) or "
        "closed, as in an application. EXRAY_PRIVACY sets it too; EXRAY_FLEET_SECRET keys "
        "names and hashes, so that they pair with those of devices that have it.",
        metavar="open|closed",
    ),
]
LimitOption = Annotated[
    int | None, typer.Option(min=1, help="Use the first N inputs.", metavar="N")
]
