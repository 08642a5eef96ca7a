import stat
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import exray
from exray.instrumentation.capture import Carrier, TensorRecorder
from exray.instrumentation.guard import forget_logged
from exray.instrumentation.installation_secret import installation_secret
from exray.instrumentation.keeping import Keeping
from exray.instrumentation.level import Level
from exray.instrumentation.privacy import (
    Privacy,
    carriers,
    carries_input,
    close_rows,
    parse_privacy,
    sums_allowed,
)
from exray.schema.errors import UsageError
from exray.schema.identity import input_key, sketch_family, tensor_hash
from exray.schema.keying import KEYED_PREFIX, keyed_hash, keyed_id
from exray.schema.records import FrameRecord, Graph, GraphOp, LayerSite, TensorBlock, TensorSite
from exray.schema.sketch import fold, sketch
from exray.testing import MemorySink, recording

from .builders import FakeModel, seen_tensors

SECRET = "0123456789abcdef0123456789abcdef"
FAMILY = 3
RNG = np.random.default_rng(5)


def make_block(
    count: int, role: str = "input", layer: LayerSite | None = None, level: Level = Level.SUMMARY
) -> TensorBlock:
    """Return a block of one tensor of *count* elements."""
    recorder = TensorRecorder(keeping=Keeping(level))
    values = make_values(count)
    site = TensorSite(role, "x", 0, "float32", values.shape, layer=layer)
    recorder.add(site, values, Carrier(1, 2, 3), FAMILY)
    return recorder.block()


def make_values(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(count).standard_normal((count, 1)).astype(np.float32)


def record(
    values: NDArray[np.float32],
    *,
    input_id: str | None = "cat.jpg",
    privacy: str = "closed",
    secret: str | None = SECRET,
) -> FrameRecord:
    """Return a frame of one model whose input is *values*, seen raw and in a stage too."""
    sink = MemorySink()
    with recording(sink, privacy=privacy, fleet_secret=secret) as recorder:
        model = FakeModel(recorder)
        with exray.frame(input_id=input_id) as frame:
            frame.raw(values)
            with exray.stage("preprocess") as stage:
                stage.output(values)
            model(values)
    return sink.frames[0]


# --- sums -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "kept"),
    [(1, 0), (127, 0), (128, 8), (490, 16), (1023, 32), (1024, 64), (4095, 64), (4096, 256)],
)
def test_of_an_input_at_most_one_sum_in_sixteen_elements_is_kept(count: int, kept: int) -> None:
    block = make_block(count)

    close_rows(block, [0])

    narrow = block.rows["sketch"][0]
    assert np.count_nonzero(~np.isnan(narrow)) == min(kept, 64)
    assert (0 in block.wide_sketches) == (kept == 256)
    assert kept <= max(count / 16, 0)


def test_what_is_kept_is_the_fold_of_the_sketch() -> None:
    block = make_block(490)

    close_rows(block, [0])

    expected = fold(sketch(make_values(490), FAMILY), 16)
    np.testing.assert_allclose(block.rows["sketch"][0, :16], expected, rtol=1e-5)


@pytest.mark.parametrize(("count", "withheld"), [(1, True), (95, True), (96, False)])
def test_sums_and_extremes_of_a_handful_of_elements_are_withheld(
    count: int, withheld: bool
) -> None:
    block = make_block(count)

    close_rows(block, [0])

    for name in ("sum", "sum2", "sum3", "sum4", "min", "max"):
        assert np.isnan(block.rows[name][0]) == withheld
    assert block.rows["count"][0] == count


def test_an_input_keeps_neither_histogram_nor_channels() -> None:
    block = make_block(5000, level=Level.DISTRIBUTION)
    assert (len(block.histograms), len(block.channels)) == (1, 1)

    close_rows(block, [0])

    assert (block.histograms, block.channels) == ({}, {})


def test_sums_allowed_never_exceed_the_wide_sketch() -> None:
    assert sums_allowed(10**9) == 256


# --- which tensors ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "expected"),
    [("raw", True), ("stage", True), ("input", True), ("output", False), ("custom", False)],
)
def test_outside_layers_the_role_tells_what_is_input(role: str, expected: bool) -> None:
    assert carries_input(TensorSite(role, "x", 0, "float32", (3,))) == expected


def make_op(index: int, op: str, *parents: int) -> GraphOp:
    return GraphOp(
        subgraph_index=0,
        layer_index=index,
        layer_name=f"l{index}",
        op=op,
        input_names=(),
        output_names=(),
        output_shapes=(),
        output_dtypes=(),
        output_scales=(),
        output_zero_points=(),
        parents=parents,
        macs=0,
        weight_bytes=0,
        activation_bytes=0,
    )


def test_layers_that_hand_the_model_input_on_count_as_input_until_one_computes() -> None:
    ops = (
        make_op(0, "QUANTIZE", -1),
        make_op(1, "MUL", 0),
        make_op(2, "RESHAPE", 1),
        make_op(3, "CONV_2D", 2),
        make_op(4, "RESHAPE", 3),
        make_op(5, "CONCATENATION", 2, 3),
    )

    assert carriers(Graph("net", "ab", ops)) == {0, 1, 2}


def test_without_a_graph_every_operator_that_moves_its_input_counts() -> None:
    def site(op: str) -> TensorSite:
        return TensorSite("layer", "x", 0, "float32", (3,), layer=LayerSite(4, "x", op))

    assert carries_input(site("Flatten"))
    assert not carries_input(site("Dense"))
    assert not carries_input(site("Flatten"), frozenset({3}))
    assert carries_input(site("Dense"), frozenset({4}))


# --- whole frames -------------------------------------------------------------------------


