"""A second session of the same model, whose outputs are all of its layers' tensors.

A session gives the outputs that its file declares, and no others. So a frame that was drawn
is repeated on a session of a changed file: the same operators, each tensor an output. What
is an output cannot be fused away, so every layer exists there, on the same kernels but for
what they fuse: the two round differently in the last bits, more where a quantized group
falls apart. The application keeps its own session and what that computed.
"""

import importlib
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from .capture import Array
from .guard import error_text, log_once
from .onnx_file import OnnxTensor, parse_onnx
from .onnx_identity import OnnxModelFile
from .patching import untraced

SAME_OUTPUT = 0.02
"""Relative distance (34 dB) up to which two outputs are one model's on one input: other fusion
changes an int8 model's by a step here and there, chance and state change it altogether."""

MOST_BYTES = 256 * 1024**2
"""Tensors that one repetition gives at once; where there are more, it takes several."""

_OPTIONS = (
    "enable_cpu_mem_arena",
    "enable_mem_pattern",
    "enable_mem_reuse",
    "execution_mode",
    "execution_order",
    "graph_optimization_level",
    "inter_op_num_threads",
    "intra_op_num_threads",
    "use_deterministic_compute",
)
"""Options of a session that choose kernels or their order."""

_ENTRIES = (
    "ep.dynamic.workload_type",
    "mlas.disable_kleidiai",
    "mlas.enable_gemm_fastmath_arm64_bfloat16",
    "mlas.use_lut_gemm",
    "optimization.disable_specified_optimizers",
    "optimization.enable_cast_chain_elimination",
    "optimization.enable_gelu_approximation",
    "session.disable_aot_function_inlining",
    "session.disable_double_qdq_remover",
    "session.disable_prepacking",
    "session.disable_qdq_constant_folding",
    "session.disable_quant_qdq",
    "session.enable_dq_matmulnbits_fusion",
    "session.enable_quant_qdq_cleanup",
    "session.intra_op_thread_affinities",
    "session.qdq_matmulnbits_accuracy_level",
    "session.qdq_matmulnbits_block_size",
    "session.qdqisint8allowed",
    "session.set_denormal_as_zero",
)
"""Configuration entries of a session that do: a session lists none, and is asked for each."""

_QUIET = 4
"""Log severity at which only what ends the process is said."""


class SessionMaker:
    """Makes sessions like one of the application's, which stays as it is.

    Args:
        session: Read here, and not held.
        disabled_optimizers: What its constructor was given under that name.
    """

    def __init__(self, session: Any, disabled_optimizers: Any = None) -> None:
        options = session.get_session_options()
        self._options = {
            name: getattr(options, name) for name in _OPTIONS if hasattr(options, name)
        }
        self._entries: dict[str, str] = {}
        for key in _ENTRIES:
            try:
                self._entries[key] = options.get_session_config_entry(key)
            except Exception:  # noqa: BLE001, S112 - that is how it says that there is none
                continue
        settings: Mapping[str, Mapping[str, str]] = session.get_provider_options()
        self._providers = [(name, dict(settings.get(name, {}))) for name in session.get_providers()]
        self._disabled = disabled_optimizers

    def options(self) -> Any:
        """Return new options with the same choice of kernels, threads that do not spin, no log."""
        options = importlib.import_module("onnxruntime").SessionOptions()
        for name, value in self._options.items():
            setattr(options, name, value)
        for key, value in self._entries.items():
            options.add_session_config_entry(key, value)
        # Threads that wait for work by spinning would take the application's processors.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = _QUIET
        return options

    def make(self, content: bytes, options: Any, file: OnnxModelFile) -> Any:
        """Return a session of *content*, untraced; *file* says where its weights lie."""
        if file.folder is not None:
            key = "session.model_external_initializers_file_folder_path"
            options.add_session_config_entry(key, str(file.folder))
        more = {} if self._disabled is None else {"disabled_optimizers": self._disabled}
        with untraced():
            return importlib.import_module("onnxruntime").InferenceSession(
                content, options, providers=self._providers, enable_fallback=0, **more
            )


