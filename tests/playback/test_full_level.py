"""Level full from a playback to the .npy file of one layer."""

import logging
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from exray.cli import make_app
from exray.exporters.lake import LakeExporter
from exray.instrumentation.level import Level
from exray.lake import Lake, tensors
from exray.playback.dataset import open_dataset
from exray.playback.pipeline import Pipeline, play
from exray.queries import connect
from exray.queries.whole_tensor import Wanted, read_tensor
from exray.schema.errors import DataError, SelectionError, UsageError
from exray.schema.identity import tensor_hash
from exray.schema.keying import keyed_hash

DEMO = Path(str(files("exray.playback"))) / "demo"
SECRET = "0123456789abcdef0123456789abcdef"
INPUT = "00_red_left.png"


def record(tmp_path: Path, level: Level = Level.FULL, layers: str | None = None) -> Path:
    """Play one input of the demo into a lake."""
    pytest.importorskip("ai_edge_litert.interpreter")
    pipeline = Pipeline(
        model=DEMO / "demo_int8.tflite",
        spec=None,
        build="b",
        role="edge",
        lake=tmp_path / "lake",
        level=level,
        layers=layers,
    )
    play(pipeline, open_dataset(DEMO / "images", limit=1), None)
    return tmp_path / "lake"


def ask(lake: Path, query: str) -> list[tuple[object, ...]]:
    with connect(Lake.open(lake)) as connection:
        return connection.execute(query).fetchall()


def read(lake: Path, **wanted: object) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    with connect(Lake.open(lake)) as connection:
        given = Wanted("b", INPUT, **wanted)  # type: ignore[arg-type] # a test's own words
        return read_tensor(connection, lake, given).array


def test_every_tensor_of_a_frame_is_the_one_whose_hash_its_row_has(tmp_path: Path) -> None:
    lake = record(tmp_path)

    rows = ask(
        lake,
        "SELECT DISTINCT layer_index, hash, dtype, shape FROM tensors"
        " WHERE tensor_role = 'layer' AND tensor_index = 0",
    )

    assert len(rows) > 3
    for index, expected, dtype, shape in rows:
        array = read(lake, layer=str(index))
        assert (tensor_hash(array), array.dtype.name) == (expected, dtype)
        assert ",".join(map(str, array.shape)) == shape


def test_raw_stage_input_and_output_are_kept_too(tmp_path: Path) -> None:
    lake = record(tmp_path)

    rows = ask(lake, "SELECT tensor_role, hash FROM tensors WHERE layer_index IS NULL")
    hashes = {str(role): expected for role, expected in rows}

    assert {*hashes} == {"raw", "stage", "input", "output"}
    for role, expected in hashes.items():
        assert tensor_hash(read(lake, role=role)) == expected


def test_a_keyed_tensor_is_found_by_its_keyed_hash_and_plain_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXRAY_FLEET_SECRET", SECRET)
    lake = record(tmp_path)

    ((stored,),) = ask(lake, "SELECT hash FROM tensors WHERE tensor_role = 'input'")

    array = read(lake, role="input")
    assert stored == keyed_hash(tensor_hash(array), SECRET.encode())


def test_a_selector_keeps_one_layer_whole(tmp_path: Path) -> None:
    lake = record(tmp_path, Level.SUMMARY, layers="*,0=full")

    assert read(lake, layer="0").size
    with pytest.raises(DataError, match=r"layer 1 .* is not kept whole"):
        read(lake, layer="1")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"layer": "99"}, "layer '99' has 0 tensors in this frame.*tensors there: "),
        ({"role": "custom"}, "role 'custom' has 0 tensors"),
        ({"index": 5}, "role 'output' has 1 tensors in this frame, so none at --index 5"),
    ],
)
def test_a_tensor_that_is_not_there_is_an_error_with_those_that_are(
    tmp_path: Path, wanted: dict[str, object], message: str
) -> None:
    lake = record(tmp_path, Level.SUMMARY)

    with pytest.raises(SelectionError, match=message):
        read(lake, **wanted)


def test_the_command_writes_a_file_that_numpy_reads(tmp_path: Path) -> None:
    lake, out = record(tmp_path), tmp_path / "x.npy"
    options = ["--build", "b", "--input", INPUT, "--layer", "0", "--out", str(out)]

    done = CliRunner().invoke(make_app(), ["tensor", *options, "--lake", str(lake)])

    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(np.load(out), read(lake, layer="0"))
    assert str(out) in done.output

    nowhere = str(tmp_path / "nowhere" / "x.npy")
    refused = CliRunner().invoke(
        make_app(), ["tensor", *options[:-1], nowhere, "--lake", str(lake)]
    )
    assert isinstance(refused.exception, UsageError)
    assert f"tensor '{nowhere}' cannot be written" in str(refused.exception)


def test_an_input_that_nobody_recorded_is_an_error_that_says_how_to_list_them(
    tmp_path: Path,
) -> None:
    lake = record(tmp_path, Level.SUMMARY)

    with (
        connect(Lake.open(lake)) as connection,
        pytest.raises(SelectionError, match=r"no frame of input 'nobody\.png' with tensors"),
    ):
        read_tensor(connection, lake, Wanted("b", "nobody.png"))


@pytest.mark.parametrize("failure", ["full", "small"])
def test_where_tensors_cannot_be_kept_the_rows_are_and_the_log_says_so_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: str,
) -> None:
    caplog.set_level(logging.WARNING)
    if failure == "full":
        monkeypatch.setattr(tensors, "write_synced", _raise_full)
    else:
        monkeypatch.setenv("EXRAY_FULL_RING_BYTES", "10")

    lake = record(tmp_path)

    assert ask(lake, "SELECT level FROM frames") == [("full",)]
    told = [message for message in caplog.messages if "are not kept" in message]
    expected = "no space left" if failure == "full" else "larger than the limit of the ring"
    assert [expected in message for message in told] == [True]


def _raise_full(path: Path, content: memoryview) -> None:
    raise OSError(28, "No space left on device")


def test_below_level_full_nothing_is_written_beside_the_tables(tmp_path: Path) -> None:
    lake = record(tmp_path, Level.DISTRIBUTION)

    assert not (lake / tensors.FOLDER).exists()
    rows = ask(lake, "SELECT count(*) FROM tensors WHERE histogram IS NULL")
    assert rows == [(0,)]


def test_an_exporter_takes_the_size_of_its_ring(tmp_path: Path) -> None:
    make: Callable[..., LakeExporter] = LakeExporter

    assert make(tmp_path / "lake", full_ring_bytes=10).path == str(tmp_path / "lake")
