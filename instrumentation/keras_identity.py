"""Which Keras model it is that runs: by its file, else by its structure and weights."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from exray.schema.identity import file_sha256

from .keras_graph import keras_graph


def format_of(path: Path | None) -> str:
    """Name the format of a model's file; a model without one counts as ``keras``."""
    if path is None:
        return "keras"
    return "saved_model" if path.is_dir() else path.suffix.lstrip(".").lower()


def digest_of_path(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's files by name and content.

    Raises:
        OSError: The file cannot be read.
    """
    if not path.is_dir():
        return file_sha256(path)
    digest = hashlib.sha256()
    for file in sorted(found for found in path.rglob("*") if found.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\n{file_sha256(file)}\n".encode())
    return digest.hexdigest()


def digest_of_model(model: Any) -> str:
    """Return a SHA-256 of a built model's structure and weights, where its file is unknown.

    A model that was saved and loaded has the digest that it had. One that was made anew
    has another if Keras numbered its layers' names otherwise.
    """
    digest = hashlib.sha256()
    for op in keras_graph(model, model_name="", sha256="").ops:
        settings = json.dumps(op.attributes, sort_keys=True)
        digest.update(f"{op.layer_name} {op.op} {op.parents} {op.output_shapes}\n".encode())
        digest.update(f"{settings}\n".encode())
    for weight in model.weights:
        array = np.asarray(weight.value)  # numpy 2 warns of Keras' variable itself
        digest.update(f"{array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