def test_a_closed_frame_is_named_and_hashed_with_the_secret() -> None:
    values = make_values(490)

    frame = record(values)

    key = SECRET.encode()
    assert frame.input_id == keyed_id("cat.jpg", key)
    assert frame.input_key == input_key(frame.input_id)
    (output,) = seen_tensors(frame, "output")
    assert frame.output_hash == output[1]["hash"] == keyed_hash(hash_of_output(), key)
    for role in ("raw", "stage", "input"):
        ((_, row),) = seen_tensors(frame, role)
        assert row["hash"] == keyed_hash(tensor_hash(values), key)
        assert np.count_nonzero(~np.isnan(row["sketch"])) == 16


def hash_of_output() -> int:
    return tensor_hash(np.ones(2, np.float32))


def test_the_sketch_is_of_the_family_that_the_recorded_key_says() -> None:
    values = make_values(490)

    frame = record(values)

    family = sketch_family(frame.input_key)
    assert family != sketch_family(input_key("cat.jpg"))  # else this would show nothing
    ((_, row),) = seen_tensors(frame, "input")
    expected = fold(sketch(values, family), 16)
    np.testing.assert_allclose(row["sketch"][:16], expected, rtol=1e-5)


def test_an_open_frame_is_kept_as_it_is() -> None:
    values = make_values(490)

    frame = record(values, privacy="open", secret=None)

    assert frame.input_id == "cat.jpg"
    assert frame.output_hash == hash_of_output()
    ((_, row),) = seen_tensors(frame, "input")
    assert row["hash"] == tensor_hash(values)
    assert not np.isnan(row["sketch"]).any()


def test_an_open_frame_with_the_fleets_secret_pairs_with_a_closed_one() -> None:
    """Its names and hashes are keyed, its sums are whole."""
    values = make_values(490)

    edge, reference = record(values), record(values, privacy="open")

    assert edge.input_key == reference.input_key
    ((_, ours),), ((_, theirs),) = (seen_tensors(f, "input") for f in (edge, reference))
    assert ours["hash"] == theirs["hash"]
    assert not np.isnan(theirs["sketch"]).any()


def test_another_secret_pairs_with_nothing() -> None:
    values = make_values(490)

    other = record(values, secret="another secret of some length")

    assert other.input_key != record(values).input_key
    assert other.output_hash != record(values).output_hash


@pytest.mark.parametrize("name", ["0017", "order 4711", "1.4.2", "files[3]"])
def test_a_name_that_is_no_file_name_is_the_applications_own_and_stays(name: str) -> None:
    assert record(make_values(490), input_id=name).input_id == name


@pytest.mark.parametrize("name", ["cat.jpg", "shelf/0017", r"C:\a", "a b.WAV", "0123456789abcdef"])
def test_a_file_name_a_path_and_a_content_hash_are_keyed(name: str) -> None:
    assert record(make_values(490), input_id=name).input_id.startswith(KEYED_PREFIX)


def test_a_frame_without_a_name_is_named_by_a_keyed_hash() -> None:
    values = make_values(490)

    edge, reference = record(values, input_id=None), record(values, input_id=None, privacy="open")

    assert edge.input_id.startswith(KEYED_PREFIX)
    assert edge.input_id == reference.input_id


def test_a_frame_that_waited_for_a_model_is_closed_once() -> None:
    sink = MemorySink()
    values = make_values(490)
    with recording(sink, privacy="closed", fleet_secret=SECRET) as recorder:
        with exray.frame(input_id="a.png") as frame:
            frame.raw(values)
        FakeModel(recorder)(values)

    ((_, row),) = seen_tensors(sink.frames[0], "raw")
    assert row["hash"] == keyed_hash(tensor_hash(values), SECRET.encode())


def test_a_frame_that_no_model_followed_is_closed_at_the_end() -> None:
    sink = MemorySink()
    with (
        recording(sink, privacy="closed", fleet_secret=SECRET),
        exray.frame(input_id="a.png") as frame,
    ):
        frame.raw(make_values(490))

    ((_, row),) = seen_tensors(sink.frames[0], "raw")
    assert np.count_nonzero(~np.isnan(row["sketch"])) == 16


# --- the installation's own secret --------------------------------------------------------


def test_without_a_fleet_secret_the_log_says_that_nothing_pairs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    forget_logged()

    first, second = record(make_values(490), secret=None), record(make_values(490), secret=None)

    assert first.input_id == second.input_id != keyed_id("cat.jpg", SECRET.encode())
    messages = [message for message in caplog.messages if "EXRAY_FLEET_SECRET" in message]
    assert len(messages) == 2  # once for each configuration
    assert "cat.jpg" not in "".join(messages)


def test_the_installations_secret_is_made_once_and_is_its_users_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    first, second = installation_secret(), installation_secret()

    file = tmp_path / "exray" / "installation_secret"
    assert first == second == file.read_bytes()
    assert len(first) == 64
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_where_it_cannot_be_kept_the_process_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    forget_logged()
    (tmp_path / "exray").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    assert installation_secret() != installation_secret()
    (message,) = caplog.messages
    assert "cannot be kept" in message


def test_a_damaged_secret_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "exray").mkdir()
    (tmp_path / "exray" / "installation_secret").write_text("short")

    assert installation_secret() != b"short"


def test_in_the_open_no_secret_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    Privacy("open")

    assert [*tmp_path.iterdir()] == []


def test_an_unknown_privacy_is_an_error() -> None:
    assert parse_privacy("open") == "open"
    with pytest.raises(UsageError, match="privacy 'shut' is unknown; expected one of closed, open"):
        parse_privacy("shut")
