"""The native probe on its own: what it sees of an interpreter, and that nobody notices."""

import ctypes
import gc
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash

from exray.instrumentation.litert import quantization_from_details
from exray.instrumentation.native_library import LIBRARY_PATH, native_library
from exray.instrumentation.preserve_warning import without_preserve_warning
from exray.instrumentation.probe import Mode, Probe, Recording, recording_from_packet, split_packets
from exray.instrumentation.probe_rows import (
    CALL_ROW,
    CALL_WORDS,
    EVENT_ROW,
    FRAME_COUNTS,
    NODE_ROW,
    OP_ROW,
    RECORD_CALL,
    SLOT_ROW,
)
from exray.schema.records import TENSOR_ROW
from exray.schema.statistics import summarize_into

from .builders import FLOAT, INT8, SPLIT, Array, litert, make_input, run

pytestmark = pytest.mark.skipif(
    native_library().handle is None, reason=f"no native library: {native_library().reason}"
)

BUILTIN, REFERENCE, XNNPACK = "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "BUILTIN_REF", "AUTO"


def make_probe(*, events: bool = False) -> Probe:
    library = native_library().handle
    assert library is not None
    return Probe(library, litert().load_delegate, str(LIBRARY_PATH), events=events)


def make_probed(model: Path = FLOAT, kernels: str = BUILTIN, **options: Any) -> tuple[Any, Probe]:
    """Return an interpreter that is ready to run, and its probe."""
    probe = make_probe()
    resolver = litert().OpResolverType[kernels]
    with without_preserve_warning():
        interpreter = litert().Interpreter(
            str(model), experimental_op_resolver_type=resolver, num_threads=1, **options
        )
    interpreter.allocate_tensors()
    probe.attach(interpreter)
    return interpreter, probe


def record(interpreter: Any, probe: Probe, value: Array, family: int = 3) -> Recording:
    """Run one input with a recording open."""
    probe.begin(Mode.SUMMARY, family)
    run(interpreter, value)
    return probe.end()


def plain(model: Path, value: Array, kernels: str = BUILTIN) -> bytes:
    resolver = litert().OpResolverType[kernels]
    interpreter = litert().Interpreter(
        str(model), experimental_op_resolver_type=resolver, num_threads=1
    )
    interpreter.allocate_tensors()
    return run(interpreter, value).tobytes()


def test_rows_are_the_librarys() -> None:
    sizes = (ctypes.c_int32 * 7)()
    library: Any = native_library().handle
    library.exray_probe_row_sizes(sizes)
    rows = (OP_ROW, SLOT_ROW, NODE_ROW, EVENT_ROW, FRAME_COUNTS, CALL_ROW, CALL_WORDS)
    ours = [row.itemsize for row in rows]
    assert list(sizes) == ours


@pytest.mark.parametrize("kernels", [BUILTIN, REFERENCE])
def test_every_operator_fires_once_with_its_time(kernels: str) -> None:
    interpreter, probe = make_probed(kernels=kernels)
    recording = record(interpreter, probe, make_input())

    assert recording.ops["node"].tolist() == [0, 1, 2, 3, 4]
    assert (recording.ops["dur_ns"] > 0).all()
    assert recording.ops["status"].tolist() == [0] * 5
    assert (np.diff(recording.ops["start_ns"]) > 0).all()
    assert recording.dropped == 0


def test_the_output_is_the_same_to_the_last_bit() -> None:
    for model, dtype in ((FLOAT, np.float32), (INT8, np.int8)):
        for kernels in (BUILTIN, REFERENCE, XNNPACK):
            interpreter, probe = make_probed(model, kernels)
            value = make_input(dtype=dtype)
            probe.begin(Mode.SUMMARY, 0)
            output = run(interpreter, value)
            probe.end()
            assert output.tobytes() == plain(model, value, kernels), (model, kernels)


