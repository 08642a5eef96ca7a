"""What a Keras model is known by."""

import importlib
from pathlib import Path
from typing import Any

import pytest

import exray
from exray.instrumentation.keras_identity import digest_of_model, digest_of_path, format_of
from exray.schema.identity import file_sha256
from exray.testing import MemorySink, recording

from .keras_builders import functional, sequential, subclassed, unbuilt, vectors

pytestmark = pytest.mark.keras


@pytest.fixture(name="keras", scope="module")
def keras_fixture() -> Any:
    pytest.importorskip("tensorflow")
    return importlib.import_module("keras")


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path) -> Path:
    folder = tmp_path / "net.v2"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "data").write_bytes(b"weights")
    return folder


def test_a_format_is_that_of_the_file_and_a_folder_is_a_saved_model(folder: Path) -> None:
    assert [format_of(p) for p in (None, Path("m.H5"), Path("m.keras"), folder)] == [
        "keras",
        "h5",
        "keras",
        "saved_model",
    ]


def test_a_file_has_the_digest_of_its_bytes(folder: Path) -> None:
    file = folder / "saved_model.pb"
    assert digest_of_path(file) == file_sha256(file)


def test_a_folders_digest_changes_with_any_byte_or_name_in_it(folder: Path) -> None:
    file = folder / "variables" / "data"
    digests = {digest_of_path(folder), digest_of_path(folder)}
    file.write_bytes(b"others")
    digests.add(digest_of_path(folder))
    file.rename(file.with_name("other"))
    digests.add(digest_of_path(folder))
    assert len(digests) == 3


def test_a_file_that_is_missing_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        digest_of_path(tmp_path / "gone.keras")


def test_a_models_digest_changes_with_its_weights_names_and_settings(keras: Any) -> None:
    keras.utils.set_random_seed(1)
    model = sequential(keras)
    digests = [digest_of_model(model), digest_of_model(model)]
    assert len(set(digests)) == 1

    weights = model.get_weights()
    model.layers[0].activation = keras.activations.relu6
    digests.append(digest_of_model(model))
    model.set_weights([weight * 2 for weight in weights])
    digests.append(digest_of_model(model))
    model.layers[0].name = "renamed"
    digests.append(digest_of_model(model))
    digests.append(digest_of_model(functional(keras)))
    assert len(set(digests)) == 5


def test_the_name_of_the_model_itself_does_not_count(keras: Any) -> None:
    """Keras numbers the models that nobody named."""
    layer = keras.layers.Dense(2, name="only")
    first, second = (keras.Sequential([keras.Input((3,)), layer]) for _ in range(2))
    assert first.name != second.name
    assert digest_of_model(first) == digest_of_model(second)


# --- in a run --------------------------------------------------------------------------


def test_a_run_names_its_model_and_runtime(keras: Any) -> None:
    model, sink = sequential(keras), MemorySink()
    with recording(sink):
        model(vectors())

    (run,) = sink.runs.values()
    assert (run.model_name, run.model_format, run.model_precision) == ("row", "keras", "float32")
    assert (run.runtime_name, run.runtime_version) == ("keras", keras.__version__)
    assert run.kernels == "tensorflow"
    assert list(sink.graphs) == [run.model_sha256]


@pytest.mark.parametrize("make", [unbuilt, subclassed])
def test_a_model_that_its_first_call_builds_is_identified_after_it(keras: Any, make: Any) -> None:
    model, other, sink = make(keras), make(keras), MemorySink()
    with recording(sink):
        model(vectors())
        other(vectors())
    other.set_weights(model.get_weights())
    with recording(sink):
        other(vectors())

    digests = [frame.run.model_sha256 for frame in sink.frames]
    assert digests[0] == digests[2] != digests[1]
    assert list(sink.graphs) == digests[:2]
    shapes = [op.output_shapes for op in sink.graphs[digests[0]].ops]
    assert shapes[-1] == ("1,2",)


