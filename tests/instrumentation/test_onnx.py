"""ONNX Runtime sessions: the application gets what it would, the lake gets the layers."""

import copy
import hashlib
import logging
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exray
from exray.instrumentation import onnx_patching
from exray.instrumentation.api import run_of
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.onnx_patching import onnx_model_of
from exray.schema.identity import tensor_hash
from exray.schema.quantization import dequantize
from exray.schema.records import FrameRecord, Run
from exray.testing import MemorySink, recording

from .builders import raising, seen_tensors
from .onnx_builders import LAYERS, image, model_of, quantized, runtime, session_of, small

ort = runtime()


def ran(session: Any, value: Any) -> Any:
    return session.run(None, {"x": value})[0]


def record(model: Any, value: Any = None, **settings: Any) -> tuple[FrameRecord, MemorySink]:
    """Run a model once, recorded, and return its frame and what else was recorded."""
    sink = MemorySink()
    with recording(sink, **settings):
        ran(session_of(model), image() if value is None else value)
    (frame,) = sink.frames
    return frame, sink


def timings(frame: FrameRecord) -> dict[str, tuple[str, int]]:
    """Return how each layer was timed, and its time in ns, by name."""
    block = frame.inferences[0].layers
    if block is None:
        return {}
    found = ((block.sites[row["site"]], int(row["dur_ns"])) for row in block.rows)
    return {site.layer_name: (site.timing, dur_ns) for site, dur_ns in found}


def all_tensors(model: Any, value: Any) -> dict[str, Any]:
    """Return every tensor of a model, by a session that fuses nothing."""
    import onnx

    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    known = {output.name for output in changed.graph.output}
    names = [name for node in model.graph.node for name in node.output if name not in known]
    for name in names:
        changed.graph.output.add().name = name
    session = session_of(changed)
    outputs = [output.name for output in session.get_outputs()]
    return dict(zip(outputs, session.run(None, {"x": value}), strict=True))


def random_model() -> Any:
    """Return a model that never gives the same twice."""
    from onnx import helper

    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["noise"]),
        helper.make_node("Add", ["x", "noise"], ["y"]),
    ]
    return model_of(nodes, {"x": ["N", 4]}, {"y": ["N", 4]})


# --- what the application gets ----------------------------------------------------------


@pytest.mark.parametrize("form", ["float", "QDQ", "QOperator"])
@pytest.mark.parametrize("level", ["latency", "summary", "distribution"])
def test_outputs_are_those_of_an_uninstrumented_session_bit_for_bit(
    tmp_path: Path, form: str, level: str
) -> None:
    model = small() if form == "float" else quantized(tmp_path, form)
    inputs = [image(seed) for seed in range(3)]
    plain = session_of(model)
    expected = [ran(plain, value).tobytes() for value in inputs]
    with recording(MemorySink(), level=level):
        traced = session_of(model)
        assert [ran(traced, value).tobytes() for value in inputs] == expected