class TensorShadow:
    """The second session of one model; made when it is first needed.

    Args:
        maker: Makes it like the application's.
        file: The model.
    """

    def __init__(self, maker: SessionMaker, file: OnnxModelFile) -> None:
        self._maker, self._file = maker, file
        self._lock = threading.Lock()
        self._session: Any = None
        self._pid = os.getpid()
        self._is_given_up = False

    def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Mapping[str, Array],
        wanted: Sequence[OnnxTensor],
    ) -> Mapping[str, Array]:
        """Repeat an execution and return the tensors of its layers.

        Args:
            inputs: What the application fed, by name.
            outputs: What its session made of it, by name.
            wanted: The tensors.

        Returns:
            By name; nothing where the model cannot be repeated.
        """
        if is_forked(self._pid):
            return {}
        with self._lock:
            if self._is_given_up:
                return {}
            try:
                return self._run(inputs, outputs, wanted)
            except Exception as error:  # noqa: BLE001 - the runtime raises errors of many types
                self._session, self._is_given_up = None, True
                log_once(
                    "onnx shadow",
                    f"ONNX Runtime could not repeat a frame ({error_text(error)}): the model's "
                    "inputs, outputs and times are recorded, its layers' tensors are not.",
                )
                return {}

    def _run(
        self,
        inputs: Mapping[str, Array],
        outputs: Mapping[str, Array],
        wanted: Sequence[OnnxTensor],
    ) -> Mapping[str, Array]:
        if self._session is None:
            graph = self._file.graph
            names = [p.tensor.name for group in graph.layers for p in group] if graph else []
            content = with_outputs(self._file.content(), names)
            self._session = self._maker.make(content, self._maker.options(), self._file)
        seen: dict[str, Array] = {}
        checked: Sequence[str] = list(outputs)
        for names in _portions(wanted, next(iter(inputs.values()), None)):
            asked = [*dict.fromkeys([*checked, *names])]
            with untraced():
                got: list[Any] = self._session.run(asked, dict(inputs))
            given = dict(zip(asked, got, strict=True))
            if not all(is_same_output(given[name], outputs[name]) for name in checked):
                self._differ()
                return {}
            checked = ()
            seen |= {name: given[name] for name in names if isinstance(given[name], np.ndarray)}
        return seen

    def _differ(self) -> None:
        self._session, self._is_given_up = None, True
        log_once(
            "onnx shadow differs",
            "a model gave another output when a sampled frame was repeated to summarise its "
            "layers, as one with state or chance in it does, or one whose file has changed: its "
            "inputs, outputs and times are recorded, its layers' tensors are not.",
        )


def is_forked(pid: int) -> bool:
    """Tell whether this is no longer the process that a session was made in.

    A fork copies none of the runtime's threads and whatever locks they held: another session
    made in the child may wait for ever, where the application's own may run.
    """
    if pid == os.getpid():
        return False
    log_once(
        "onnx fork",
        "a session made before a fork runs in the child: its inputs, outputs and times are "
        "recorded, its layers are not. Make the session in the child.",
    )
    return True


def with_outputs(content: bytes, names: Sequence[str]) -> bytes:
    """Return a model file with more outputs.

    Args:
        content: The file's bytes.
        names: Tensors of its main graph.
    """
    model = parse_onnx(content, name="")
    output = model.graph.output
    known = {value.name for value in output}
    for name in dict.fromkeys(names):
        if name not in known:
            output.add().name = name  # without a type: the runtime infers it
    changed: bytes = model.SerializeToString()
    return changed


def _portions(wanted: Sequence[OnnxTensor], first: Array | None) -> list[list[str]]:
    """Return the names in portions whose tensors fit into memory together; one at least."""
    batch = first.shape[0] if first is not None and first.ndim else 1
    portions: list[list[str]] = [[]]
    taken = 0
    for tensor in wanted:
        taken += tensor.size_bytes * max(batch, 1)
        if taken > MOST_BYTES and portions[-1]:
            portions.append([])
            taken = tensor.size_bytes * max(batch, 1)
        portions[-1].append(tensor.name)
    return portions


def is_same_output(ours: Any, theirs: Any) -> bool:
    """Tell whether two outputs are one model's on one input, but for rounding.

    Args:
        ours: Any shape and dtype; what is no array has nothing to tell.
        theirs: The same.
    """
    if not isinstance(ours, np.ndarray) or not isinstance(theirs, np.ndarray):
        return True
    left, right = cast("Array", ours), cast("Array", theirs)
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if left.dtype.kind not in "fiu":
        return bool(np.array_equal(left, right))
    x, y = left.astype(np.float64), right.astype(np.float64)
    finite = np.isfinite(x) & np.isfinite(y)
    if not np.array_equal(x[~finite], y[~finite], equal_nan=True):
        return False
    gap = np.linalg.norm((x - y)[finite])
    step = 1.0 if left.dtype.itemsize == 1 and left.dtype.kind in "iu" else 0.0
    size = np.linalg.norm(y[finite])
    return bool(gap <= max(SAME_OUTPUT * size, step * np.sqrt(x.size)))
