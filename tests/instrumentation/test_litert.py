import gc
import hashlib
import logging
import shutil
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash

import exray
from exray.instrumentation import litert
from exray.instrumentation.api import run_of
from exray.instrumentation.capture import TensorRecorder, span_id_int
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.litert import quantization_from_details
from exray.instrumentation.native_library import native_library
from exray.instrumentation.patching import untraced
from exray.schema.identity import tensor_hash
from exray.schema.quantization import dequantize
from exray.schema.records import Quantization, Run, TensorSite
from exray.testing import MemorySink, recording

from .builders import (
    FLOAT,
    INT8,
    SPLIT,
    TINY_LAYERS,
    make_input,
    make_interpreter,
    needs_native,
    raising,
    run,
    seen_tensors,
)
from .builders import (
    litert as litert_runtime,
)

litert_module = litert_runtime()

RESOLVERS = ["AUTO", "BUILTIN", "BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"]


def resolver(name: str) -> Any:
    return litert_module.OpResolverType[name]


def dtype_of(model: Path) -> type:
    return np.int8 if model == INT8 else np.float32


def recorded_run(model: Path = FLOAT, **options: Any) -> Run:
    sink = MemorySink()
    with recording(sink):
        run(make_interpreter(model, **options), make_input(dtype=dtype_of(model)))
    (found,) = sink.runs.values()
    return found


# --- what the application gets ----------------------------------------------------------


@pytest.mark.parametrize("name", RESOLVERS)
@pytest.mark.parametrize("model", [FLOAT, INT8])
@pytest.mark.parametrize("level", ["latency", "summary"])
def test_outputs_are_those_of_an_uninstrumented_interpreter_bit_for_bit(
    model: Path, name: str, level: str
) -> None:
    options = {"experimental_op_resolver_type": resolver(name)}
    inputs = [make_input(seed, dtype_of(model)) for seed in range(3)]
    plain = make_interpreter(model, **options)
    expected = [run(plain, value).tobytes() for value in inputs]

    with recording(MemorySink(), level=level):
        traced = make_interpreter(model, **options)
        found = [run(traced, value).tobytes() for value in inputs]

    assert found == expected


def resize(interpreter: Any, batch: int) -> None:
    """Give both inputs of the split model another batch size."""
    for detail in interpreter.get_input_details():
        interpreter.resize_tensor_input(detail["index"], (batch, 4))
    interpreter.allocate_tensors()


def test_the_interpreter_can_do_all_that_it_could() -> None:
    sink = MemorySink()
    with recording(sink):
        interpreter = make_interpreter(SPLIT)
        run(interpreter, np.ones((1, 4), np.float32))
        resize(interpreter, 2)
        interpreter.reset_all_variables()
        assert run(interpreter, np.ones((2, 4), np.float32)).shape == (2, 2)
        interpreter.tensor(interpreter.get_input_details()[0]["index"])().fill(3)
        interpreter.invoke()

    first = [seen_tensors(frame, "input")[0] for frame in sink.frames]
    assert [(site.shape, row["sum"]) for site, row in first] == [
        ((1, 4), 4.0),
        ((2, 4), 8.0),
        ((2, 4), 24.0),
    ]