def test_a_model_whose_first_call_fails_is_identified_once_one_succeeds(keras: Any) -> None:
    class Moody(keras.Model):  # type: ignore[misc]
        fails = True

        def call(self, inputs: Any) -> Any:
            if self.fails:
                raise ZeroDivisionError
            return inputs * 2

    model, sink = Moody(), MemorySink()
    with recording(sink):
        with pytest.raises(ZeroDivisionError):
            model(vectors())
        model.fails = False
        model(vectors())

    failed, succeeded = sink.frames
    assert failed.run is succeeded.run
    assert list(sink.graphs) == [succeeded.run.model_sha256]


def test_a_subclassed_model_that_is_only_predicted_has_a_graph_with_shapes(keras: Any) -> None:
    model, sink = subclassed(keras), MemorySink()
    with recording(sink):
        model.predict_on_batch(vectors())

    (graph,) = sink.graphs.values()
    assert graph.model_sha256 == sink.frames[0].run.model_sha256
    assert [op.output_shapes for op in graph.ops] == [("1,3",), ("1,2",)]


# Keras 3.15 reads its variables in a way that numpy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_model_without_a_path_is_known_by_its_structure_and_weights(
    keras: Any, tmp_path: Path
) -> None:
    model, sink = sequential(keras), MemorySink()
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    changed = keras.models.load_model(tmp_path / "m.keras")
    changed.layers[0].activation = keras.activations.relu6
    trained = keras.models.load_model(tmp_path / "m.keras")
    trained.set_weights([weight + 1 for weight in model.get_weights()])
    with recording(sink):
        for one in (model, loaded, changed, trained):
            one(vectors())

    digests = [frame.run.model_sha256 for frame in sink.frames]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_weights_that_change_later_leave_the_open_run_as_it_was(keras: Any) -> None:
    model, sink = sequential(keras), MemorySink()
    with recording(sink):
        model(vectors())
        model.set_weights([weight + 1 for weight in model.get_weights()])
        model(vectors())
    with recording(sink):
        model(vectors())

    before, open_still, after = (frame.run for frame in sink.frames)
    assert before is open_still
    assert before.model_sha256 != after.model_sha256


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_model_whose_path_is_given_is_known_by_its_file(keras: Any, tmp_path: Path) -> None:
    model, sink = sequential(keras), MemorySink()
    model.save(tmp_path / "kept.keras")
    model.export(tmp_path / "served", verbose=False)
    for path in (tmp_path / "kept.keras", tmp_path / "served"):
        with recording(sink):
            one = keras.models.clone_model(model)
            assert exray.instrument(one, path=path, init_ns=7) is one
            one(vectors())

    file, folder = (frame.run for frame in sink.frames)
    assert (file.model_name, file.model_format, file.init_ns) == ("kept", "keras", 7)
    assert file.model_sha256 == file_sha256(tmp_path / "kept.keras")
    assert (folder.model_name, folder.model_format) == ("served", "saved_model")
    assert len(folder.model_sha256) == 64


def test_a_path_is_taken_until_the_model_has_run(keras: Any, tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_bytes(b"a")
    early, late, sink = sequential(keras), sequential(keras), MemorySink()
    with recording(sink):
        exray.instrument(early)
        exray.instrument(early, path=tmp_path / "m.keras")
        early(vectors())
        late(vectors())
        exray.instrument(late, path=tmp_path / "m.keras")
        late(vectors())

    names = [frame.run.model_name for frame in sink.frames]
    assert names == ["m", "row", "row"]


def test_a_file_that_is_gone_leaves_the_model_known_by_its_weights(
    keras: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain, model, sink = sequential(keras), sequential(keras), MemorySink()
    model.set_weights(plain.get_weights())
    with recording(sink):
        plain(vectors())
        exray.instrument(model, path=tmp_path / "gone.keras")
        model(vectors())

    assert sink.frames[0].run.model_sha256 == sink.frames[1].run.model_sha256
    assert "identified by its weights" in caplog.text
