"""Which runs a selector names, which frames meet, which layers answer to each other."""

from .builders import Rows

FULL_ID = "00" * 15


def selected(rows: Rows, selector: str, role: str = "") -> list[int]:
    """Last byte of each run's id that *selector* names."""
    found = rows.ask(f"SELECT hex_id(run_id) FROM _run_selected('{selector}', '{role}') ORDER BY 1")
    return [int(str(row[0])[-2:], 16) for row in found]


def test_selector_names_all_runs_of_a_build() -> None:
    rows = Rows()
    for build in ("1.0", "1.0", "1.1"):
        rows.run(build)
    assert selected(rows, "1.0") == [1, 2]
    assert selected(rows, "2.0") == []
    assert selected(rows, "") == []


def test_selector_names_one_run_by_the_beginning_of_its_id() -> None:
    rows = Rows()
    rows.run("1.0", run_id=b"\x01\x9a" + bytes(13) + b"\x01")
    rows.run("1.0", run_id=b"\x01\x9b" + bytes(13) + b"\x02")
    assert selected(rows, "019a") == [1]
    assert selected(rows, "019B") == [2]
    assert selected(rows, "01") == []


def test_selector_names_runs_by_full_ids() -> None:
    rows = Rows()
    for build in ("1.0", "1.1", "1.2"):
        rows.run(build)
    assert selected(rows, f"{FULL_ID}01,{FULL_ID}03") == [1, 3]
    assert selected(rows, "00000000-0000-0000-0000-000000000002") == [2]


def test_wanted_role_counts_in_a_build_that_holds_both() -> None:
    rows = Rows()
    rows.run("1.0", "edge")
    rows.run("1.0", "reference")
    rows.run("1.1", "reference")
    assert selected(rows, "1.0", "edge") == [1]
    assert selected(rows, "1.0", "reference") == [2]
    assert selected(rows, "1.0") == [1, 2]


def test_role_is_no_filter_where_it_would_find_nothing() -> None:
    rows = Rows()
    rows.run("1.1", "reference")
    assert selected(rows, "1.1", "edge") == [1]


def test_frames_meet_by_their_input() -> None:
    rows = Rows()
    edge, reference = rows.run("e"), rows.run("r", "reference")
    rows.frame(edge, "both.png")
    rows.frame(edge, "edge.png")
    rows.frame(reference, "both.png")
    rows.frame(reference, "reference.png")
    query = (
        "SELECT input_id, paired, edge_frame_id IS NULL, reference_frame_id IS NULL"
        " FROM frame_pairs('e', 'r')"
    )
    assert rows.ask(query) == [
        ("both.png", True, False, False),
        ("edge.png", False, False, True),
        ("reference.png", False, True, False),
    ]


def test_newest_frame_of_an_input_counts() -> None:
    rows = Rows()
    edge, reference = rows.run("e"), rows.run("r", "reference")
    rows.frame(edge, span_id=bytes(7) + b"\xa1", start_ns=1)
    rows.frame(edge, span_id=bytes(7) + b"\xa2", start_ns=3)
    rows.frame(edge, span_id=bytes(7) + b"\xa3", start_ns=2)
    rows.frame(reference)
    found = rows.ask("SELECT edge_frame_id FROM frame_pairs('e', 'r')")
    assert found == [("00000000000000a2",)]


def test_failed_frame_counts_only_where_all_failed() -> None:
    rows = Rows()
    edge = rows.run("e")
    rows.frame(edge, "a.png", status="ok", start_ns=1)
    rows.frame(edge, "a.png", status="error", start_ns=2)
    rows.frame(edge, "b.png", status="error", start_ns=3)
    found = rows.ask("SELECT input_id, edge_status FROM frame_pairs('e', 'r') ORDER BY 1")
    assert found == [("a.png", "ok"), ("b.png", "error")]


def test_later_frame_without_tensors_does_not_hide_a_measured_one() -> None:
    rows = Rows()
    edge, reference = rows.run("e"), rows.run("r", "reference")
    measured = rows.frame(edge)
    timed = rows.frame(edge, level="latency")
    rows.frame(reference)
    pairs = rows.ask("SELECT edge_level, measured FROM frame_pairs('e', 'r')")
    assert pairs == [("latency", True)]
    compared = rows.ask("SELECT edge_frame_id FROM _frame_measured('e', 'r')")
    assert [row[0] for row in compared] == [measured["span_id"]]
    assert timed["span_id"] != measured["span_id"]


def test_frame_without_tensors_is_paired_but_not_measured() -> None:
    rows = Rows()
    rows.frame(rows.run("e"), level="latency")
    rows.frame(rows.run("r", "reference"))
    assert rows.ask("SELECT paired, measured FROM frame_pairs('e', 'r')") == [(True, False)]
    assert rows.ask("SELECT * FROM _frame_measured('e', 'r')") == []