def test_a_failure_of_exrays_leaves_no_reference_that_would_stop_the_runtime(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    caplog.set_level(logging.DEBUG)  # its handler keeps every record, and what that holds
    with recording(MemorySink()), exray.frame("a"):
        interpreter = make_interpreter(SPLIT)
        interpreter.invoke()
        monkeypatch.setattr(litert, "layout_of", raising(ZeroDivisionError()))
        resize(interpreter, 2)
        interpreter.invoke()
        interpreter.allocate_tensors()

    assert "ZeroDivisionError" in caplog.text


def test_a_view_that_the_application_holds_stops_the_runtime_as_it_always_did() -> None:
    sink = MemorySink()
    with recording(sink):
        interpreter = make_interpreter()
        view = interpreter.tensor(interpreter.get_input_details()[0]["index"])()
        with pytest.raises(RuntimeError, match="at least 1 reference"):
            interpreter.invoke()
        del view
        interpreter.invoke()

    assert [frame.status for frame in sink.frames] == ["error", "unset"]


def test_an_interpreter_without_allocated_tensors_fails_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    with recording(MemorySink()), pytest.raises(RuntimeError, match="not ready"):
        litert_module.Interpreter(str(FLOAT)).invoke()


def test_a_dropped_interpreter_is_gone_at_once() -> None:
    with recording(MemorySink()):
        interpreter = make_interpreter()
        run(interpreter, make_input())
        with exray.frame("a") as frame:
            frame.prediction(run(interpreter, make_input()))
        gone = weakref.ref(interpreter)
        gc.disable()
        try:
            del interpreter
            assert gone() is None
        finally:
            gc.enable()


# --- tensors ----------------------------------------------------------------------------


@pytest.mark.parametrize("model", [FLOAT, INT8])
def test_every_operators_output_is_summarised_as_it_is(model: Path) -> None:
    sink, value = MemorySink(), make_input(3, dtype_of(model))
    with recording(sink):
        run(make_interpreter(model), value)
    with pytest.warns(UserWarning, match="preserve_all_tensors"):
        oracle = make_interpreter(model, experimental_preserve_all_tensors=True)
    run(oracle, value)

    layers = seen_tensors(sink.frames[0], "layer")
    tensors = {d["name"]: d for d in oracle.get_tensor_details()}
    assert [site.layer.op for site, _ in layers if site.layer is not None] == TINY_LAYERS
    for site, row in layers:
        detail = tensors[site.name]
        array = oracle.get_tensor(detail["index"])
        real = dequantize(array, quantization_from_details(detail), np.float64)
        assert row["hash"] == tensor_hash(array)
        assert (row["sum"], row["min"], row["max"]) == pytest.approx(
            (real.sum(), real.min(), real.max()), rel=1e-12, abs=1e-12
        )


def test_without_the_native_library_layers_are_spans_that_have_no_time_of_their_own(
    without_native_library: None,
) -> None:
    sink = MemorySink()
    with recording(sink):
        run(make_interpreter(), make_input())

    (inference,) = sink.frames[0].inferences
    assert inference.layers is not None
    assert [site.op for site in inference.layers.sites] == TINY_LAYERS
    assert {site.timing for site in inference.layers.sites} == {"none"}
    assert inference.layers.rows["dur_ns"].tolist() == [-1] * 5
    assert inference.layers.rows["start_ns"].tolist() == [inference.start_ns] * 5
    rows = [row for _, row in seen_tensors(sink.frames[0], "layer")]
    assert [row["span_id"] for row in rows] == inference.layers.rows["span_id"].tolist()
    assert {row["parent_span_id"] for row in rows} == {span_id_int(inference.span_id)}


def test_each_further_output_of_an_operator_is_a_child_span_of_it() -> None:
    sink = MemorySink()
    with recording(sink):
        interpreter = make_interpreter(SPLIT)
        interpreter.set_tensor(interpreter.get_input_details()[1]["index"], np.zeros((1, 4), "f"))
        run(interpreter, np.array([[1, 2, 3, 4]], np.float32))

    layers = seen_tensors(sink.frames[0], "layer")
    first, second = [
        (site, row) for site, row in layers if site.layer is not None and site.layer.op == "SPLIT"
    ]
    assert (first[0].index, second[0].index) == (0, 1)
    assert second[1]["parent_span_id"] == first[1]["span_id"]
    assert first[1]["dur_ns"] > 0 or native_library().handle is None
    assert second[1]["dur_ns"] == 0
    assert (first[1]["sum"], second[1]["sum"]) == (3.0, 7.0)


def test_all_inputs_and_outputs_are_seen_in_the_models_order() -> None:
    sink = MemorySink()
    left, right = np.array([[1, 2, 3, 4]], np.float32), np.zeros((1, 4), np.float32)
    with recording(sink):
        interpreter = make_interpreter(SPLIT)
        for detail, value in zip(interpreter.get_input_details(), (left, right), strict=True):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        outputs = [d["name"] for d in interpreter.get_output_details()]

    (frame,) = sink.frames
    assert frame.input_id == xxhash.xxh3_64_hexdigest(left.tobytes() + right.tobytes())
    assert [(s.index, r["sum"]) for s, r in seen_tensors(frame, "input")] == [(0, 10.0), (1, 0.0)]
    assert [site.name for site, _ in seen_tensors(frame, "output")] == outputs


def test_without_preserved_tensors_no_intermediate_is_ever_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: Counter[int] = Counter()
    get_tensor = litert_module.Interpreter.get_tensor

    def watch(self: Any, tensor_index: int, subgraph_index: int = 0) -> Any:
        read[tensor_index] += 1
        return get_tensor(self, tensor_index, subgraph_index)

    sink, interpreter = MemorySink(), make_interpreter()
    edge = [*interpreter.get_input_details(), *interpreter.get_output_details()]
    with recording(sink):
        exray.instrument(interpreter, path=FLOAT)
        monkeypatch.setattr(litert_module.Interpreter, "get_tensor", watch)
        interpreter.invoke()

    assert set(read) == {detail["index"] for detail in edge}
    if native_library().handle is None:
        assert sink.frames[0].inferences[0].layers is None
        assert seen_tensors(sink.frames[0], "layer") == []


def test_at_level_latency_tensors_are_neither_preserved_nor_read() -> None:
    sink = MemorySink()
    with recording(sink, level="latency"):
        interpreter = make_interpreter()
        run(interpreter, make_input())

    names = [op["op_name"] for op in interpreter._get_ops_details()]
    assert names.count("DELEGATE") == 1  # one per operator where tensors are preserved
    assert seen_tensors(sink.frames[0]) == []
    assert sink.frames[0].output_hash is not None


@pytest.mark.parametrize("model", [FLOAT, INT8, SPLIT])
def test_names_and_hashes_are_the_same_with_and_without_copies(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seen(level: str) -> tuple[str, int | None]:
        sink = MemorySink()
        with recording(sink, level=level):
            interpreter = make_interpreter(model)
            for detail in interpreter.get_input_details():
                interpreter.set_tensor(detail["index"], np.ones(detail["shape"], detail["dtype"]))
            interpreter.invoke()
            interpreter.invoke()  # no view of the first frame stops it
        assert sink.frames[1].output_hash is not None
        return sink.frames[1].input_id, sink.frames[1].output_hash

    copied = seen("summary")
    assert seen("latency") == copied
    monkeypatch.setattr(litert, "VIEWABLE", frozenset[str]())
    assert seen("latency") == copied


@pytest.mark.parametrize("role", ["input", "output"])
@pytest.mark.parametrize("model", [FLOAT, INT8, SPLIT])
def test_inputs_and_outputs_have_the_same_summary_with_and_without_copies(
    model: Path, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seen() -> list[bytes]:
        sink = MemorySink()
        with recording(sink, level="summary"):
            interpreter = make_interpreter(model)
            for detail in interpreter.get_input_details():
                interpreter.set_tensor(detail["index"], np.ones(detail["shape"], detail["dtype"]))
            interpreter.invoke()
        tensors = sink.frames[0].inferences[0].tensors
        assert tensors is not None
        sites = [i for i, site in enumerate(tensors.sites) if site.role == role]
        assert sites
        rows = tensors.rows[np.isin(tensors.rows["site"], sites)]
        return [rows[name].tobytes() for name in ("hash", "count", "sum", "min", "max", "sketch")]

    in_place = seen()
    monkeypatch.setattr(litert, "VIEWABLE", frozenset[str]())
    assert seen() == in_place


@needs_native
def test_inputs_are_summarised_where_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert.LiteRTModel, "read", raising(AssertionError("a copy of a tensor")))
    sink = MemorySink()
    with recording(sink, level="summary"):
        run(make_interpreter(FLOAT), value := make_input(5))

    ((site, row),) = seen_tensors(sink.frames[0], "input")
    assert (site.role, row["sum"]) == ("input", pytest.approx(value.sum()))
    assert row["span_id"] == span_id_int(sink.frames[0].inferences[0].span_id)
    assert row["dur_ns"] == sink.frames[0].inferences[0].dur_ns


@pytest.mark.parametrize("role", ["input", "output"])
def test_no_view_stays_behind_a_summary_that_fails(
    role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[BaseException] = []
    add = TensorRecorder.add

    def fail(self: TensorRecorder, site: TensorSite, array: Any, *rest: Any) -> None:
        if site.role == role:
            failures.append(MemoryError("no room"))
            raise failures[-1]
        add(self, site, array, *rest)

    monkeypatch.delenv("EXRAY_GUARD")
    forget_logged()
    monkeypatch.setattr(TensorRecorder, "add", fail)
    with recording(MemorySink(), level="summary"):
        interpreter = make_interpreter(FLOAT)
        run(interpreter, make_input(1))
        run(interpreter, make_input(2))  # the errors of the first, kept, do not stop it

    assert len(failures) == 2


def test_tensors_that_are_not_viewable_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        msg = "a view of what shares bytes"
        raise AssertionError(msg)

    sink = MemorySink()
    with recording(sink, level="latency"):
        interpreter = make_interpreter(FLOAT)
        monkeypatch.setattr(litert, "VIEWABLE", litert.VIEWABLE - {"float32"})
        monkeypatch.setattr(type(interpreter), "tensor", refuse)
        interpreter.invoke()

    assert sink.frames[0].output_hash is not None


def test_frames_of_one_interpreter_share_their_sites() -> None:
    sink = MemorySink()
    with recording(sink):
        interpreter = make_interpreter()
        for seed in range(2):
            run(interpreter, make_input(seed))

    first, second = (frame.inferences[0] for frame in sink.frames)
    assert first.tensors is not None
    assert second.tensors is not None
    assert first.layers is not None
    assert second.layers is not None
    assert first.tensors.sites is second.tensors.sites
    assert first.layers.sites is second.layers.sites


def test_the_sites_of_a_model_of_many_shapes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert, "MOST_SITES", 10)
    sink = MemorySink()
    with recording(sink):
        interpreter = make_interpreter(SPLIT)
        for batch in range(1, 5):
            resize(interpreter, batch)
            interpreter.invoke()

    assert [len(seen_tensors(frame)) for frame in sink.frames] == [9] * 4


def test_a_prediction_of_an_int8_model_is_dequantized() -> None:
    sink = MemorySink()
    with recording(sink):
        interpreter = make_interpreter(INT8)
        with exray.frame("a") as frame:
            output = run(interpreter, make_input(1, np.int8))
            frame.prediction(output)

    scores = sink.frames[0].prediction_scores
    assert scores is not None
    assert sink.frames[0].prediction_ids == tuple(np.argsort(-output[0], kind="stable"))
    assert scores[0] == (int(output.max()) + 128) / 256


# --- identity ---------------------------------------------------------------------------


def test_a_run_names_the_model_file_and_the_runtime() -> None:
    found = recorded_run(INT8, num_threads=2)

    assert (found.model_name, found.model_format, found.model_precision) == (
        "tiny_int8",
        "tflite",
        "int8",
    )
    assert found.model_sha256 == hashlib.sha256(INT8.read_bytes()).hexdigest()
    assert (found.runtime_name, found.threads, found.delegate) == ("litert", 2, None)
    assert found.runtime_version
    assert found.init_ns is not None
    assert found.init_ns > 0


@pytest.mark.parametrize(
    ("name", "kernels"),
    list(zip(RESOLVERS, ["xnnpack", "xnnpack", "reference", "builtin"], strict=True)),
)
def test_a_run_names_its_kernels(name: str, kernels: str) -> None:
    assert recorded_run(experimental_op_resolver_type=resolver(name)).kernels == kernels


def test_the_graph_is_written_with_the_run() -> None:
    sink = MemorySink()
    with recording(sink):
        run(make_interpreter(), make_input())

    (graph,) = sink.graphs.values()
    assert [op.op for op in graph.ops] == TINY_LAYERS


def test_a_model_given_as_bytes_is_named_by_its_hash() -> None:
    sink, content = MemorySink(), FLOAT.read_bytes()
    with recording(sink):
        interpreter = litert_module.Interpreter(model_content=content)
        interpreter.allocate_tensors()
        interpreter.invoke()

    (found,) = sink.runs.values()
    sha256 = hashlib.sha256(content).hexdigest()
    assert (found.model_name, found.model_sha256) == (f"model-{sha256[:8]}", sha256)
    assert len(seen_tensors(sink.frames[0], "layer")) == 5


def test_a_file_that_is_replaced_before_the_first_invocation_is_not_taken_for_the_model(
    tmp_path: Path,
) -> None:
    file = tmp_path / "model.tflite"
    shutil.copy(FLOAT, file)
    sink = MemorySink()
    with recording(sink):
        interpreter = make_interpreter(file)
        new = tmp_path / "new"
        shutil.copy(INT8, new)
        new.replace(file)
        run(interpreter, make_input())

    (found,) = sink.runs.values()
    assert found.model_sha256 == hashlib.sha256(FLOAT.read_bytes()).hexdigest()


def test_a_file_without_a_readable_graph_is_still_named_by_its_hash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from exray.instrumentation import litert_identity

    monkeypatch.delenv("EXRAY_GUARD")
    monkeypatch.setattr(litert_identity, "read_tflite", raising(OSError("broken")))
    sink = MemorySink()
    with recording(sink):
        interpreter = make_interpreter(INT8)
        run(interpreter, make_input(dtype=np.int8))

    (found,) = sink.runs.values()
    assert found.model_sha256 == hashlib.sha256(INT8.read_bytes()).hexdigest()
    assert (found.model_name, found.model_precision) == ("tiny_int8", "int8")
    assert len(seen_tensors(sink.frames[0], "input")) == 1


# --- interpreters that exist already ------------------------------------------------------


@needs_native
@pytest.mark.parametrize("kernels", ["AUTO", "BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"])
def test_an_interpreter_that_exists_already_is_traced_layer_by_layer(
    kernels: str, caplog: pytest.LogCaptureFixture
) -> None:
    sink = MemorySink()
    interpreter = make_interpreter(experimental_op_resolver_type=resolver(kernels))
    plain = run(interpreter, make_input())
    with recording(sink):
        exray.instrument(interpreter, path=FLOAT)
        outputs = [run(interpreter, make_input()) for _ in range(3)]

    assert [output.tobytes() for output in outputs] == [plain.tobytes()] * 3
    for frame in sink.frames:
        layers = [site.layer for site, _ in seen_tensors(frame, "layer")]
        assert [layer.op for layer in layers if layer is not None] == TINY_LAYERS
        assert {layer.timing for layer in layers if layer is not None} == {"probe"}
    assert caplog.messages == []


def test_without_the_native_library_one_that_exists_already_is_traced_at_its_edge(
    without_native_library: None, caplog: pytest.LogCaptureFixture
) -> None:
    sink, interpreter = MemorySink(), make_interpreter()
    with recording(sink):
        assert exray.instrument(interpreter, path=FLOAT) is interpreter
        run(interpreter, make_input())

    (frame,) = sink.frames
    assert {site.role for site, _ in seen_tensors(frame)} == {"input", "output"}
    assert frame.run.model_name == "tiny_float"
    assert "preserved=True" in caplog.messages[-1]


def test_one_that_was_constructed_with_preserved_tensors_is_traced_layer_by_layer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.warns(UserWarning, match="preserve_all_tensors"):
        interpreter = make_interpreter(experimental_preserve_all_tensors=True)
    sink = MemorySink()
    with recording(sink):
        exray.instrument(interpreter, path=FLOAT, preserved=True)
        run(interpreter, make_input())

    assert len(seen_tensors(sink.frames[0], "layer")) == 5
    assert caplog.messages == []


def test_without_its_file_it_is_known_by_its_inputs_and_outputs() -> None:
    runs: list[Run] = []
    for model in (FLOAT, FLOAT, INT8):
        sink, interpreter = MemorySink(), make_interpreter(model)
        with recording(sink):
            exray.instrument(interpreter)
            interpreter.invoke()
        runs += sink.runs.values()

    assert [(r.model_name, r.model_precision) for r in runs] == [
        ("unknown", "float32"),
        ("unknown", "float32"),
        ("unknown", "int8"),
    ]
    assert runs[0].model_sha256 == runs[1].model_sha256 != runs[2].model_sha256


@pytest.mark.parametrize("auto", [True, False])
def test_the_way_to_its_layers_and_its_name_is_logged(
    caplog: pytest.LogCaptureFixture, auto: bool
) -> None:
    interpreter = make_interpreter()
    with recording(MemorySink(), auto=auto):
        exray.instrument(interpreter)

    (message,) = caplog.messages
    assert ("construct it after exray.configure()" in message) == auto
    assert message.endswith("Without path= its model is recorded as 'unknown'.")


@pytest.mark.parametrize(("name", "kernels"), [("AUTO", "xnnpack"), ("BUILTIN_REF", "unknown")])
def test_the_kernels_of_one_that_exists_already_are_told_only_as_far_as_it_tells(
    name: str, kernels: str
) -> None:
    interpreter = make_interpreter(experimental_op_resolver_type=resolver(name))
    sink = MemorySink()
    with recording(sink):
        exray.instrument(interpreter, path=FLOAT)
        interpreter.invoke()

    assert [found.kernels for found in sink.runs.values()] == [kernels]


def test_instrumenting_a_traced_interpreter_again_changes_nothing() -> None:
    sink = MemorySink()
    with recording(sink):
        interpreter = make_interpreter()
        exray.instrument(interpreter)
        run(interpreter, make_input())

    assert len(sink.frames) == 1
    assert len(seen_tensors(sink.frames[0], "layer")) == 5


def test_the_run_of_an_interpreter_is_known_from_its_first_invocation_on() -> None:
    with recording(MemorySink()):
        interpreter = make_interpreter()
        assert run_of(interpreter) is None
        run(interpreter, make_input())

        assert run_of(interpreter) is not None


def test_an_interpreter_that_is_left_alone_has_no_run() -> None:
    with recording(MemorySink()):
        with untraced():
            interpreter = make_interpreter()
        run(interpreter, make_input())

        assert run_of(interpreter) is None


@needs_native
def test_one_constructed_at_level_latency_has_its_layers_at_level_summary() -> None:
    sink = MemorySink()
    with recording(MemorySink(), level="latency"):
        interpreter = make_interpreter()
    with recording(sink):
        run(interpreter, make_input())

    layers = [site.layer for site, _ in seen_tensors(sink.frames[0], "layer")]
    assert [layer.op for layer in layers if layer is not None] == TINY_LAYERS


def test_without_the_native_library_one_constructed_at_level_latency_never_has_layers(
    without_native_library: None, caplog: pytest.LogCaptureFixture
) -> None:
    sink = MemorySink()
    with recording(MemorySink(), level="latency"):
        interpreter = make_interpreter()
    with recording(sink):
        run(interpreter, make_input())

    assert {site.role for site, _ in seen_tensors(sink.frames[0])} == {"input", "output"}
    assert any("Construct it anew" in message for message in caplog.messages)


def test_quantization_is_read_per_tensor_and_per_channel() -> None:
    def detail(scales: list[float], zero_points: list[int], axis: int) -> dict[str, Any]:
        return {
            "quantization_parameters": {
                "scales": np.array(scales, np.float32),
                "zero_points": np.array(zero_points),
                "quantized_dimension": axis,
            }
        }

    assert quantization_from_details(detail([], [], 0)) is None
    assert quantization_from_details(detail([0.5], [3], 0)) == Quantization((0.5,), (3,), 0)
    assert quantization_from_details(detail([0.5, 0.25], [0, 0], 3)) == Quantization(
        (0.5, 0.25), (0, 0), 3
    )


@pytest.fixture(autouse=True)
def _log_anew() -> None:  # pyright: ignore[reportUnusedFunction] - autouse
    forget_logged()


# --- real networks ------------------------------------------------------------------------


@pytest.mark.realdata
def test_a_real_network_gives_the_same_bytes_and_all_its_layers(data: Path) -> None:
    model = data / "derived" / "v1_025_int8.tflite"
    plain = make_interpreter(model)
    value = np.random.default_rng(0).integers(-128, 128, (1, 224, 224, 3)).astype(np.int8)
    expected = run(plain, value)
    sink = MemorySink()
    with recording(sink):
        found = run(make_interpreter(model), value)

    (frame,) = sink.frames
    (inference,) = frame.inferences
    assert found.tobytes() == expected.tobytes()
    assert frame.output_hash == tensor_hash(expected)
    assert inference.layers is not None
    assert len(seen_tensors(frame, "layer")) == len(inference.layers.rows) > 30
