"""Labels from CSV files, and which inputs they belong to."""

from pathlib import Path

import pytest

from exray.playback.dataset import open_dataset
from exray.playback.labels import Labels, load_labels
from exray.schema.errors import UsageError


def write(folder: Path, text: str, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def labels_of(**by_key: int) -> Labels:
    return Labels(Path("labels.csv"), "label", by_key)


def test_only_integer_column_is_the_label(tmp_path: Path) -> None:
    path = write(tmp_path, "file,wnid,class,name\na.jpg,n01,65,sea snake\nb.jpg,n02,970,alp\n")
    labels = load_labels(path)
    assert (labels.column, dict(labels.by_key)) == ("class", {"a.jpg": 65, "b.jpg": 970})


def test_named_column_is_the_label(tmp_path: Path) -> None:
    path = write(tmp_path, "file,one,two\na.jpg,1,2\n")
    assert load_labels(f"{path}:two").by_key["a.jpg"] == 2


def test_offset_is_added(tmp_path: Path) -> None:
    assert load_labels(write(tmp_path, "file,label\na.jpg,65\n"), 1).by_key["a.jpg"] == 66


def test_key_is_the_file_column_wherever_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path, "label,file,note\n3,a.jpg,x\n")
    assert dict(load_labels(path).by_key) == {"a.jpg": 3}


def test_key_is_the_first_column_where_none_is_called_file(tmp_path: Path) -> None:
    path = write(tmp_path, "number,label\n000007,3\n")
    assert dict(load_labels(path).by_key) == {"000007": 3}


def test_byte_order_mark_quotes_spaces_and_blank_lines_are_understood(tmp_path: Path) -> None:
    text = '\ufefffile, label,"text"\r\n"a,1.jpg", 3 ,"x ""y"", z"\r\n\r\nb.jpg,-1,\r\n'
    assert dict(load_labels(write(tmp_path, text)).by_key) == {"a,1.jpg": 3, "b.jpg": -1}


def test_line_without_label_is_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path, "file,label\na.jpg,1\nb.jpg,\n")
    assert dict(load_labels(path).by_key) == {"a.jpg": 1}


def test_colon_is_a_column_only_where_the_file_without_it_exists(tmp_path: Path) -> None:
    text = "file,a,b\nx.jpg,1,2\n"
    plain, odd = write(tmp_path, text), write(tmp_path, text, "odd:a")
    assert load_labels(f"{plain}:a").by_key["x.jpg"] == 1
    assert load_labels(f"{odd}:b").by_key["x.jpg"] == 2
    with pytest.raises(UsageError, match="more than one column"):
        load_labels(odd)


def test_drive_letter_is_no_column() -> None:
    with pytest.raises(UsageError, match=r"labels C:\\nowhere\\x.csv: no such file"):
        load_labels("C:\\nowhere\\x.csv")


def test_drive_letter_and_column_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "C:\\x.csv"  # on this system a plain file name
    write(tmp_path, "file,a,b\nx.jpg,1,2\n", name)
    assert load_labels(f"{name}:b").by_key["x.jpg"] == 2


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        (
            "file,a,b\nx,1,2\n",
            "",
            r"more than one column of integers. Name one as CSV:COLUMN: a, b",
        ),
        ("file,a\nx,down\n", "", r"no column of integers. Add one .*there are file, a"),
        ("file,a\n", "", r"no column of integers"),
        ("file,a\nx,1\n", ":b", r"no column 'b'; there are file, a. Name one"),
        ("file,a,b\nx,down,1\n", ":a", r"line 2: 'a' is 'down', expected an integer.*COLUMN: b"),
        ("file,a\nx,1.5\n", ":a", r"line 2: 'a' is '1.5', expected an integer"),
        ("file,a\nx,1\ny,2,z\n", "", r"line 3: got 3 cells, expected 2 as in the header file, a"),
        ("file,a\nx,1\nx,2\n", "", r"line 3: another label for 'x' than above. Keep one"),
        ("x.jpg,1\ny.jpg,2\n", "", r"no header, got \['x.jpg', '1'\]. Add a first line"),
        ("", "", r"no header, got \[\]"),
        ('file,a\n"x"y,1\n', "", r"not a readable CSV file"),
    ],
)
def test_unusable_file_says_what_is_wrong_and_right(
    tmp_path: Path, text: str, column: str, message: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError, match=message) as caught:
        load_labels(f"{path}{column}")
    assert str(path) in str(caught.value)


