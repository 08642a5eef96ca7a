"""Right and wrong answers of a build, and where two builds differ."""

from .builders import Rows


def answers(rows: Rows, build: str, role: str, **top1: int | None) -> None:
    """A run that gave these classes; the label of every input is 1."""
    run = rows.run(build, role)
    for name, best in top1.items():
        ids = None if best is None else [best, 9]
        rows.frame(run, name, label="1", prediction_ids=ids, level="latency")


def test_accuracy_counts_inputs() -> None:
    rows = Rows()
    answers(rows, "e", "edge", a=1, b=2, c=1, d=None)
    query = "SELECT role, frames, failed, predicted, judged, correct FROM outcome_accuracy('e')"
    assert rows.ask(query) == [("edge", 4, 0, 3, 3, 2)]


def test_accuracy_of_a_build_with_both_roles_is_told_apart() -> None:
    rows = Rows()
    answers(rows, "b", "edge", a=1)
    answers(rows, "b", "reference", a=2)
    query = "SELECT role, correct, top1_ratio FROM outcome_accuracy('b')"
    assert rows.ask(query) == [("edge", 1, 1.0), ("reference", 0, 0.0)]


def test_without_labels_nothing_is_judged() -> None:
    rows = Rows()
    run = rows.run("e")
    rows.frame(run, "a", prediction_ids=[1])
    rows.frame(run, "b", prediction_ids=[1], label="cat")
    query = "SELECT predicted, judged, correct, top1_ratio FROM outcome_accuracy('e')"
    assert rows.ask(query) == [(2, 0, 0, None)]


def test_newest_answer_to_an_input_counts() -> None:
    rows = Rows()
    answers(rows, "e", "edge", a=2)
    answers(rows, "e", "edge", a=1)
    assert rows.ask("SELECT frames, correct FROM outcome_accuracy('e')") == [(1, 1)]


def test_comparison_counts_the_table_of_mcnemar() -> None:
    rows = Rows()
    answers(rows, "e", "edge", a=1, b=1, c=2, d=2, f=3, only_edge=1, silent=None)
    answers(rows, "r", "reference", a=1, b=2, c=1, d=2, f=2, silent=1)
    query = (
        "SELECT paired, predicted, judged, both_correct, edge_only_correct,"
        " reference_only_correct, both_wrong, top1_differs FROM outcome_compare('e', 'r')"
    )
    assert rows.ask(query) == [(6, 5, 5, 1, 1, 1, 2, 3)]


def test_flips_begin_with_those_that_became_wrong() -> None:
    rows = Rows()
    answers(rows, "e", "edge", a=1, b=2, c=3, same=1)
    answers(rows, "r", "reference", a=2, b=1, c=2, same=1)
    query = (
        "SELECT input_id, edge_top1, reference_top1, edge_correct, reference_correct"
        " FROM outcome_flips('e', 'r')"
    )
    assert rows.ask(query) == [
        ("b", 2, 1, False, True),
        ("a", 1, 2, True, False),
        ("c", 3, 2, False, False),
    ]


def test_label_that_one_side_lacks_is_the_others() -> None:
    rows = Rows()
    rows.frame(rows.run("e"), "a", prediction_ids=[2])
    answers(rows, "r", "reference", a=1)
    query = "SELECT judged, reference_only_correct FROM outcome_compare('e', 'r')"
    assert rows.ask(query) == [(1, 1)]


def test_task_scores_pair_inputs_that_both_sides_judged() -> None:
    rows = Rows()
    for build, role, values in (("e", "edge", (0.2, 0.4)), ("r", "reference", (0.3, 0.9))):
        run = rows.run(build, role)
        for number, (name, value) in enumerate(zip(("a", "b"), values, strict=True)):
            frame = rows.frame(run, name)
            rows.metric(run, "task.iou", value, number, frame=frame)
            rows.metric(run, "light", 300.0, number, frame=frame)
    alone = rows.frame(rows.run("e", "edge"), "c")
    rows.metric(rows.run("e", "edge"), "task.iou", 1.0, 9, frame=alone)
    query = "SELECT metric, input_id, edge_value, reference_value FROM task_scores('e', 'r')"
    assert rows.ask(query) == [("iou", "a", 0.2, 0.3), ("iou", "b", 0.4, 0.9)]


def test_the_newest_frame_of_an_input_has_its_score() -> None:
    rows = Rows()
    for build, role, values in (("e", "edge", (0.2, 0.4)), ("r", "reference", (0.5,))):
        run = rows.run(build, role)
        for number, value in enumerate(values):
            rows.metric(run, "task.ap", value, number, frame=rows.frame(run, "a"))
    assert rows.ask("SELECT edge_value FROM task_scores('e', 'r')") == [(0.4,)]
