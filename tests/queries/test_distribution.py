"""Histograms and channels of both sides, pooled over paired frames."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from exray.schema.channels import channels
from exray.schema.histogram import histogram
from exray.schema.packed import pack_floats

from .builders import Row, Rows

Array = NDArray[np.float64]
RNG = np.random.default_rng(3)


def make_rows(
    edge: Sequence[Array], reference: Sequence[Array], weights: Sequence[float] = (1.0, 1.0, 1.0)
) -> Rows:
    """Return frames of one model on both sides, each with one layer of these values."""
    rows = Rows()
    rows.graph("aa", [-1])
    for build, role, arrays in (("e", "edge", edge), ("r", "reference", reference)):
        run = rows.run(build, role)
        for number, (array, weight) in enumerate(zip(arrays, weights[: len(arrays)], strict=True)):
            rate = 1 / weight
            frame = rows.frame(run, f"{number}", level="distribution", sample_rate=rate)
            add_layer(rows, frame, array)
    return rows


def add_layer(rows: Rows, frame: Row, array: Array, **values: object) -> None:
    made, by_channel = histogram(array), channels(array)
    assert made is not None
    texts: Row = {
        "histogram": made.encode(),
        "channels": None if by_channel is None else by_channel.encode(),
    }
    rows.layer(frame, 0, array.reshape(-1).tolist(), **(texts | values))


def test_float32_list_reads_packed_numbers_and_takes_damaged_ones_as_none() -> None:
    text = pack_floats("eh1", [[1.5, -2.25, 1e30]])
    query = (
        f"SELECT float32_list(t) FROM (VALUES ('{text}'), ('eh1:!'), ('x:AAAA'), (NULL)) AS v(t)"
    )

    rows = Rows().ask(query)

    assert rows[0] == ([1.5, -2.25, pytest.approx(1e30)],)
    assert rows[1:] == [([],), ([],), (None,)]


def test_a_tensors_buckets_stand_side_by_side_at_the_coarser_scale() -> None:
    """1 and 2 close a bucket of scale -1, (0.25, 1] and (1, 4]; -3 lies in [-4, -1)."""
    rows = make_rows([np.array([0.0, 1.0, 2.0, -3.0])], [np.array([0.0, 0.0, 2.0, -3.0])])
    # scale, zeros, positive offset and number, negative offset and number, counts
    numbers: list[list[float]] = [[0, 1, -1, 2, 1, 1, 1, 1, 1], [-1, 2, 0, 1, 0, 1, 1, 1]]
    for row, own in zip(rows.tables["tensors"], numbers, strict=True):
        row["histogram"] = pack_floats("eh1", [own])

    query = (
        "SELECT lower_bound, upper_bound, edge_count, reference_count, edge_ratio"
        " FROM tensor_histogram('e', 'r')"
    )

    assert rows.ask(query) == [
        (-4.0, -1.0, 1, 1, 0.25),
        (0.0, 0.0, 1, 2, 0.25),
        (0.25, 1.0, 1, 0, 0.25),
        (1.0, 4.0, 1, 1, 0.25),
    ]


def test_every_element_of_both_sides_is_in_a_bucket_between_its_bounds() -> None:
    edge = [RNG.standard_normal(500) * 10.0**k for k in range(3)]
    reference = [RNG.standard_normal(500) for _ in range(3)]

    found = make_rows(edge, reference).ask(
        "SELECT lower_bound, upper_bound, edge_count, reference_count"
        " FROM tensor_histogram('e', 'r')"
    )

    numbers = np.array(found, np.float64)
    for arrays, counts in ((edge, numbers[:, 2]), (reference, numbers[:, 3])):
        values = np.concatenate(arrays)
        assert counts.sum() == values.size
        below = [(values <= upper).sum() for upper in numbers[numbers[:, 1] > 0, 1]]
        np.testing.assert_array_equal(np.cumsum(counts)[numbers[:, 1] > 0], below)


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_quantiles_are_those_of_the_values_within_half_a_bucket(scale: float) -> None:
    edge = [RNG.standard_normal(4000) * scale for _ in range(2)]
    reference = [RNG.exponential(1, 4000) for _ in range(2)]

    (row,) = make_rows(edge, reference).ask(
        "SELECT edge_p01, edge_p50, edge_p99, reference_p01, reference_p50, reference_p99"
        " FROM tensor_quantiles('e', 'r')"
    )

    for found, arrays in ((row[:3], edge), (row[3:], reference)):
        values = np.concatenate(arrays)
        expected = np.quantile(values, [0.01, 0.5, 0.99], method="inverted_cdf")
        # near zero a normal's median is no scale to measure by
        np.testing.assert_allclose(
            np.array(found, np.float64), expected, rtol=0.2, atol=0.01 * values.std()
        )


def test_equal_distributions_overlap_wholly_and_others_not_at_all() -> None:
    values = RNG.standard_normal(100)

    for edge, expected in ((values[::-1], 1.0), (np.full(100, 1e6), 0.0)):
        (row,) = make_rows([edge], [values]).ask(
            "SELECT overlap_ratio FROM tensor_quantiles('e', 'r')"
        )
        assert row[0] == pytest.approx(expected)


def test_shares_weigh_frames_by_the_inverse_of_their_rate() -> None:
    rows = make_rows([np.full(3, 1.0), np.full(3, -1.0)], [np.ones(3)] * 2, weights=(1.0, 3.0))

    shares = rows.ask("SELECT lower_bound > 0, edge_ratio FROM tensor_histogram('e', 'r')")

    assert shares == [(False, 0.75), (True, 0.25)]


def test_swapped_channels_show_in_their_means_and_not_in_the_histogram() -> None:
    image = np.abs(RNG.standard_normal((50, 3))) * [1.0, 5.0, 20.0]
    rows = make_rows([image[:, ::-1].copy()], [image])

    found = rows.ask("SELECT channel, edge_mean, reference_mean FROM tensor_channels('e', 'r')")
    overlap = rows.ask("SELECT overlap_ratio FROM tensor_quantiles('e', 'r')")

    means = np.array(found, np.float64)
    np.testing.assert_allclose(means[:, 2], image.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(means[:, 1], image.mean(axis=0)[::-1], rtol=1e-5)
    assert overlap == [(pytest.approx(1.0),)]


def test_channels_have_deviation_and_extremes_over_all_frames() -> None:
    offsets = np.array([0.0, 100.0])
    edge = [RNG.standard_normal((40, 2)) + offsets for _ in range(2)]
    (first, second) = make_rows(edge, [np.ones((40, 2))] * 2).ask(
        "SELECT edge_std, edge_min, edge_max, reference_std, edge_channels"
        " FROM tensor_channels('e', 'r')"
    )

    values = np.concatenate(edge)
    for channel, row in enumerate((first, second)):
        column = values[:, channel]
        expected = [column.std(), column.min(), column.max()]
        np.testing.assert_allclose(np.array(row[:3], np.float64), expected, rtol=0.02)
        assert row[3:] == (0.0, 2)


def test_groups_of_channels_have_means_over_all_that_share_them() -> None:
    array = RNG.standard_normal((5, 600))

    found = make_rows([array], [array]).ask(
        "SELECT channel, edge_mean, edge_channels FROM tensor_channels('e', 'r')"
    )

    assert [row[0] for row in found] == list(range(256))
    assert found[7][1:] == (pytest.approx(array[:, [7, 263, 519]].mean(), abs=1e-6), 600)
    assert found[200][1] == pytest.approx(array[:, [200, 456]].mean(), abs=1e-6)


def test_a_repeated_row_counts_once() -> None:
    rows = make_rows([np.array([1.0, 2.0])], [np.array([1.0, 2.0])])
    rows.tables["tensors"].append(rows.tables["tensors"][0])

    (row,) = rows.ask("SELECT sum(edge_count) FROM tensor_histogram('e', 'r')")

    assert row == (2,)


def test_a_damaged_text_leaves_its_neighbours_alone() -> None:
    rows = make_rows([np.ones(3), np.ones(3)], [np.ones(3)] * 2)
    rows.tables["tensors"][0]["histogram"] = "eh1:damaged"

    assert rows.ask("SELECT edge_count, reference_count FROM tensor_histogram('e', 'r')") == [
        (3, 6)
    ]


def test_frames_at_level_summary_have_no_rows_here() -> None:
    rows = make_rows([np.ones((3, 2))], [np.ones((3, 2))])
    for row in rows.tables["tensors"][:1]:
        row["histogram"] = row["channels"] = None

    assert rows.ask("SELECT * FROM tensor_histogram('e', 'r')") == []
    assert rows.ask("SELECT * FROM tensor_channels('e', 'r')") == []
