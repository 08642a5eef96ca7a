from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exray.exporters import ExportResult, LakeExporter
from exray.instrumentation import api
from exray.instrumentation.config import Level
from exray.lake import Lake
from exray.playback.dataset import Dataset, Item, open_dataset
from exray.playback.labels import load_labels
from exray.playback.pipeline import Pipeline, play
from exray.playback.result import PlaybackResult
from exray.playback.spec import PreprocessSpec, spec_from_mapping
from exray.queries import connect
from exray.schema.errors import LakeError, ModelError, UsageError

from .builders import FLOAT, INT8, Array, make_arrays, make_images, make_model

SIGNED = spec_from_mapping({"image": {"values": {"range": [-1, 1]}}})


def pipeline(folder: Path, model: Path = FLOAT, **options: Any) -> Pipeline:
    given: dict[str, Any] = {"spec": None, "build": "b1", "role": "edge"} | options
    return Pipeline(model=model, lake=folder / "lake", **given)


def arrays(*inputs: Array, labels: Sequence[int | None] = ()) -> Dataset:
    """Return a dataset of arrays, with labels where there are some."""
    items = [
        Item(f"{i}", partial(np.asarray, value), labels[i] if labels else None)
        for i, value in enumerate(inputs)
    ]
    return Dataset(Path("arrays"), items)


def scores(*rows: Sequence[float]) -> list[Array]:
    return [np.array(row, np.float32) for row in rows]


def scoring_model(folder: Path, classes: int) -> Path:
    """Return a model whose output is its input."""
    return make_model(folder / "scores.tflite", shape=(1, classes))


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    return connect(Lake.open(folder / "lake")).execute(query).fetchall()


def failing(error: BaseException) -> Callable[[], Any]:
    def load() -> Any:
        raise error

    return load


# --- what is recorded ---------------------------------------------------------------------


def test_each_input_is_a_frame_of_one_run(tmp_path: Path) -> None:
    result = play(pipeline(tmp_path), open_dataset(make_images(tmp_path / "in")), None)
    assert result.frames == 3
    assert rows(tmp_path, "SELECT input_id, status FROM frames ORDER BY frame_index") == [
        ("000.png", "unset"),
        ("001.png", "unset"),
        ("002.png", "unset"),
    ]
    assert result.run is not None
    assert rows(tmp_path, "SELECT run_id, build, role, plain_output_equal FROM runs") == [
        (result.run.run_id, "b1", "edge", True)
    ]
    assert result.plain_output_equal is True


def test_each_frame_has_its_stages_and_the_inference(tmp_path: Path) -> None:
    play(pipeline(tmp_path), open_dataset(make_images(tmp_path / "in", 1)), None)
    names = rows(tmp_path, "SELECT name FROM spans ORDER BY start_ns")
    assert names == [("decode",), ("preprocess",), ("inference",)]


@pytest.mark.parametrize("model", [FLOAT, INT8])
def test_the_stage_preprocess_is_recorded_in_real_values_whatever_the_model_takes(
    tmp_path: Path, model: Path
) -> None:
    dataset = open_dataset(make_images(tmp_path / "in", 1))
    play(pipeline(tmp_path, model, spec=SIGNED), dataset, None)
    ((dtype, low, high),) = rows(
        tmp_path,
        "SELECT dtype, min, max FROM tensors WHERE tensor_role = 'stage'",
    )
    assert dtype == "float32"
    assert -1 <= low < -0.9
    assert 0.9 < high <= 1


def test_the_raw_input_is_recorded_as_decoded(tmp_path: Path) -> None:
    play(pipeline(tmp_path), open_dataset(make_images(tmp_path / "in", 1, (9, 5))), None)
    assert rows(tmp_path, "SELECT dtype, shape FROM tensors WHERE tensor_role = 'raw'") == [
        ("uint8", "9,5,3")
    ]


def test_the_declared_preprocessing_stands_in_the_run(tmp_path: Path) -> None:
    dataset = open_dataset(make_images(tmp_path / "in", 1))
    play(pipeline(tmp_path, spec=SIGNED), dataset, None)
    ((declared,),) = rows(tmp_path, "SELECT preprocess_json FROM runs")
    assert PreprocessSpec.model_validate_json(declared) == SIGNED


