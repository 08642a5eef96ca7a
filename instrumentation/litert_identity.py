"""Which model an interpreter runs, in which runtime, by which kernels."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from exray.schema.records import LayerSite

from .environment import package_version
from .graph import TfliteGraph, read_tflite
from .guard import guard
from .native_library import LIBRARY_PATH
from .tflite_file import Content

KERNELS = {
    "AUTO": "xnnpack",
    "BUILTIN": "xnnpack",
    "BUILTIN_REF": "reference",
    "BUILTIN_WITHOUT_DEFAULT_DELEGATES": "builtin",
}
"""Kernel family by the name of the op resolver: the default resolver applies XNNPACK."""

UNKNOWN = "unknown"
"""Name or kernels of what an interpreter that exists already does not tell."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file, read when its interpreter is made: later it may be another.

    Args:
        graph: None where the file cannot be read as a graph; its hash still names it.
        layers: The operators of the primary subgraph.
    """

    name: str
    sha256: str
    graph: TfliteGraph | None
    layers: tuple[LayerSite, ...]


def model_file(content: str | os.PathLike[str] | bytes | None) -> ModelFile | None:
    """Read a model file.

    Args:
        content: Its path, or its bytes; None where neither is known.
    """
    if not content:
        return None
    if isinstance(content, bytes):
        return _described(content, "")
    path = Path(content)
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return _described(b"", path.stem)
        # Mapped, as the runtime maps it: reading it would leave its size on the heap.
        with mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
            return _described(mapped, path.stem)


def _described(content: Content, name: str) -> ModelFile:
    sha256 = hashlib.sha256(content).hexdigest()
    name = name or f"model-{sha256[:8]}"
    graph: TfliteGraph | None = None
    with guard("read a model's graph"):
        graph = read_tflite(content, model_name=name, sha256=sha256)
    ops = graph.graph.ops if graph is not None else ()
    layers = tuple(
        LayerSite(op.layer_index, op.layer_name, op.op) for op in ops if op.subgraph_index == 0
    )
    return ModelFile(name, sha256, graph, layers)


def runtime_of(kind: type) -> tuple[str, str]:
    """Return name and version of the runtime that a class of interpreter belongs to."""
    for base in kind.__mro__:
        if base.__module__.startswith("ai_edge_litert."):
            return "litert", package_version("ai-edge-litert")
        if base.__module__.startswith("tensorflow."):
            return "tf.lite", package_version("tensorflow")
    return kind.__module__, ""


def kernels_from_options(options: Mapping[str, Any]) -> str:
    """Return the kernel family that the constructor's arguments choose."""
    resolver = options.get("experimental_op_resolver_type")
    return KERNELS.get(getattr(resolver, "name", "AUTO"), UNKNOWN)


def kernels_from_operators(interpreter: Any) -> str:
    """Return the kernel family of an interpreter whose construction nobody saw.

    A node of a delegate that the application did not bring is the default one's. Without
    one, nothing tells builtin from reference kernels.
    """
    if getattr(interpreter, "_delegates", None):
        return UNKNOWN
    names = {str(op["op_name"]) for op in interpreter._get_ops_details()}
    return KERNELS["AUTO"] if "DELEGATE" in names else UNKNOWN


def delegate_names(delegates: Sequence[Any] | None) -> str | None:
    """Return the file names of the delegates' libraries, None without a delegate."""
    if not delegates:
        return None
    libraries = [str(getattr(getattr(d, "_library", None), "_name", "?")) for d in delegates]
    names = [Path(library).name for library in libraries]
    return ",".join(name for name in names if name != LIBRARY_PATH.name) or None


def digest_of_details(details: Sequence[Mapping[str, Any]]) -> str:
    """Return a digest of a model's inputs and outputs, where its file is unknown."""
    text = repr(
        [(d["name"], [int(n) for n in d["shape_signature"]], str(d["dtype"])) for d in details]
    )
    return hashlib.sha256(text.encode()).hexdigest()