def test_summaries_are_those_of_the_tensors() -> None:
    """Preserved tensors, read after the run, are what the probe saw during it."""
    for model, dtype in ((FLOAT, np.float32), (INT8, np.int8)):
        interpreter, probe = make_probed(model, experimental_preserve_all_tensors=True)
        recording = record(interpreter, probe, make_input(dtype=dtype), family=11)
        assert len(recording.tensors) == 5
        for row in recording.tensors:
            slot = recording.layout.slots[row["site"]]
            array = interpreter.get_tensor(int(slot["tensor"]))
            detail = interpreter._get_tensor_details(int(slot["tensor"]), 0)
            assert slot["dims"][: slot["rank"]].tolist() == list(array.shape)
            expected = np.zeros(1, TENSOR_ROW)
            summarize_into(
                expected, 0, array, quantization=quantization_from_details(detail), family=11
            )
            for name in ("count", "zero_count", "hash", "sat_low_count", "min", "max"):
                assert row[name] == expected[name][0], name
            for name in ("sum", "sum2", "sum3", "sum4"):
                assert row[name] == pytest.approx(expected[name][0], rel=1e-6, abs=1e-9), name
            np.testing.assert_allclose(
                row["sketch"], expected["sketch"][0], rtol=1e-5, atol=1e-5 * row["sum2"] ** 0.5
            )


def test_summaries_see_another_input() -> None:
    """The negative twin: rows are not simply those of the first run."""
    interpreter, probe = make_probed()
    first = record(interpreter, probe, make_input(0))
    second = record(interpreter, probe, make_input(1))
    assert (first.tensors["hash"] != second.tensors["hash"]).all()


def test_calls_leave_packets_as_long_as_there_is_room() -> None:
    interpreter, probe = make_probed()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    probe.set_edges([inputs[0]["index"]], outputs[0]["index"])
    layout, count = probe.reserve_calls(10**6)
    values = [make_input(seed) for seed in range(7)]
    calls, output = 0, values[0]
    while not probe.call_words[0]:
        probe.call_words[0] = RECORD_CALL
        output = run(interpreter, values[calls % 7])
        calls += 1
    packets = [packet for _, packet in split_packets(probe.packets)]

    assert count <= len(packets) == calls - 1 < 10**6
    assert output.tobytes() == plain(FLOAT, values[(calls - 1) % 7], BUILTIN)
    hashes = [xxhash.xxh3_64_intdigest(value.tobytes()) for value in values]
    for number, packet in enumerate(packets):
        assert np.frombuffer(packet, CALL_ROW, 1)["input_hash"] == hashes[number % 7]
        assert recording_from_packet(packet, layout).ops["node"].tolist() == [0, 1, 2, 3, 4]
    assert probe.reserve_calls(2)[1] == 2
    assert probe.packets == b""


def test_nothing_is_recorded_outside_a_recording() -> None:
    interpreter, probe = make_probed()
    run(interpreter, make_input())
    probe.begin(Mode.SUMMARY, 0)
    recording = probe.end()
    assert len(recording.ops) == len(recording.tensors) == 0


def test_times_alone_are_without_tensors() -> None:
    interpreter, probe = make_probed()
    probe.begin(Mode.TIMES, 0)
    run(interpreter, make_input())
    recording = probe.end()
    assert len(recording.ops) == 5
    assert len(recording.tensors) == 0
    assert recording.summary_ns == 0


def test_another_thread_is_not_recorded() -> None:
    """A recording is of the thread that opened it, even where both share the interpreter."""
    interpreter, probe = make_probed()
    probe.begin(Mode.SUMMARY, 0)
    thread = threading.Thread(target=run, args=(interpreter, make_input()))
    thread.start()
    thread.join()
    assert len(probe.end().ops) == 0


def test_two_interpreters_on_two_threads_keep_apart() -> None:
    results: dict[int, list[int]] = {}

    def work(number: int) -> None:
        interpreter, probe = make_probed(FLOAT if number else INT8)
        value = make_input(dtype=np.float32 if number else np.int8)
        results[number] = [len(record(interpreter, probe, value).ops) for _ in range(50)]

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {0: [5] * 50, 1: [5] * 50}