def test_level_latency_records_times_and_no_tensor(tmp_path: Path) -> None:
    dataset = open_dataset(make_images(tmp_path / "in"))
    result = play(pipeline(tmp_path, level=Level.LATENCY), dataset, None)
    assert result.plain_output_equal is True
    assert rows(tmp_path, "SELECT count(*) FROM frames") == [(3,)]
    assert rows(tmp_path, "SELECT count(*) FROM tensors") == [(0,)]


def test_level_off_records_nothing_and_makes_no_lake(tmp_path: Path) -> None:
    dataset = arrays(*scores([0, 1], [1, 0]), labels=[1, 1])
    result = play(
        pipeline(tmp_path, scoring_model(tmp_path, 2), level=Level.OFF, spec=None), dataset, None
    )
    assert not (tmp_path / "lake").exists()
    assert (result.run, result.plain_output_equal) == (None, None)
    assert (result.frames, result.correct, len(result.model_ms)) == (2, 1, 2)


def test_nothing_is_recorded_any_more_when_a_playback_has_ended(tmp_path: Path) -> None:
    play(pipeline(tmp_path), open_dataset(make_images(tmp_path / "in", 1)), None)
    assert api.current_recorder() is None


def test_progress_is_told_before_each_input_and_at_the_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    dataset = open_dataset(make_images(tmp_path / "in"))
    play(pipeline(tmp_path), dataset, None, lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


# --- inputs that fail ---------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["000.png", "002.png"])
def test_an_unreadable_image_is_reported_recorded_as_an_error_and_the_run_goes_on(
    tmp_path: Path, bad: str
) -> None:
    folder = make_images(tmp_path / "in")
    (folder / bad).write_bytes(b"no image")
    result = play(pipeline(tmp_path), open_dataset(folder), None)
    assert result.frames == 2
    assert list(result.failures) == [bad]
    assert "not a readable image" in result.failures[bad]
    assert result.run is not None
    ((run_id, status, message),) = rows(
        tmp_path, f"SELECT run_id, status, status_message FROM frames WHERE input_id = '{bad}'"
    )
    assert (run_id, status) == (result.run.run_id, "error")
    assert "not a readable image" in message


def test_where_every_input_fails_the_errors_are_of_the_models_run(tmp_path: Path) -> None:
    folder = make_images(tmp_path / "in", 2)
    for file in folder.iterdir():
        file.write_bytes(b"no image")
    result = play(pipeline(tmp_path), open_dataset(folder), None)
    assert (result.frames, len(result.failures)) == (0, 2)
    assert result.run is not None
    assert (
        rows(
            tmp_path,
            "SELECT r.run_id, r.model_name, f.status FROM frames AS f INNER JOIN runs AS r "
            "ON f.run_id = r.run_id",
        )
        == [(result.run.run_id, "tiny_float", "error")] * 2
    )


def test_an_array_that_does_not_fit_fails_alone(tmp_path: Path) -> None:
    dataset = arrays(np.zeros(7, np.float32), np.zeros((8, 8, 3), np.float32))
    result = play(pipeline(tmp_path), dataset, None)
    assert result.frames == 1
    assert list(result.failures) == ["0"]


def test_an_interrupted_playback_leaves_what_was_done_in_the_lake(tmp_path: Path) -> None:
    whole = arrays(*[np.zeros((8, 8, 3), np.float32)] * 3)
    interrupted = Dataset(
        whole.path, [*whole.items[:2], Item("2", failing(KeyboardInterrupt()), None)]
    )
    with pytest.raises(KeyboardInterrupt):
        play(pipeline(tmp_path), interrupted, None)
    assert api.current_recorder() is None
    assert rows(tmp_path, "SELECT input_id, status FROM frames ORDER BY input_id") == [
        ("0", "unset"),
        ("1", "unset"),
        ("2", "error"),
    ]


def test_a_mistake_of_our_own_is_not_counted_as_a_failed_input(tmp_path: Path) -> None:
    broken = Dataset(Path("arrays"), [Item("0", failing(ZeroDivisionError("ours")), None)])
    with pytest.raises(ZeroDivisionError, match="ours"):
        play(pipeline(tmp_path), broken, None)
    assert api.current_recorder() is None


# --- accuracy -----------------------------------------------------------------------------


def test_accuracy_counts_the_inputs_whose_best_class_is_the_label(tmp_path: Path) -> None:
    dataset = arrays(*scores([3, 2, 1], [3, 2, 1], [1, 3, 2]), labels=[0, 1, None])
    result = play(pipeline(tmp_path, scoring_model(tmp_path, 3), level=Level.OFF), dataset, None)
    assert (result.correct, result.labelled, result.frames) == (1, 2, 3)
    assert result.accuracy is not None
    assert result.accuracy.value == 0.5


def test_top5_counts_the_inputs_with_the_label_among_the_five_best(tmp_path: Path) -> None:
    falling = [7.0, 6, 5, 4, 3, 2, 1]
    dataset = arrays(*scores(falling, falling), labels=[4, 5])
    result = play(pipeline(tmp_path, scoring_model(tmp_path, 7), level=Level.OFF), dataset, None)
    assert (result.correct, result.correct_top5) == (0, 1)


def test_one_output_is_the_probability_of_class_1(tmp_path: Path) -> None:
    dataset = arrays(*scores([0.9], [0.2], [0.9]), labels=[1, 0, 0])
    result = play(pipeline(tmp_path, scoring_model(tmp_path, 1), level=Level.OFF), dataset, None)
    assert (result.correct, result.labelled) == (2, 3)


def test_integer_outputs_are_dequantized_before_the_best_class_is_taken(tmp_path: Path) -> None:
    dataset = open_dataset(make_images(tmp_path / "in", 4))
    result = play(pipeline(tmp_path, INT8), dataset, None)
    recorded = rows(tmp_path, "SELECT prediction_scores FROM frames")
    assert result.frames == len(recorded) == 4
    assert all(0 <= score <= 1 for (best,) in recorded for score in best)


def test_labels_of_a_csv_come_before_those_of_the_npz(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\n0,2\n", "utf-8")
    dataset = arrays(*scores([1, 2, 3], [1, 2, 3]), labels=[0, 0])
    labels = load_labels(tmp_path / "labels.csv")
    model = scoring_model(tmp_path, 3)
    result = play(pipeline(tmp_path, model, level=Level.OFF), dataset, labels)
    assert (result.correct, result.labelled) == (1, 1)


def test_labels_are_recorded_with_the_offset(tmp_path: Path) -> None:
    file = make_arrays(tmp_path / "in.npz", np.ones((2, 3), np.float32), labels=np.array([0, 1]))
    dataset = open_dataset(file, label_offset=1)
    play(pipeline(tmp_path, scoring_model(tmp_path, 3)), dataset, None)
    assert rows(tmp_path, "SELECT label FROM frames ORDER BY input_id") == [("1",), ("2",)]


def test_labels_that_match_in_part_are_used_and_the_others_told(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\n000.png,2\nother.png,1\n", "utf-8")
    dataset = open_dataset(make_images(tmp_path / "in"))
    labels = load_labels(tmp_path / "labels.csv")
    result = play(pipeline(tmp_path, level=Level.OFF), dataset, labels)
    assert result.labelled == 1
    assert result.notes() == [
        "2 inputs without label (001.png, 002.png); 1 labels without input (other.png)"
    ]
    assert result.notes(is_part=True) == ["2 inputs without label (001.png, 002.png)"]


def test_labels_that_match_no_input_are_an_error_with_examples(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\nother.png,1\n", "utf-8")
    dataset = open_dataset(make_images(tmp_path / "in"))
    with pytest.raises(UsageError, match=r"none of 1 keys .* \(000\.png, .* \(other\.png\)"):
        play(pipeline(tmp_path), dataset, load_labels(tmp_path / "labels.csv"))
    assert not (tmp_path / "lake").exists()


def test_labels_that_are_no_class_of_the_model_are_told(tmp_path: Path) -> None:
    dataset = arrays(*scores([1, 2, 3], [1, 2, 3]), labels=[3, 2])
    result = play(pipeline(tmp_path, scoring_model(tmp_path, 3), level=Level.OFF), dataset, None)
    (note,) = result.notes()
    assert note.startswith("1 inputs with a label above the model's last class, 2, or below 0 ('0'")


# --- what cannot be played ----------------------------------------------------------------


def test_a_model_that_is_not_there_makes_no_lake(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        play(pipeline(tmp_path, tmp_path / "no.tflite"), arrays(), None)
    assert not (tmp_path / "lake").exists()


def test_a_model_that_the_runtime_refuses_leaves_nothing_patched_and_no_lake(
    tmp_path: Path,
) -> None:
    model = make_model(tmp_path / "m.tflite", custom_code="NotThere")
    with pytest.raises(ModelError, match="NotThere"):
        play(pipeline(tmp_path, model), arrays(), None)
    assert api.current_recorder() is None
    assert not (tmp_path / "lake").exists()


def test_a_failed_start_leaves_a_lake_that_was_there(tmp_path: Path) -> None:
    Lake.open_or_create(tmp_path / "lake")
    model = make_model(tmp_path / "m.tflite", custom_code="NotThere")
    with pytest.raises(ModelError, match="NotThere"):
        play(pipeline(tmp_path, model), arrays(), None)
    Lake.open(tmp_path / "lake")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [("role", "device", "role 'device' is unknown"), ("build", " ", "build ' ' is no name")],
)
def test_a_bad_role_or_build_is_an_error_at_every_level(
    tmp_path: Path, field: str, value: str, message: str
) -> None:
    options: dict[str, Any] = {"level": Level.OFF, field: value}
    wrong = pipeline(tmp_path, **options)
    with pytest.raises(UsageError, match=message):
        play(wrong, arrays(), None)


def test_a_folder_that_is_not_a_lake_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "thesis.txt").write_text("not yours", "utf-8")
    with pytest.raises(LakeError, match="is not a lake"):
        play(pipeline(tmp_path), arrays(np.zeros((8, 8, 3), np.float32)), None)
    assert api.current_recorder() is None


def test_records_that_cannot_be_written_are_an_error_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LakeExporter, "export", lambda *_: ExportResult.FAILURE)
    with pytest.raises(LakeError, match=r"not every frame could be written to lake '.*lake'"):
        play(pipeline(tmp_path), arrays(np.zeros((8, 8, 3), np.float32)), None)


def test_a_spec_that_does_not_fit_is_one_error_before_the_first_input(tmp_path: Path) -> None:
    wrong = spec_from_mapping({"image": {"resize": {"size": [9, 9]}}})
    images = open_dataset(make_images(tmp_path / "images"))
    with pytest.raises(UsageError, match=r"makes images of shape \(9, 9, 3\)"):
        play(pipeline(tmp_path, spec=wrong), images, None)
    assert api.current_recorder() is None


def test_a_model_input_that_was_mostly_clamped_is_told(tmp_path: Path) -> None:
    model = make_model(
        tmp_path / "m.tflite", shape=(1, 8, 8, 3), dtype="INT8", quantized=True, op="DEQUANTIZE"
    )
    images = open_dataset(make_images(tmp_path / "images"))
    raw, scaled = (spec_from_mapping({"image": {"values": v}}) for v in ("raw", {"range": [0, 9]}))
    assert "was clamped" in (play(pipeline(tmp_path, model, spec=raw), images, None).clamping or "")
    assert play(pipeline(tmp_path, model, spec=scaled), images, None).clamping is None


def test_an_output_that_is_no_vector_of_scores_has_no_accuracy(tmp_path: Path) -> None:
    model = make_model(tmp_path / "map.tflite", shape=(1, 2, 3))
    found = arrays(np.zeros((2, 3), np.float32), labels=[0])
    result = play(pipeline(tmp_path, model), found, None)
    assert result.accuracy is None
    (note,) = result.notes()
    assert note.startswith("no accuracy, because the model's first output, of shape (1, 2, 3), is")
    assert rows(tmp_path, "SELECT prediction_ids FROM frames") == [(None,)]


# --- the result ---------------------------------------------------------------------------


def test_a_result_without_labels_or_frames_has_no_accuracy_and_no_latency() -> None:
    result = PlaybackResult()
    assert (result.accuracy, result.top5, result.latency_ms) == (None, None, None)


def test_latency_is_median_and_99th_percentile() -> None:
    result = PlaybackResult(model_ms=[float(i) for i in range(101)])
    assert result.latency_ms == (50.0, 99.0)