def test_the_sessions_options_are_the_applications_and_stay_as_they_were(tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    path = tmp_path / "m.onnx"
    path.write_bytes(small().SerializeToString())

    def settings(of: Any) -> dict[str, str]:
        names = (name for name in dir(of) if not name.startswith("_"))
        values = {name: getattr(of, name) for name in names}
        return {name: repr(value) for name, value in values.items() if not callable(value)}

    before = settings(options)
    with recording(MemorySink()):
        session = ort.InferenceSession(path, options)
        ran(session, image())
    assert settings(options) == before
    assert settings(session.get_session_options()) == before


def test_nothing_is_left_behind_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    frame, _ = record(small())
    assert timings(frame)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_runtime_is_the_applications_and_is_recorded() -> None:
    sink = MemorySink()
    with recording(sink):
        session = session_of(small())
        with pytest.raises(ValueError, match="missing"):
            session.run(None, {})
        with pytest.raises(Exception, match="rank"):
            ran(session, np.zeros((1, 3, 5, 5, 5), np.float32))
        with pytest.raises(TypeError):
            session.run()
    assert [frame.status for frame in sink.frames] == ["error", "error"]


def test_a_failure_of_ours_stays_ours(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    monkeypatch.setattr(onnx_patching, "onnx_model_file", raising(RuntimeError("boom")))
    frame, _ = record(small())
    assert frame.output_hash is not None
    assert "could not read a model file: RuntimeError: boom" in caplog.text


def test_classes_are_put_back() -> None:
    before = vars(ort.InferenceSession).copy()
    with recording(MemorySink()):
        assert vars(ort.InferenceSession) != before
    assert vars(ort.InferenceSession) == before


def test_a_copied_tracer_is_none() -> None:
    with recording(MemorySink()):
        session = session_of(small())
        assert copy.copy(onnx_model_of(session)) is None
        assert onnx_model_of(session) is not None


def test_threads_that_share_a_session_get_their_own_results() -> None:
    model, inputs = small(), [image(seed) for seed in range(8)]
    plain = session_of(model)
    expected = [ran(plain, value).tobytes() for value in inputs]
    found: dict[int, bytes] = {}
    sink = MemorySink()
    with recording(sink):
        session = session_of(model)

        def work(i: int) -> None:
            found[i] = ran(session, inputs[i]).tobytes()

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [found[i] for i in range(8)] == expected
    assert len(sink.frames) == 8
    hashes = {int(row["hash"]) for f in sink.frames for _, row in seen_tensors(f, "output")}
    assert hashes == {tensor_hash(np.frombuffer(output, np.float32)) for output in expected}


def test_a_forked_child_makes_no_sessions(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They could wait for ever for threads that the fork did not copy."""
    forget_logged()
    sink = MemorySink()
    with recording(sink):
        session = session_of(small())
        monkeypatch.setattr(os, "getpid", lambda: -1)
        assert ran(session, image()).shape == (1, 5)
        monkeypatch.undo()
    (frame,) = sink.frames
    assert seen_tensors(frame, "layer") == []
    assert timings(frame) == {}
    assert len(seen_tensors(frame, "output")) == 1
    assert "made before a fork" in caplog.text


# --- identity ---------------------------------------------------------------------------


def run_record(sink: MemorySink) -> Run:
    (run,) = sink.runs.values()
    return run


def test_a_session_of_a_file_is_named_by_it(tmp_path: Path) -> None:
    path = tmp_path / "shelf.onnx"
    path.write_bytes(small().SerializeToString())
    sink = MemorySink()
    with recording(sink):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        ran(session, image())
    run = run_record(sink)
    assert (run.model_name, run.model_format, run.model_precision) == ("shelf", "onnx", "float32")
    assert run.model_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (run.runtime_name, run.runtime_version) == ("onnxruntime", ort.__version__)
    assert (run.kernels, run.delegate, run.threads) == ("cpu", None, 1)
    assert run.init_ns is not None
    assert run_of(session) is run
    assert [op.op for op in sink.graphs[run.model_sha256].ops] == LAYERS


def test_a_session_of_bytes_is_named_by_their_hash() -> None:
    _, sink = record(small())
    run = run_record(sink)
    assert run.model_sha256 == hashlib.sha256(small().SerializeToString()).hexdigest()
    assert run.model_name == f"model-{run.model_sha256[:8]}"


def test_weights_in_files_beside_it_are_part_of_a_model(tmp_path: Path) -> None:
    import onnx

    runs: list[Run] = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        model = small()
        if name == "b":
            weights = model.graph.initializer[0]
            weights.CopyFrom(
                onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weights) * 2, weights.name)
            )
        onnx.save_model(
            model, folder / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0
        )
        sink = MemorySink()
        with recording(sink):
            ran(ort.InferenceSession(folder / "m.onnx"), image())
        runs.append(run_record(sink))
        assert len(seen_tensors(sink.frames[0], "layer")) == len(LAYERS)
        assert timings(sink.frames[0])["conv1"][0] == "profiler"
    assert (tmp_path / "a/m.onnx").read_bytes() == (tmp_path / "b/m.onnx").read_bytes()
    assert runs[0].model_sha256 != runs[1].model_sha256


def test_other_providers_are_another_run() -> None:
    sink = MemorySink()
    with recording(sink):
        session = session_of(small())
        ran(session, image())
        session.set_providers(["CPUExecutionProvider"])
        ran(session, image())
    assert len(sink.runs) == 2
    assert all(len(seen_tensors(frame, "layer")) == len(LAYERS) for frame in sink.frames)


def test_a_session_that_exists_already_is_traced_with_its_layers() -> None:
    session = session_of(small())
    sink = MemorySink()
    with recording(sink, auto=False):
        ran(session, image())
        assert exray.instrument(session) is session
        exray.instrument(session)
        ran(session, image())
    (frame,) = sink.frames
    assert len(seen_tensors(frame, "layer")) == len(LAYERS)


def test_without_the_onnx_package_the_edge_is_recorded_still(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("EXRAY_GUARD")
    session, model = session_of(small()), small().SerializeToString()
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    monkeypatch.setitem(__import__("sys").modules, "onnx.shape_inference", None)
    sink = MemorySink()
    with recording(sink, auto=False):
        exray.instrument(session)
        ran(session, image())
    (frame,) = sink.frames
    assert {site.role for site, _ in seen_tensors(frame)} == {"input", "output"}
    assert run_record(sink).model_sha256 == hashlib.sha256(model).hexdigest()
    assert "exray[onnx]" in caplog.text


# --- tensors ----------------------------------------------------------------------------


def test_every_layers_output_is_summarised_as_it_is() -> None:
    frame, _ = record(small())
    expected = all_tensors(small(), image())
    seen = seen_tensors(frame, "layer")
    assert [site.layer.op for site, _ in seen if site.layer is not None] == LAYERS
    for site, row in seen:
        values = expected[site.name]
        assert (site.dtype, site.shape) == ("float32", values.shape)
        np.testing.assert_allclose(row["sum"], values.sum(dtype=np.float64), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(row["max"], values.max(), rtol=1e-5)


def test_inputs_and_outputs_are_those_of_the_applications_call() -> None:
    frame, _ = record(small())
    ((given, first),) = seen_tensors(frame, "input")
    ((_, last),) = seen_tensors(frame, "output")
    assert (given.name, given.layout, given.shape) == ("x", "nchw", (1, 3, 16, 16))
    assert first["hash"] == tensor_hash(image())
    plain = ran(session_of(small()), image())
    assert last["hash"] == tensor_hash(plain) == frame.output_hash


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_integers_are_summarised_in_real_units(tmp_path: Path, form: str) -> None:
    model = quantized(tmp_path, form)
    frame, sink = record(model)
    (graph,) = sink.graphs.values()
    expected = all_tensors(model, image())
    seen = seen_tensors(frame, "layer")
    own = {op.layer_index for op in graph.ops if op.excluded_reason is None}
    assert {site.layer.layer_index for site, _ in seen if site.layer is not None} == own
    integers = [(site, row) for site, row in seen if site.dtype == "int8"]
    assert len(integers) == len(seen) - 1
    for site, row in integers:
        assert site.quantization is not None
        real = dequantize(expected[site.name], site.quantization)
        step = site.quantization.scales[0]
        np.testing.assert_allclose(row["min"], real.min(), atol=1.01 * step)
        np.testing.assert_allclose(row["sum"] / real.size, real.mean(), atol=step)


def test_the_layers_of_the_shadow_are_those_of_the_session_for_integer_kernels(
    tmp_path: Path,
) -> None:
    """The output, which rests on all of them, is the same to the last bit."""
    model = quantized(tmp_path, "QOperator")
    frame, _ = record(model)
    ((_, last),) = seen_tensors(frame, "output")
    seen = {site.name: row for site, row in seen_tensors(frame, "layer")}
    assert seen["p"]["hash"] == last["hash"]


def test_selected_layers_alone_are_summarised() -> None:
    frame, _ = record(small(), layers="op:Conv")
    names = [site.name for site, _ in seen_tensors(frame, "layer")]
    assert names == ["c1", "c2", "c3"]


def test_a_batch_is_summarised_whole() -> None:
    frame, _ = record(small(), image(batch=4))
    shapes = {site.name: site.shape for site, _ in seen_tensors(frame, "layer")}
    assert shapes["c1"] == (4, 8, 8, 8)


def test_outputs_asked_for_by_name_are_those_recorded() -> None:
    from onnx import helper

    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Neg", ["a"], ["b"])]
    sink = MemorySink()
    with recording(sink):
        session = session_of(model_of(nodes, {"x": ["N", 3]}, {"a": ["N", 3], "b": ["N", 3]}))
        session.run(["b"], {"x": np.array([[1, -2, 3]], np.float32)})
    (frame,) = sink.frames
    ((site, row),) = seen_tensors(frame, "output")
    assert (site.name, site.index, row["sum"]) == ("b", 1, -4)
    assert [site.name for site, _ in seen_tensors(frame, "layer")] == ["a", "b"]


def test_values_of_the_runtimes_own_type_are_seen() -> None:
    sink = MemorySink()
    with recording(sink):
        session = session_of(small())
        given = {"x": ort.OrtValue.ortvalue_from_numpy(image())}
        outputs = session.run_with_ort_values(None, given)
    (frame,) = sink.frames
    ((_, first),) = seen_tensors(frame, "input")
    assert first["hash"] == tensor_hash(image())
    assert frame.output_hash == tensor_hash(outputs[0].numpy())
    assert len(seen_tensors(frame, "layer")) == len(LAYERS)


def test_a_model_with_chance_in_it_loses_its_layers_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    forget_logged()
    sink = MemorySink()
    session, given = session_of(random_model()), {"x": np.ones((1, 4), np.float32)}
    session.run(None, given)  # a fresh session would draw the same again
    with recording(sink, auto=False), caplog.at_level(logging.WARNING):
        exray.instrument(session)
        for _ in range(2):
            session.run(None, given)
    assert [seen_tensors(frame, "layer") for frame in sink.frames] == [[], []]
    assert [len(seen_tensors(frame, "output")) for frame in sink.frames] == [1, 1]
    assert caplog.text.count("gave another output when a sampled frame was repeated") == 1


def test_a_binding_hides_what_it_binds_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    forget_logged()
    sink = MemorySink()
    with recording(sink):
        session = session_of(small())
        binding = session.io_binding()
        binding.bind_cpu_input("x", image())
        binding.bind_output("p")
        session.run_with_iobinding(binding)
        assert binding.copy_outputs_to_cpu()[0].shape == (1, 5)
    assert sink.frames == []
    assert "run_with_iobinding() hides" in caplog.text


# --- times ------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["latency", "summary"])
def test_operators_have_the_profilers_times_and_others_none(level: str) -> None:
    frame, _ = record(small(), level=level)
    found = timings(frame)
    for name in ("conv1", "dw", "conv3", "fc", "softmax"):
        assert found[name][0] == "profiler", name
        assert found[name][1] >= 0
    # The runtime makes one kernel of a convolution and its activation: it has one time.
    assert found.get("relu1", ("none", -1)) == ("none", -1)
    assert sum(dur_ns for _, dur_ns in found.values() if dur_ns > 0) > 0


def test_at_level_latency_no_tensor_is_summarised() -> None:
    frame, _ = record(small(), level="latency")
    assert seen_tensors(frame) == []
    assert frame.output_hash is not None


@pytest.mark.parametrize("is_earned", [False, True])
def test_under_a_budget_a_frame_is_timed_once_that_is_earned(is_earned: bool) -> None:
    sink = MemorySink()
    with recording(sink, level="latency", sampling="budget", overhead_budget=0.9) as recorder:
        session = session_of(small())
        ran(session, image())
        if is_earned:
            recorder.sampler.add_untraced(100 * 10**9, 0, 0)
        ran(session, image())
    assert [bool(timings(frame)) for frame in sink.frames] == [False, is_earned]


# --- privacy ----------------------------------------------------------------------------


def test_with_privacy_closed_what_hands_the_input_on_gives_as_little_of_it(
    tmp_path: Path,
) -> None:
    model = quantized(tmp_path, "QDQ")
    frame, _ = record(model, privacy="closed", fleet_secret="0123456789abcdef" * 2)
    whole = {
        site.layer.op: bool(np.isfinite(row["sketch"]).all())
        for site, row in seen_tensors(frame, "layer")
        if site.layer is not None
    }
    assert not whole["QuantizeLinear"]
    assert whole["Conv"] and whole["Add"]
