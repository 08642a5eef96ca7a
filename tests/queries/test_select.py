"""From a BUILD to its runs, and what is said when that fails."""

import re

import pytest

from exray.queries import Selection, resolve, resolve_pair
from exray.schema.errors import SelectionError

from .builders import Rows


def chosen(rows: Rows, selector: str, role: str | None = "edge", **only: str) -> Selection:
    """The selection of these rows."""
    return resolve(rows.connect(), selector, role, **only)


def test_build_means_all_its_runs() -> None:
    rows = Rows()
    rows.run("1.0")
    rows.run("1.0")
    rows.run("1.1")
    selection = chosen(rows, "1.0")
    assert [run_id[-1] for run_id in selection.run_ids] == ["1", "2"]
    assert selection.selector == ",".join(selection.run_ids)
    assert (selection.build, selection.role) == ("1.0", "edge")
    assert (selection.model_name, selection.model_sha256) == ("net", "aa")
    assert (selection.kernels, selection.device) == ("xnnpack", "pi5")
    assert (selection.runtime, selection.precision) == ("litert", "float32")


def test_selector_of_a_selection_names_the_same_runs() -> None:
    rows = Rows()
    rows.run("1.0", "edge")
    rows.run("1.0", "reference")
    edge = chosen(rows, "1.0", "edge")
    assert chosen(rows, edge.selector, "reference") == edge


def test_role_decides_in_a_build_that_holds_both() -> None:
    rows = Rows()
    rows.run("1.0", "edge", model_name="net_int8", model_sha256="88")
    rows.run("1.0", "reference")
    assert chosen(rows, "1.0", "edge").model_name == "net_int8"
    assert chosen(rows, "1.0", "reference").model_name == "net"


def test_build_of_the_other_role_is_taken() -> None:
    rows = Rows()
    rows.run("1.0", "reference")
    assert chosen(rows, "1.0", "edge").role == "reference"


def test_unknown_build_lists_the_nearest_first() -> None:
    rows = Rows()
    for build in ("golden", "1.4.1", "1.4.2-rc1"):
        rows.run(build)
    with pytest.raises(SelectionError) as caught:
        chosen(rows, "1.4.2")
    assert "no build '1.4.2'" in str(caught.value)
    assert "builds: 1.4.1, 1.4.2-rc1, golden. List runs: exray runs" in str(caught.value)


def test_long_list_of_builds_is_cut() -> None:
    rows = Rows()
    for number in range(15):
        rows.run(f"build{number:02}")
    with pytest.raises(SelectionError, match="and 5 more"):
        chosen(rows, "x")


def test_empty_lake_says_how_to_fill_it() -> None:
    with pytest.raises(SelectionError, match=r"holds no runs yet\. Record one: exray run"):
        chosen(Rows(), "1.0")


def test_beginning_of_several_ids_lists_them() -> None:
    rows = Rows()
    rows.run("1.0")
    rows.run("1.1", "reference")
    with pytest.raises(SelectionError, match=r"begins the ids of 2 runs: 0+1 \(1.0, edge\), 0+2"):
        chosen(rows, "000")


@pytest.mark.parametrize(
    ("change", "listed", "option", "value"),
    [
        ({"model_name": "other", "model_sha256": "bb"}, "net (aa), other (bb)", "model", "other"),
        ({"model_sha256": "bb"}, "net (aa), net (bb)", "model", "bb"),
        ({"device_model": "pixel"}, "pi5, pixel", "device", "pixel"),
        ({"kernels": "builtin"}, "builtin, xnnpack", "kernels", "builtin"),
    ],
)
def test_more_than_one_is_an_error_that_an_option_settles(
    change: dict[str, str], listed: str, option: str, value: str
) -> None:
    rows = Rows()
    rows.run("1.0")
    rows.run("1.0", "edge", **change)
    with pytest.raises(SelectionError, match=re.escape(listed)) as caught:
        chosen(rows, "1.0")
    assert f"Choose, such as with --{option} " in str(caught.value)
    assert [run_id[-1] for run_id in chosen(rows, "1.0", **{option: value}).run_ids] == ["2"]


