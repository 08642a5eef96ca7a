"""Folders and npz files as recorded inputs."""

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from exray.playback.dataset import Dataset, open_dataset
from exray.schema.errors import DataError, UsageError


def save_image(path: Path, level: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (3, 2), (level, level, level)).save(path)


def save_npz(folder: Path, **arrays: NDArray[Any]) -> Path:
    path = folder / "x.npz"
    savez: Any = np.savez  # its type takes the arrays' names for those of its options
    savez(path, **arrays)
    return path


def ids(dataset: Dataset) -> list[str]:
    return [item.input_id for item in dataset]


def test_folder_gives_its_images_by_relative_path_in_order(tmp_path: Path) -> None:
    for name in ("b.png", "a/z.PNG", "a/b/c.bmp", "A.jpeg"):
        save_image(tmp_path / name)
    assert ids(open_dataset(tmp_path)) == ["A.jpeg", "a/b/c.bmp", "a/z.PNG", "b.png"]


def test_other_and_hidden_files_are_passed_over(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png")
    save_image(tmp_path / ".cache" / "a.png")
    (tmp_path / "labels.csv").write_text("file,label\na.png,1\n")
    (tmp_path / "._a.png").write_bytes(b"resource fork")
    assert ids(open_dataset(tmp_path)) == ["a.png"]


def test_image_is_read_when_asked_for(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png", level=7)
    item = open_dataset(tmp_path)[0]
    np.testing.assert_array_equal(item.load(), np.full((2, 3, 3), 7, np.uint8))
    assert item.label is None


def test_unreadable_image_fails_alone(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    dataset = open_dataset(tmp_path)
    assert len(dataset) == 2
    assert dataset[0].load().shape == (2, 3, 3)
    with pytest.raises(DataError, match=r"b.png: not a readable image"):
        dataset[1].load()


def test_folder_without_images_lists_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").touch()
    (tmp_path / "b.mp3").touch()
    with pytest.raises(
        UsageError, match=r"no image, found 2 \.mp3; expected .*\.png .*\.wav \.txt"
    ):
        open_dataset(tmp_path)


def test_recordings_of_a_folder_are_inputs(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.array([1, -1, 2, -2], "<i2").tobytes())
    item = open_dataset(tmp_path)[0]
    assert item.load().tolist() == [1, 2]
    assert item.sample_rate_hz() == 8000


def test_damaged_recording_is_named_when_it_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    item = open_dataset(tmp_path)[0]
    assert item.sample_rate_hz() is None
    with pytest.raises(DataError, match=r"a\.wav: not a readable wav file"):
        item.load()


def test_images_of_a_folder_count_before_its_texts(tmp_path: Path) -> None:
    (tmp_path / "LICENSE.txt").write_text("free")
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    assert [item.input_id for item in open_dataset(tmp_path)] == ["a.png"]


def test_texts_of_a_csv_are_inputs(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text('file,label,text\nx.txt,1,"so, good"\n,0,bad\n')
    items = open_dataset(path)
    assert [item.input_id for item in items] == ["x.txt", "000001"]
    assert items[0].load().tobytes() == b"so, good"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,review\na,b\n", "no column 'text', got file, review"),
        ("file,text\na,b\na,c\n", "'a' twice in column 'file'"),
    ],
)
def test_csv_that_names_no_texts_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        open_dataset(path)


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no image, found nothing"):
        open_dataset(tmp_path)


def test_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone: does not exist, expected a folder"):
        open_dataset(tmp_path / "gone")


def test_file_that_is_no_npz_is_refused(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png")
    with pytest.raises(UsageError, match=r"a.png: is another file, expected .* Name the folder"):
        open_dataset(tmp_path / "a.png")


def test_limit_keeps_the_first(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        save_image(tmp_path / name)
    assert ids(open_dataset(tmp_path, limit=2)) == ["a.png", "b.png"]
    assert ids(open_dataset(tmp_path, limit=9)) == ["a.png", "b.png", "c.png"]


def test_limit_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="limit: got 0, expected 1 or more"):
        open_dataset(tmp_path, limit=0)


def test_npz_images_win_over_inputs_and_larger_arrays(tmp_path: Path) -> None:
    images = np.arange(8, dtype=np.uint8).reshape(2, 4)
    path = save_npz(tmp_path, other=np.zeros((9, 9)), inputs=np.zeros((3, 1)), images=images)
    dataset = open_dataset(path)
    assert len(dataset) == 2
    np.testing.assert_array_equal(dataset[1].load(), images[1])
    assert dataset[1].load().dtype == np.uint8


def test_npz_inputs_win_over_larger_arrays(tmp_path: Path) -> None:
    path = save_npz(tmp_path, other=np.zeros((9, 9)), inputs=np.zeros((3, 1)))
    assert len(open_dataset(path)) == 3


def test_largest_array_is_the_input_and_never_labels_or_files(tmp_path: Path) -> None:
    path = save_npz(
        tmp_path,
        small=np.zeros((4, 1)),
        large=np.ones((5, 2)),
        labels=np.zeros((5,), np.int64),
        files=np.array(["name" * 20 + str(i) for i in range(5)]),
        note=np.array("x" * 1000),
    )
    np.testing.assert_array_equal(open_dataset(path)[0].load(), [1, 1])


def test_npz_ids_are_its_files_or_the_padded_index(tmp_path: Path) -> None:
    images = np.zeros((2, 4), np.uint8)
    assert ids(open_dataset(save_npz(tmp_path, images=images))) == ["000000", "000001"]
    named = save_npz(tmp_path, images=images, files=np.array(["x/a.bin", "b.bin"]))
    assert ids(open_dataset(named)) == ["x/a.bin", "b.bin"]


def test_npz_labels_come_with_their_items(tmp_path: Path) -> None:
    path = save_npz(tmp_path, images=np.zeros((3, 4)), labels=np.array([[4], [0], [255]], np.uint8))
    assert [item.label for item in open_dataset(path)] == [4, 0, 255]
    assert [item.label for item in open_dataset(path, label_offset=1)] == [5, 1, 256]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"note": np.array("text")}, r"no array of numbers, got \['note'\]"),
        ({"labels": np.zeros(3, np.int64)}, r"no array of numbers, got \['labels'\]"),
        ({"images": np.zeros((0, 4))}, r"'images' has shape \(0, 4\)"),
        ({"images": np.array(["a.png"])}, r"'images' has shape \(1,\) and dtype <U5"),
        ({"images": np.array(1.0)}, r"'images' has shape \(\)"),
        ({"images": np.zeros((2, 4)), "labels": np.zeros(3, np.int64)}, r"expected 2 integers"),
        ({"images": np.zeros((2, 4)), "labels": np.zeros(2)}, r"'labels' .* dtype float64"),
        ({"images": np.zeros((2, 4)), "files": np.array(["a"])}, r"holds 1 names for 2 inputs"),
        ({"images": np.zeros((2, 4)), "files": np.array(["a", "a"])}, r"holds 'a' twice"),
    ],
)
def test_npz_that_cannot_be_inputs_says_why(
    tmp_path: Path, arrays: dict[str, NDArray[Any]], message: str
) -> None:
    path = save_npz(tmp_path, **arrays)
    with pytest.raises(UsageError, match=message):
        open_dataset(path)