def test_frame_of_a_second_model_is_found_through_its_inference() -> None:
    rows = Rows()
    detector = rows.run("e", model_name="det", model_sha256="d0")
    classifier = rows.run("e", model_name="cls", model_sha256="c0")
    frame = rows.frame(detector)
    rows.span(frame, run_id=detector["run_id"])
    rows.span(frame, run_id=classifier["run_id"])
    found = rows.ask("SELECT model_name, hex_id(span_id) FROM _frame_seen('e') ORDER BY 1")
    frame_id = f"{1 + 2:016x}"
    assert found == [("cls", frame_id), ("det", frame_id)]


def test_repeated_frame_is_seen_once() -> None:
    rows = Rows()
    rows.frame(rows.run("e"))
    rows.tables["frames"] *= 2
    assert len(rows.ask("SELECT * FROM _frame_seen('e')")) == 1


def test_coverage_counts_inputs() -> None:
    rows = Rows()
    edge, reference = rows.run("e"), rows.run("r", "reference", kernels="builtin")
    for name in ("1", "2", "3"):
        rows.frame(edge, name)
    for name in ("2", "3", "4", "5"):
        rows.frame(reference, name, level="summary" if name == "2" else "latency")
    assert rows.ask("SELECT * FROM frame_coverage('e', 'r')") == [
        (5, 2, 1, 1, 2, "xnnpack", "builtin")
    ]


def test_coverage_of_nothing_is_zero() -> None:
    assert Rows().ask("SELECT * FROM frame_coverage('e', 'r')") == [(0, 0, 0, 0, 0, None, None)]


def test_run_list_counts_frames_and_right_answers() -> None:
    rows = Rows()
    run = rows.run("e")
    rows.frame(run, "a", label="3", prediction_ids=[3, 1])
    rows.frame(run, "b", label="3", prediction_ids=[1, 3], level="latency")
    rows.frame(run, "c", status="error", level="latency")
    rows.run("none")
    query = (
        "SELECT build, device, frames, failed_frames, measured_frames, labelled_frames, top1_ratio"
        " FROM run_list"
    )
    assert rows.ask(query) == [
        ("none", "pi5", 0, 0, 0, 0, None),
        ("e", "pi5", 3, 1, 1, 2, 0.5),
    ]


def test_layers_answer_as_the_alignment_says() -> None:
    rows = Rows()
    rows.run("e", model_sha256="aa")
    rows.run("r", "reference", model_sha256="bb")
    rows.graph("aa", [-1], [0], [1])
    rows.graph("bb", [-1], [0], [1], [2])
    rows.align("aa", "bb", {0: 1, 1: None})
    query = (
        "SELECT layer_index, reference_layer_index, reference_layer_name, method, reason"
        " FROM layer_pairs('e', 'r')"
    )
    assert rows.ask(query) == [
        (0, 1, "l1", "name", None),
        (1, None, None, "none", "no name alike"),
        (2, None, None, None, "the two models have not been aligned"),
    ]


def test_layers_of_one_model_answer_to_themselves() -> None:
    rows = Rows()
    rows.run("e")
    rows.run("r", "reference")
    rows.graph("aa", [-1], [0])
    query = "SELECT layer_index, reference_layer_index, method, reason FROM layer_pairs('e', 'r')"
    assert rows.ask(query) == [(0, 0, "same_model", None), (1, 1, "same_model", None)]


def test_unpaired_layers_of_both_models_are_listed() -> None:
    rows = Rows()
    rows.run("e", model_sha256="aa")
    rows.run("r", "reference", model_sha256="bb")
    rows.graph("aa", [-1], [0])
    rows.graph("bb", [-1], [0])
    rows.add(
        "graphs",
        rows.tables["graphs"][0]
        | {
            "layer_index": 2,
            "layer_name": "l2",
            "op": "SHAPE",
            "excluded_reason": "shape arithmetic",
        },
    )
    rows.align("aa", "bb", {0: 0, 1: None})
    query = "SELECT side, layer_name, excluded, reason FROM layer_unpaired('e', 'r')"
    assert rows.ask(query) == [
        ("edge", "l1", False, "no name alike"),
        ("edge", "l2", True, "shape arithmetic"),
        ("reference", "l1", False, "no edge layer answers to it"),
    ]


def test_sketches_are_those_of_frames_with_the_nearest_input() -> None:
    rows = Rows()
    edge, reference = rows.run("e"), rows.run("r", "reference", model_sha256="bb")
    for name, off in (("far", 4.0), ("near", 0.0), ("twice", 0.0)):
        for side, change in ((rows.frame(edge, name), off), (rows.frame(reference, name), 0.0)):
            rows.tensor(side, "input", [10.0 + change])
            rows.layer(side, 0, [1.0])
    rows.tensor(rows.tables["frames"][4], "input", [10.0], inference_index=1)
    rows.tables["tensors"] *= 2
    query = "SELECT side, input_sqnr_db, layer_index FROM layer_sketches('e', 'r', max_frames := 1)"
    assert rows.ask(query) == [("edge", 140.0, 0), ("reference", 140.0, 0)]