def test_same_label_twice_is_no_contradiction(tmp_path: Path) -> None:
    assert load_labels(write(tmp_path, "file,a\nx,1\nx,1\n")).by_key["x"] == 1


def test_binary_file_and_folder_are_refused(tmp_path: Path) -> None:
    binary = tmp_path / "x.csv"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    for path in (binary, tmp_path):
        with pytest.raises(UsageError, match="not a readable CSV file"):
            load_labels(path)


def test_match_tries_the_id_then_its_file_name() -> None:
    labels = Labels(Path("x.csv"), "label", {"a/x.jpg": 1, "y.jpg": 2, "x.jpg": 3})
    match = labels.match(["a/x.jpg", "b/y.jpg", "b/z.jpg"])
    assert dict(match.labels) == {"a/x.jpg": 1, "b/y.jpg": 2}


def test_label_zero_is_a_label() -> None:
    labels = Labels(Path("x.csv"), "label", {"a/x.jpg": 0, "x.jpg": 2})
    assert dict(labels.match(["a/x.jpg"]).labels) == {"a/x.jpg": 0}


def test_match_counts_what_is_left_on_both_sides() -> None:
    match = labels_of(a=1, b=2, c=3).match(["a", "x", "y"])
    assert dict(match.labels) == {"a": 1}
    assert match.inputs_without_label == ("x", "y")
    assert match.labels_without_input == ("b", "c")
    assert match.describe() == "2 inputs without label (x, y); 2 labels without input (b, c)"


def test_complete_match_has_nothing_to_describe() -> None:
    assert labels_of(a=1).match(["a"]).describe() == ""


def test_description_shortens_long_lists() -> None:
    match = labels_of().match(["a", "b", "c", "d"])
    assert match.describe() == "4 inputs without label (a, b, c, ...)"


def test_match_uses_the_file_name_of_ids_with_folders() -> None:
    match = Labels(Path("x.csv"), "label", {"x.jpg": 1}).match(["val/x.jpg"])
    assert dict(match.labels) == {"val/x.jpg": 1}
    assert match.labels_without_input == ()


def test_file_name_shared_by_two_inputs_labels_neither() -> None:
    match = Labels(Path("x.csv"), "label", {"x.jpg": 1}).match(["up/x.jpg", "down/x.jpg"])
    assert dict(match.labels) == {}
    assert match.inputs_without_label == ("up/x.jpg", "down/x.jpg")


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("file", "images", "count"),
    [
        ("ml-exray/val_labels_public.csv", "ml-exray/val", 60),
        ("coco-cc/vww_labels_public.csv", "coco-cc/images", 40),
        ("imagenet-sample-images/labels_public.csv", "imagenet-sample-images/images", 100),
    ],
)
def test_real_labels_match_their_images(data: Path, file: str, images: str, count: int) -> None:
    match = load_labels(data / file).match(item.input_id for item in open_dataset(data / images))
    assert len(match.labels) == count
    assert match.describe() == ""


@pytest.mark.realdata
def test_real_labels_of_words_have_one_integer_column(data: Path) -> None:
    labels = load_labels(data / "speech-commands" / "labels_public.csv")
    assert (labels.column, len(labels.by_key)) == ("class_index", 180)


def test_an_empty_path_is_refused() -> None:
    with pytest.raises(UsageError, match="labels: got an empty path"):
        load_labels("")