def test_devices_of_one_model_are_one() -> None:
    rows = Rows()
    rows.run("1.0", device_id="d1")
    rows.run("1.0", device_id="d2")
    assert len(chosen(rows, "1.0").run_ids) == 2
    assert len(chosen(rows, "1.0", device="d2").run_ids) == 1


def test_devices_of_unknown_model_are_told_apart_by_id() -> None:
    rows = Rows()
    rows.run("1.0", device_id="d1", device_model="")
    rows.run("1.0", device_id="d2", device_model="")
    with pytest.raises(SelectionError, match="more than one device: d1, d2"):
        chosen(rows, "1.0")


def test_option_that_leaves_nothing_lists_what_there_is() -> None:
    rows = Rows()
    rows.run("1.0")
    with pytest.raises(
        SelectionError, match=r"--kernels .builtin. leaves no run .* there: xnnpack"
    ):
        chosen(rows, "1.0", kernels="builtin")


# --- both sides of a comparison -----------------------------------------------------------


def mixed() -> Rows:
    """A build "m" on two kernel families, runs 1 and 2, and its reference "k" in Keras, run 3."""
    rows = Rows()
    rows.run("m", kernels="xnnpack")
    rows.run("m", kernels="builtin")
    rows.run("k", "reference", model_name="twin", model_sha256="cc", kernels="tensorflow")
    return rows


def pair(edge: str, reference: str, **only: str) -> tuple[str, str]:
    """Last digits of the run ids that are chosen on each side."""
    chosen_sides = resolve_pair(mixed().connect(), edge, reference, **only)
    first, second = ("".join(run_id[-1] for run_id in side.run_ids) for side in chosen_sides)
    return first, second


@pytest.mark.parametrize("kernels", ["builtin", "builtin,", "builtin,tensorflow"])
def test_an_option_that_decides_one_side_leaves_the_other_alone(kernels: str) -> None:
    assert pair("m", "k", kernels=kernels) == ("2", "3")


def test_a_model_of_one_side_leaves_the_other_alone() -> None:
    assert pair("m", "k", model="net", kernels="xnnpack") == ("1", "3")


def test_one_value_counts_on_both_sides_that_have_it() -> None:
    assert pair("m", "m", kernels="builtin") == ("2", "2")


def test_two_values_are_the_edges_and_the_references() -> None:
    assert pair("m", "m", kernels="builtin,xnnpack") == ("2", "1")
    assert pair("m", "m", kernels="xnnpack,builtin") == ("1", "2")


def test_an_empty_value_keeps_its_side() -> None:
    assert pair("m", "k", model=",twin", kernels="xnnpack,") == ("1", "3")


@pytest.mark.parametrize(
    ("kernels", "message"),
    [
        ("nope", "edge 'm'; there: xnnpack, builtin and reference 'k'; there: tensorflow"),
        ("builtin,xnnpack", "of reference 'k'; there: tensorflow. 'A,B' is A for the edge"),
        ("tensorflow", "'m' leaves more than one kernel family: builtin, xnnpack. Choose"),
        ("a,b,c", "has 3 values; expected one, or 'A,B'"),
    ],
)
def test_options_of_a_pair_that_decide_nothing_say_so(kernels: str, message: str) -> None:
    with pytest.raises(SelectionError, match=re.escape(message)):
        pair("m", "k", kernels=kernels)


def test_the_advice_for_an_ambiguous_build_works() -> None:
    with pytest.raises(SelectionError) as caught:
        pair("m", "k")
    option, value = re.findall(r"--(\w+) '(\w+)'", str(caught.value))[0]
    assert pair("m", "k", **{option: value}) == ("2", "3")
