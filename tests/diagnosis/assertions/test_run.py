"""Checks of one's own over a lake."""

from pathlib import Path

import numpy as np
import pytest

from exray.diagnosis.assertions import finder_of, load_assertions
from exray.diagnosis.causes import Scene
from exray.diagnosis.conclusion import Diagnosis
from exray.diagnosis.diagnose import diagnose_scene
from exray.schema.errors import UsageError

from ..lakes import Recording, make_graph, make_lake, make_values
from ..scenes import open_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """An edge whose second layer is twice the reference's, over eight frames."""
    edge = Recording(make_graph("aa", ["stem", "head"]), "e")
    reference = Recording(make_graph("bb", ["stem", "head"]), "r", "reference")
    for frame in range(8):
        layers = {i: make_values(10 * frame + i) for i in range(2)}
        reference.add(f"{frame}.png", make_values(frame + 90), layers, raw=make_values(frame))
        layers[1] = np.float32(2) * layers[1]
        edge.add(f"{frame}.png", make_values(frame + 90), layers, raw=make_values(frame))
    return open_scene(make_lake(tmp_path_factory.mktemp("lake") / "lake", edge, reference))


def diagnosed(scene: Scene, path: Path, text: str, suffix: str = ".py") -> Diagnosis:
    """Diagnose with one file of checks and nothing else."""
    file = path / f"mine{suffix}"
    file.write_text(text)
    return diagnose_scene(scene, [finder_of(load_assertions([file]))])


HEAD = "from exray.diagnosis.assertions import assertion\n\n"


def test_a_check_over_pairs_names_the_layer_and_how_often(scene: Scene, tmp_path: Path) -> None:
    text = HEAD + (
        "@assertion(role='layer', fix='Halve it.')\n"
        "def as_large(pair):\n"
        "    if pair.edge.sum2 > 2 * pair.reference.sum2:\n"
        "        return f'energy {pair.edge.sum2 / pair.reference.sum2:.0f} times'\n"
    )
    (cause,) = diagnosed(scene, tmp_path, text).failing
    assert (cause.code, cause.what, cause.fix) == (
        "assertion.as_large",
        "energy 4 times",
        "Halve it.",
    )
    assert (cause.where.layer_index, cause.where.layer) == (1, "head")
    assert (cause.evidence["violations"], cause.evidence["checked"]) == (8, 16)


def test_an_assert_statement_is_a_check_too(scene: Scene, tmp_path: Path) -> None:
    text = HEAD + (
        "@assertion(over='tensors', role='layer', layer='he*')\n"
        "def small(tensor):\n"
        "    assert tensor.max < 1, f'goes up to {tensor.max:.0f}'\n"
    )
    (cause,) = diagnosed(scene, tmp_path, text).failing
    assert cause.what.startswith("goes up to ")


def test_a_check_over_frames_sees_the_times(scene: Scene, tmp_path: Path) -> None:
    text = HEAD + (
        "@assertion(over='frames')\n"
        "def seen(frame):\n"
        "    assert frame.input_id != '3.png', f'{len(frame.pairs)} pairs'\n"
    )
    (cause,) = diagnosed(scene, tmp_path, text).failing
    assert (cause.evidence["violations"], cause.what) == (1, "4 pairs")


def test_rows_of_a_query_are_what_is_wrong(scene: Scene, tmp_path: Path) -> None:
    text = (
        "-- Look at the head.\n"
        "SELECT 'loud' AS what, layer_index, layer_name, op\n"
        "FROM layer_health($edge) WHERE greatest > 5"
    )
    (cause,) = diagnosed(scene, tmp_path, text, ".sql").failing
    assert (cause.code, cause.what, cause.fix) == ("assertion.mine", "loud", "Look at the head.")
    assert cause.where.layer == "head"


def test_checks_that_hold_say_nothing(scene: Scene, tmp_path: Path) -> None:
    held = HEAD + "@assertion(role='raw')\ndef fine(pair):\n    return None\n"
    assert diagnosed(scene, tmp_path, held).failing == ()
    none = "SELECT 1 AS what FROM layer_health($edge) WHERE nan_count > 0"
    assert diagnosed(scene, tmp_path, none, ".sql").failing == ()


def test_a_check_that_cannot_tell_does_not_pass(scene: Scene, tmp_path: Path) -> None:
    text = HEAD + "@assertion(role='input')\ndef whole(pair):\n    pair.edge.values()\n"
    diagnosis = diagnosed(scene, tmp_path, text)
    assert diagnosis.status == "unexplained"
    assert "was not kept whole. Record at --level full" in diagnosis.failures[0].error
    asked = diagnosed(scene, tmp_path, "SELECT $baseline AS what", ".sql")
    assert "Pass --baseline BUILD" in asked.failures[0].error


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.py", "x = 1", "hold no function with the decorator"),
        ("a.py", "1 / 0", "ZeroDivisionError"),
        ("a.txt", "", "no .py or .sql file"),
    ],
)
def test_files_that_hold_no_check_are_the_users_error(
    tmp_path: Path, name: str, text: str, told: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=told):
        load_assertions([tmp_path / name])


def test_a_folder_without_checks_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="hold no"):
        load_assertions([tmp_path])
