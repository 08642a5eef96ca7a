"""A comparison as JSON."""

import json
from dataclasses import replace

from exray.diagnosis.comparison import Coverage, Place, StageTime, Unmatched

from .builders import make_comparison, make_input, make_layer, make_side

LAYER_KEYS = {
    *("layer_index", "layer", "op", "reference_layer", "sqnr_db", "drop_db"),
    *("cosine", "nrmse", "edge_ms", "reference_ms"),
}


def test_json_has_the_promised_keys() -> None:
    document = make_comparison([make_layer()]).to_json()
    assert {"coverage", "input", "layers", "outcome"} <= document.keys()
    text = json.loads(json.dumps(document, allow_nan=False))
    coverage = ("frames_paired", "frames_unpaired", "layers_aligned", "layers_unaligned")
    assert set(coverage) <= text["coverage"].keys()
    assert {"edge", "reference", "flips", "mcnemar_p"} <= text["outcome"].keys()
    assert text["layers"][0].keys() >= LAYER_KEYS
    assert text["input"]["sqnr_db"] == 46.0


def test_json_of_a_comparison_without_model_input_still_has_its_key() -> None:
    document = make_comparison(places=[]).to_json()
    assert document["input"] == {"sqnr_db": None}


def test_json_lists_unaligned_layers_by_name_and_again_with_reason() -> None:
    twins = (Unmatched(3, "relu", "RELU", "why"), Unmatched(7, "relu", "RELU", "why"))
    coverage = Coverage(layers_unaligned=twins).to_json()
    assert coverage["layers_unaligned"] == ["relu", "relu"]
    assert coverage["layers_unaligned_reasons"] == [
        {"layer_index": 3, "layer": "relu", "op": "RELU", "reason": "why"},
        {"layer_index": 7, "layer": "relu", "op": "RELU", "reason": "why"},
    ]


def test_json_keeps_excluded_layers_of_the_same_name_apart() -> None:
    twins = tuple(Unmatched(i, "shape", "SHAPE", "shape arithmetic") for i in (3, 7))
    assert Coverage(layers_excluded=twins).to_json()["layers_excluded"] == [
        {"layer_index": i, "layer": "shape", "op": "SHAPE", "reason": "shape arithmetic"}
        for i in (3, 7)
    ]


def test_json_tells_the_sides_of_the_outcome() -> None:
    side = make_side("1.4.2", top1=0.5, ci95=(0.25, 0.75), failed=2)
    outcome = make_comparison(edge=side, flips=3, mcnemar_p=0.5).to_json()["outcome"]
    assert isinstance(outcome, dict)
    assert outcome["edge"]["top1"] == 0.5
    assert outcome["edge"]["failed"] == 2
    assert outcome["edge"]["model"] == "1.4.2_net"
    assert (outcome["flips"], outcome["mcnemar_p"]) == (3, 0.5)


def test_json_lists_stages() -> None:
    document = make_comparison(stages=(StageTime("decode", 1.5, None),)).to_json()
    assert document["stages"] == [{"stage": "decode", "edge_ms": 1.5, "reference_ms": None}]


def test_the_input_of_a_model_with_several_is_the_one_farthest_apart() -> None:
    second = Place("model input 1", "input", 3.0)
    comparison = make_comparison(places=[make_input(), second])
    assert comparison.input == second
    assert len(comparison.inputs) == 2


def test_an_input_that_cannot_be_compared_gives_way_to_one_that_can() -> None:
    unknown = make_input(None, reason="no sketch to compare")
    known = replace(make_input(50.0), name="model input 1")
    assert make_comparison(places=[unknown, known]).input == known
    assert make_comparison(places=[unknown]).input == unknown


def test_unpaired_frames_are_those_of_either_side() -> None:
    assert Coverage(frames_edge_only=2, frames_reference_only=3).frames_unpaired == 5
