"""The native probe on every real network: same bits out, every operator seen once."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exray.instrumentation.graph import read_tflite
from exray.instrumentation.native_library import native_library
from exray.schema.errors import ModelError
from exray.schema.identity import tensor_hash
from exray.schema.records import InferenceRecord
from exray.testing import MemorySink, recording

from .builders import Array, litert

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(
        native_library().handle is None, reason=f"no native library: {native_library().reason}"
    ),
]

KERNELS = ("AUTO", "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "BUILTIN_REF")

_DATA = os.environ.get("EXRAY_TEST_DATA", "")
NETWORKS = (
    sorted(str(path.relative_to(_DATA)) for path in Path(_DATA).rglob("*.tflite")) if _DATA else []
)

SLOW_BYTES = 20_000_000
"""Reference kernels take seconds for an inference of larger files."""


def make_inputs(interpreter: Any) -> dict[int, Array]:
    """Return an array for each input, in the range of its type."""
    rng = np.random.default_rng(0)
    inputs: dict[int, Array] = {}
    for detail in interpreter.get_input_details():
        dtype, shape = np.dtype(detail["dtype"]), tuple(detail["shape"])
        if dtype.kind == "f":
            inputs[detail["index"]] = rng.random(shape).astype(dtype)
        elif dtype.kind == "b":
            inputs[detail["index"]] = np.zeros(shape, dtype)
        elif dtype.kind in "iu":
            high = 255 if dtype == np.uint8 else 100
            low = -128 if dtype == np.int8 else 0
            inputs[detail["index"]] = rng.integers(low, high, shape).astype(dtype)
        else:
            pytest.skip(f"inputs of type {dtype}")
    return inputs


def compute(interpreter: Any, inputs: dict[int, Array]) -> list[bytes]:
    """Run the interpreter twice, so that state shows, and return all outputs' bytes."""
    results: list[bytes] = []
    for _ in range(2):
        for index, value in inputs.items():
            interpreter.set_tensor(index, value)
        interpreter.invoke()
        results += [
            interpreter.get_tensor(detail["index"]).tobytes()
            for detail in interpreter.get_output_details()
        ]
    return results


def make(path: Path, kernels: str) -> Any:
    module = litert()
    try:
        interpreter = module.Interpreter(
            str(path), experimental_op_resolver_type=module.OpResolverType[kernels], num_threads=1
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        pytest.skip(f"the runtime itself refuses it: {str(error).splitlines()[0][:80]}")
    return interpreter


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("network", NETWORKS)
def test_outputs_are_the_same_bits_and_every_operator_is_seen_once(
    network: str, kernels: str
) -> None:
    path = Path(_DATA, network)
    if kernels == "BUILTIN_REF" and path.stat().st_size > SLOW_BYTES:
        pytest.skip("reference kernels take too long")
    plain = make(path, kernels)
    inputs = make_inputs(plain)
    expected = compute(plain, inputs)
    sink = MemorySink()
    with recording(sink):
        outputs = compute(make(path, kernels), inputs)

    assert outputs == expected
    for frame in sink.frames:
        check_layers(frame.inferences[0], path)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_fused_interpreter_gives_the_same_bits_at_every_level(network: str) -> None:
    """As an application's own: XNNPACK's times at latency, a repetition at summary."""
    path = Path(_DATA, network)
    plain = make(path, "AUTO")
    inputs = make_inputs(plain)
    expected = compute(plain, inputs)
    latency, summary = MemorySink(), MemorySink()
    with recording(latency, level="latency"):
        interpreter = make(path, "AUTO")
        assert compute(interpreter, inputs) == expected
    with recording(summary):
        again = compute(interpreter, inputs)
    if again != expected:  # then by its own state, which a plain one keeps too
        assert compute(plain, inputs) == again
    first, second = latency.frames  # one that Python records, one that the probe alone does
    assert first.inferences[0].layers is not None
    assert second.inferences[0].layers is not None
    assert second.input_id == first.input_id
    second_output = np.frombuffer(expected[len(expected) // 2], np.uint8)
    assert second.output_hash == tensor_hash(second_output)
    if again == expected:
        check_layers(summary.frames[-1].inferences[0], path)


def check_layers(inference: InferenceRecord, path: Path) -> None:
    """Every layer of the primary subgraph has one row, but for those that a runtime skips."""
    graph = read_tflite(path, model_name=path.stem, sha256="").graph
    wanted = [op for op in graph.ops if op.subgraph_index == 0 and op.excluded_reason is None]
    assert inference.layers is not None
    sites = [inference.layers.sites[number] for number in inference.layers.rows["site"].tolist()]
    seen = [site.layer_index for site in sites if site.subgraph_index == 0]
    assert len(seen) == len(set(seen))
    missing = {op.layer_index for op in wanted} - set(seen)
    assert missing == set(), [op for op in wanted if op.layer_index in missing][:3]
    assert all(site.timing == "probe" for site in sites)
    assert (inference.layers.rows["dur_ns"] >= 0).all()


def test_there_are_networks_to_try(data: Path) -> None:
    assert len(NETWORKS) > 15
    with pytest.raises(ModelError):
        read_tflite(data / "README.md", model_name="", sha256="")