def test_each_output_of_an_operator_has_a_row() -> None:
    interpreter, probe = make_probed(SPLIT)
    interpreter.set_tensor(interpreter.get_input_details()[1]["index"], np.zeros((1, 4), "f"))
    recording = record(interpreter, probe, np.array([[1, 2, 3, 4]], np.float32))
    (split,) = [op for op in range(len(recording.ops)) if _rows_of(recording, op) == 2]
    sums = [row["sum"] for row in recording.tensors if row["parent_span_id"] == split]
    assert sums == [3.0, 7.0]


def _rows_of(recording: Recording, op: int) -> int:
    return int((recording.tensors["parent_span_id"] == op).sum())


def test_a_node_that_is_not_selected_keeps_its_time_alone() -> None:
    interpreter, probe = make_probed()
    probe.select(0, 1, selected=False)
    recording = record(interpreter, probe, make_input())
    assert len(recording.ops) == 5
    assert recording.layout.slots["node"][recording.tensors["site"]].tolist() == [0, 2, 3, 4]
    probe.select(0, 1, selected=True)
    assert len(record(interpreter, probe, make_input()).tensors) == 5


def test_preserved_xnnpack_has_a_node_for_each_operator() -> None:
    interpreter, probe = make_probed(INT8, XNNPACK, experimental_preserve_all_tensors=True)
    recording = record(interpreter, probe, make_input(dtype=np.int8))
    nodes = recording.layout.nodes
    delegated = nodes[nodes["replaced"] > 0]
    assert len(delegated) > 0
    assert delegated["replaced"].tolist() == [1] * len(delegated)
    assert len(recording.ops) == 5


def test_xnnpack_reports_its_operators_to_a_probe_that_came_first() -> None:
    probe = make_probe(events=True)
    interpreter = litert().Interpreter(
        str(INT8), num_threads=1, experimental_delegates=[probe.delegate]
    )
    interpreter.allocate_tensors()
    probe.attach(interpreter)
    recording = record(interpreter, probe, make_input(dtype=np.int8))
    tags = [bytes(tag).decode() for tag in recording.events["tag"][recording.events["type"] == 8]]
    assert any(tag.startswith("Convolution") for tag in tags), tags


def test_a_resized_input_is_seen_in_its_new_shape() -> None:
    interpreter, probe = make_probed(SPLIT)
    record(interpreter, probe, np.ones((1, 4), np.float32))
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], (3, 4))
    interpreter.allocate_tensors()
    recording = record(interpreter, probe, np.ones((3, 4), np.float32))
    shapes = {tuple(slot["dims"][: slot["rank"]]) for slot in recording.layout.slots}
    assert any(shape[0] == 3 for shape in shapes if shape), shapes
    assert recording.tensors["count"].max() > 4


def test_a_probe_applied_twice_still_sees_each_operator_once() -> None:
    interpreter, probe = make_probed()
    probe.attach(interpreter)
    assert len(record(interpreter, probe, make_input()).ops) == 5


def test_the_last_probe_on_an_interpreter_wins() -> None:
    interpreter, first = make_probed()
    second = make_probe()
    second.attach(interpreter)
    assert len(record(interpreter, first, make_input()).ops) == 0
    assert len(record(interpreter, second, make_input()).ops) == 5


def test_a_probe_destroyed_before_its_interpreter_leaves_it_running() -> None:
    interpreter, probe = make_probed()
    expected = run(interpreter, make_input()).tobytes()
    del probe
    gc.collect()
    assert run(interpreter, make_input()).tobytes() == expected


def test_many_interpreters_come_and_go() -> None:
    """Their contexts are made at addresses where others were before."""
    expected = plain(FLOAT, make_input())
    for _ in range(200):
        interpreter, probe = make_probed()
        probe.begin(Mode.SUMMARY, 0)
        assert run(interpreter, make_input()).tobytes() == expected
        assert len(probe.end().ops) == 5