def test_empty_npz_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no array of numbers, got \[\]"):
        open_dataset(save_npz(tmp_path))


def test_pickled_npz_is_refused(tmp_path: Path) -> None:
    path = save_npz(tmp_path, images=np.array([{"any": "object"}], dtype=object))
    with pytest.raises(UsageError, match=r"not a readable npz .*no Python objects"):
        open_dataset(path)


def test_damaged_npz_is_refused(tmp_path: Path) -> None:
    path = save_npz(tmp_path, images=np.random.default_rng(0).random((50, 50)))
    content = bytearray(path.read_bytes())
    content[2000:3000] = bytes(1000)
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not a readable npz"):
        open_dataset(path)


@pytest.mark.realdata
def test_real_folders_and_arrays_open(data: Path) -> None:
    validation = open_dataset(data / "ml-exray" / "val")
    assert len(validation) == 60
    assert validation[0].input_id == "ILSVRC2012_val_00000001.JPEG"
    assert all(item.load().shape[2] == 3 for item in validation)
    cifar = open_dataset(data / "cifar10" / "cifar10_test_0000_0499.npz")
    assert (len(cifar), cifar[0].load().shape, cifar[0].label) == (500, (32, 32, 3), 3)
    keywords = open_dataset(data / "energyrunner" / "kws01_0000_0499.npz", limit=3)
    assert keywords[0].load().shape == (49, 10)
    assert keywords[0].input_id == "tst_000000_Stop_7.bin"


@pytest.mark.parametrize("path", ["", " "])
def test_an_empty_path_is_not_the_current_folder(path: str) -> None:
    with pytest.raises(UsageError, match="inputs: got an empty path"):
        open_dataset(path)
