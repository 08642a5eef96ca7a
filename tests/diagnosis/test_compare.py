"""Comparing two builds of a lake: what is read, and what of it can be said."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exray.diagnosis.compare import compare
from exray.diagnosis.comparison import SIZES_DIFFER, Comparison
from exray.diagnosis.verdict import judge
from exray.lake import Lake
from exray.schema.errors import LakeError, SelectionError

from .lakes import Array, Recording, make_graph, make_lake, make_values, with_noise

NAMES = ["stem", "shape", "body", "head"]
LAYERS = (0, 2, 3)
"""Those that compute something."""

FRAMES = 16
"""Frames over which an estimate of SQNR is within half a decibel."""


def make_recording(
    build: str, role: str, sha256: str, *, level: str = "summary", kernels: str = "xnnpack"
) -> Recording:
    graph = make_graph(sha256, NAMES, excluded=[1])
    return Recording(graph, build, role, level=level, kernels=kernels)


def layer_values(frame: int, sqnr_db: float = 140.0) -> dict[int, Array]:
    return {i: with_noise(make_values(100 * frame + i), sqnr_db, seed=7 + i) for i in LAYERS}


def input_values(frame: int) -> Array:
    return make_values(10_000 + frame)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """An edge whose layer 2 is at 10 dB and the others at 30, against a reference."""
    edge = make_recording("1.4.2", "edge", "aa")
    reference = make_recording("float", "reference", "bb")
    for frame in range(FRAMES):
        name, raw = f"{frame}.png", make_values(20_000 + frame, 64)
        layers = layer_values(frame, 30.0)
        layers[2] = with_noise(make_values(100 * frame + 2), 10.0, seed=5)
        edge.add(name, input_values(frame), layers, raw=raw, label=1, prediction=int(frame > 3))
        reference.add(
            name, input_values(frame), layer_values(frame), raw=raw, label=1, prediction=1
        )
    edge.add("only-edge.png", input_values(90), status="error")
    for frame in (91, 92):
        reference.add(f"only-reference-{frame}.png", input_values(frame))
    lake = make_lake(tmp_path_factory.mktemp("lake") / "lake", edge, reference)
    return compare(lake, "1.4.2", "float")


def test_layers_come_in_graph_order_with_their_counterparts(compared: Comparison) -> None:
    assert [layer.layer_index for layer in compared.layers] == [0, 1, 2, 3]
    assert [layer.layer for layer in compared.layers] == NAMES
    assert [layer.reference_layer for layer in compared.layers] == ["stem", None, "body", "head"]
    assert [layer.op for layer in compared.layers] == ["CONV_2D", "SHAPE", "CONV_2D", "CONV_2D"]


def test_sqnr_of_layers_is_that_of_their_tensors(compared: Comparison) -> None:
    found = [compared.layers[i].sqnr_db for i in LAYERS]
    assert found == pytest.approx([30.0, 10.0, 30.0], abs=1.0)


def test_a_drop_is_measured_against_the_nearest_measured_layer_before(
    compared: Comparison,
) -> None:
    assert compared.layers[2].drop_db == pytest.approx(20.0, abs=1.5)
    assert compared.layers[3].drop_db == pytest.approx(-20.0, abs=1.5)


def test_the_verdict_names_the_planted_layer(compared: Comparison) -> None:
    finding = judge(compared)
    assert finding.layer is compared.layers[2]
    assert "part most at layer 2 'body' (CONV_2D)" in finding.sentence


def test_coverage_counts_frames_of_either_side(compared: Comparison) -> None:
    coverage = compared.coverage
    assert coverage.frames_paired == coverage.frames_measured == FRAMES
    assert (coverage.frames_edge_only, coverage.frames_reference_only) == (1, 2)


def test_coverage_keeps_excluded_operators_with_their_reason(compared: Comparison) -> None:
    (excluded,) = compared.coverage.layers_excluded
    assert (excluded.layer_index, excluded.layer, excluded.op) == (1, "shape", "SHAPE")
    assert excluded.reason == "shape arithmetic"
    assert compared.coverage.layers_unaligned == ()
    assert compared.coverage.layers_aligned == 3


def test_raw_and_model_input_are_compared(compared: Comparison) -> None:
    assert [(place.name, place.sqnr_db) for place in compared.places] == [
        ("raw", 140.0),
        ("model input", 140.0),
    ]


def test_outcome_counts_labels_flips_and_failures(compared: Comparison) -> None:
    assert compared.edge.top1 == pytest.approx(12 / 16)
    assert compared.edge.ci95 is not None
    assert compared.edge.ci95[0] < 12 / 16 < compared.edge.ci95[1]
    assert compared.reference.top1 == 1.0
    assert (compared.edge.frames, compared.edge.failed) == (FRAMES + 1, 1)
    assert compared.flips == 4
    assert compared.mcnemar_p == pytest.approx(0.125)


def test_times_of_stages_and_model_are_told(compared: Comparison) -> None:
    assert [(s.stage, s.edge_ms, s.reference_ms) for s in compared.stages] == [
        ("preprocess", 1.0, 1.0),
        ("inference", 2.0, 2.0),
    ]
    assert compared.edge.model_ms == pytest.approx(2.0)
    assert compared.edge.times_inflated


def test_times_of_layers_that_nothing_measured_are_none(compared: Comparison) -> None:
    assert {layer.edge_ms for layer in compared.layers} == {None}


def test_sides_say_what_ran_where(compared: Comparison) -> None:
    edge = compared.edge
    assert (edge.build, edge.role, edge.kernels, edge.device) == ("1.4.2", "edge", "xnnpack", "pi5")
    assert len(edge.run_ids) == 1


def test_a_run_against_itself_is_identical(tmp_path: Path) -> None:
    recording = make_recording("b", "edge", "aa")
    recording.add("a.png", input_values(0), layer_values(0))
    comparison = compare(make_lake(tmp_path / "lake", recording), "b", "b")
    assert [comparison.layers[i].sqnr_db for i in LAYERS] == [140.0] * 3
    told = judge(comparison).sentence
    assert told == (
        "'b (edge)' and 'b (reference)' get the same model input and show no difference in all 3 "
        "layers."
    )


def compare_one_frame(path: Path, edge: Recording, reference: Recording) -> Comparison:
    return compare(make_lake(path / "lake", edge, reference), edge.build, reference.build)


def test_level_latency_leaves_outcome_and_times(tmp_path: Path) -> None:
    edge = make_recording("e", "edge", "aa", level="latency")
    reference = make_recording("r", "reference", "bb")
    edge.add("a.png", label=1, prediction=1)
    reference.add("a.png", input_values(0), layer_values(0), label=1, prediction=2)
    comparison = compare_one_frame(tmp_path, edge, reference)
    assert (comparison.coverage.frames_paired, comparison.coverage.frames_measured) == (1, 0)
    assert comparison.flips == 1
    assert not comparison.edge.times_inflated
    assert comparison.reference.times_inflated
    assert "record both at level summary" in judge(comparison).sentence
    assert {layer.sqnr_db for layer in comparison.layers} == {None}
    assert comparison.layers[0].reason == "no paired frame recorded it on both sides"


def test_runs_without_common_inputs_are_told_so(tmp_path: Path) -> None:
    edge, reference = make_recording("e", "edge", "aa"), make_recording("r", "reference", "bb")
    edge.add("a.png", input_values(0), layer_values(0))
    reference.add("b.png", input_values(0), layer_values(0))
    comparison = compare_one_frame(tmp_path, edge, reference)
    assert comparison.coverage.frames_unpaired == 2
    assert "share no input" in judge(comparison).sentence


def test_nan_is_counted_and_json_stays_json(tmp_path: Path) -> None:
    edge, reference = make_recording("e", "edge", "aa"), make_recording("r", "reference", "bb")
    layers = layer_values(0)
    layers[2] = layers[2].copy()
    layers[2][:5] = np.nan, np.inf, -np.inf, np.nan, np.nan
    edge.add("a.png", input_values(0), layers)
    reference.add("a.png", input_values(0), layer_values(0))
    comparison = compare_one_frame(tmp_path, edge, reference)
    assert comparison.layers[2].edge_nonfinite_count == 5
    assert comparison.layers[2].sqnr_db is None
    json.dumps(comparison.to_json(), allow_nan=False)
    assert judge(comparison).layer is comparison.layers[2]


def test_model_inputs_of_other_sizes_have_the_reason_that_the_verdict_knows(
    tmp_path: Path,
) -> None:
    edge, reference = make_recording("e", "edge", "aa"), make_recording("r", "reference", "bb")
    edge.add("a.png", make_values(1, 64), layer_values(0))
    reference.add("a.png", input_values(0), layer_values(0))
    comparison = compare_one_frame(tmp_path, edge, reference)
    assert comparison.input is not None
    assert comparison.input.reason == SIZES_DIFFER
    assert "the model inputs have different sizes" in judge(comparison).sentence


def test_another_value_range_is_told_with_its_numbers(tmp_path: Path) -> None:
    edge, reference = make_recording("e", "edge", "aa"), make_recording("r", "reference", "bb")
    for frame in range(4):
        value, layers = input_values(frame), layer_values(frame)
        edge.add(f"{frame}.png", 0.5 * value + 0.5, layers)
        reference.add(f"{frame}.png", value, layers)
    told = judge(compare_one_frame(tmp_path, edge, reference)).sentence
    assert "the edge's is 0.5 times the reference's plus 0.5: another value range" in told


@pytest.mark.parametrize(
    ("edge_type", "reference_type", "is_compared"),
    [
        (np.float32, np.float64, True),
        (np.uint8, np.uint8, True),
        (np.uint8, np.float32, False),
        (np.uint8, np.int8, False),
    ],
)
def test_a_stage_is_compared_only_where_its_numbers_mean_the_same(
    tmp_path: Path,
    edge_type: type[np.generic],
    reference_type: type[np.generic],
    is_compared: bool,
) -> None:
    edge, reference = make_recording("e", "edge", "aa"), make_recording("r", "reference", "bb")
    value = np.arange(64)
    edge.add("a.png", input_values(0), stages={"resize": value.astype(edge_type)})
    reference.add("a.png", input_values(0), stages={"resize": value.astype(reference_type)})
    (stage,) = (p for p in compare_one_frame(tmp_path, edge, reference).places if p.role == "stage")
    assert stage.name == "resize"
    assert (stage.sqnr_db is not None) == is_compared
    assert (stage.reason is None) == is_compared


def test_layers_of_one_name_stay_apart(tmp_path: Path) -> None:
    graphs = [make_graph(sha, ["x/relu", "y/relu", "y/relu"]) for sha in ("aa", "bb")]
    edge, reference = Recording(graphs[0], "e"), Recording(graphs[1], "r", "reference")
    for recording in (edge, reference):
        recording.add("a.png", input_values(0), {i: make_values(i) for i in range(3)})
    comparison = compare_one_frame(tmp_path, edge, reference)
    assert [layer.layer_index for layer in comparison.layers] == [0, 1, 2]
    assert [layer.reference_layer_index for layer in comparison.layers] == [0, 1, 2]


def test_reference_layers_that_answer_to_none_are_counted(tmp_path: Path) -> None:
    edge = Recording(make_graph("aa", ["stem", "head"]), "e")
    reference = Recording(make_graph("bb", ["stem", "extra", "head"]), "r", "reference")
    edge.add("a.png", input_values(0), {0: make_values(0), 1: make_values(2)})
    reference.add("a.png", input_values(0), {i: make_values(i) for i in range(3)})
    comparison = compare_one_frame(tmp_path, edge, reference)
    assert [layer.layer for layer in comparison.coverage.reference_unmatched] == ["extra"]


def test_a_model_without_graph_leaves_everything_but_layers(tmp_path: Path) -> None:
    edge, reference = make_recording("e", "edge", "aa"), make_recording("r", "reference", "bb")
    for recording in (edge, reference):
        recording.add("a.png", input_values(0), layer_values(0), label=1, prediction=1)
    edge.graph = make_graph("zz", NAMES)
    comparison = compare_one_frame(tmp_path, edge, reference)
    assert comparison.coverage.note is not None
    assert comparison.flips == 0
    assert comparison.input is not None
    assert "no layer could be compared" in judge(comparison).sentence


def test_a_model_file_that_was_renamed_is_one_model(tmp_path: Path) -> None:
    before, after = make_recording("1", "edge", "aa"), make_recording("2", "edge", "aa")
    after.graph = replace(after.graph, model_name="renamed")
    after.run.model_name = "renamed"
    reference = make_recording("r", "reference", "bb")
    for recording in (before, after, reference):
        recording.add("a.png", input_values(0), layer_values(0))
    lake = make_lake(tmp_path / "lake", before, after, reference)
    comparison = compare(lake, "1", "r")
    assert [layer.layer_index for layer in comparison.layers] == [0, 1, 2, 3]
    assert comparison.edge.model_name == "net_aa"
    assert compare(lake, "2", "r").edge.model_name == "renamed"


def test_a_build_that_is_not_there_is_a_selection_error(tmp_path: Path) -> None:
    recording = make_recording("e", "edge", "aa")
    recording.add("a.png")
    with pytest.raises(SelectionError, match="no build 'f'"):
        compare(make_lake(tmp_path / "lake", recording), "e", "f")


def test_kernel_families_are_never_mixed(tmp_path: Path) -> None:
    recordings = [make_recording("e", "edge", "aa", kernels=k) for k in ("xnnpack", "builtin")]
    reference = make_recording("r", "reference", "bb")
    for recording in (*recordings, reference):
        recording.add("a.png", input_values(0), layer_values(0))
    lake = make_lake(tmp_path / "lake", *recordings, reference)
    with pytest.raises(SelectionError, match="builtin, xnnpack"):
        compare(lake, "e", "r")
    assert compare(lake, "e", "r", kernels=["builtin", "xnnpack"][1]).edge.frames == 1


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    edge, reference = make_recording("e", "edge", "aa"), make_recording("r", "reference", "bb")
    for recording in (edge, reference):
        recording.add("a.png", input_values(0), layer_values(0))
    lake = make_lake(tmp_path / "lake", edge, reference)
    Path(lake.files("tensors")[0]).write_bytes(b"PAR1 no more")
    with pytest.raises(LakeError, match="cannot be read"):
        compare(lake, "e", "r")


def test_alignments_of_a_lake_that_cannot_be_written_serve_the_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge, reference = make_recording("e", "edge", "aa"), make_recording("r", "reference", "bb")
    for recording in (edge, reference):
        recording.add("a.png", input_values(0), layer_values(0))
    lake = make_lake(tmp_path / "lake", edge, reference)

    def refuse(self: Lake, tables: object) -> None:
        raise LakeError("read-only")

    monkeypatch.setattr(Lake, "append", refuse)
    assert compare(lake, "e", "r").coverage.layers_aligned == 3
