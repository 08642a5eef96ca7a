"""Which model an ONNX Runtime session runs, and by which kernels."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .guard import guard
from .onnx_file import file_from_proto, parse_onnx
from .onnx_graph import OnnxGraph, onnx_graph

ONNX_RUNTIME = "onnxruntime"
"""Name of the runtime, which is that of its package."""

CPU = "CPUExecutionProvider"
"""The provider that every session falls back on."""


@dataclass(frozen=True, slots=True)
class OnnxModelFile:
    """A model file, read when its session is made: later it may be another.

    Args:
        source: Its path, or its bytes, which the session holds too.
        sha256: Of the file, and of the files beside it that hold its weights; hex.
        graph: None where it cannot be read as a graph; its hash still names it.
    """

    source: Path | bytes
    name: str
    sha256: str
    graph: OnnxGraph | None

    def content(self) -> bytes:
        """Return the file's bytes as they are now.

        Raises:
            OSError: The file cannot be read any more.
        """
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()

    @property
    def folder(self) -> Path | None:
        """The folder in which the model's other files lie, None for a model of bytes."""
        return None if isinstance(self.source, bytes) else self.source.resolve().parent


def onnx_model_file(source: str | os.PathLike[str] | bytes | None) -> OnnxModelFile | None:
    """Read a model file.

    Args:
        source: Its path, or its bytes; None where neither is known.
    """
    if not source:
        return None
    kept = source if isinstance(source, bytes) else Path(source)
    content = kept if isinstance(kept, bytes) else kept.read_bytes()
    digest, model, graph = hashlib.sha256(content), None, None
    folder = None if isinstance(kept, bytes) else kept.resolve().parent
    with guard("read an ONNX model"):
        model = parse_onnx(content, name="model" if folder is None else str(kept))
        for path in _weight_files(model, folder):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    sha256 = digest.hexdigest()
    name = f"model-{sha256[:8]}" if isinstance(kept, bytes) else kept.stem
    if model is not None:
        with guard("read a model's graph"):
            graph = onnx_graph(file_from_proto(model), model_name=name, sha256=sha256)
    return OnnxModelFile(kept, name, sha256, graph)


def _weight_files(model: Any, folder: Path | None) -> Iterator[Path]:
    """Yield the files beside the model that hold weights, each once, in the order of use."""
    names = dict.fromkeys(
        str(entry.value)
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    )
    if folder is not None:
        yield from (folder / name for name in names if (folder / name).is_file())


def kernels_of(providers: Sequence[str]) -> str:
    """Return the kernel family: the execution provider that is asked first.

    >>> kernels_of(["CUDAExecutionProvider", "CPUExecutionProvider"])
    'cuda'
    """
    first = next(iter(providers), CPU)
    return first.removesuffix("ExecutionProvider").lower()


def delegate_of(providers: Sequence[str]) -> str | None:
    """Return the execution providers beside the CPU's, None without any."""
    return ",".join(name for name in providers if name != CPU) or None


def digest_of_session(session: Any) -> str:
    """Return a digest of a model's inputs and outputs, where its file is unknown."""
    edge = [*session.get_inputs(), *session.get_outputs()]
    text = repr([(arg.name, arg.type, list(arg.shape or ())) for arg in edge])
    return hashlib.sha256(text.encode()).hexdigest()
