"""Which frames are chosen, by their input alone."""

from collections import Counter
from itertools import pairwise

import pytest

from exray.instrumentation.level import Level
from exray.instrumentation.sampling import Choice, Rates, Sampler, randomness, threshold
from exray.schema.identity import FAMILIES, input_key, sketch_family

KEYS = [input_key(f"{number}.png") for number in range(40_000)]


def chosen(rates: Rates, level: Level, *, had_turn: bool = False) -> set[int]:
    return {key for key in KEYS if rates.choose(key, had_turn=had_turn).level == level}


def summarised(rate: float) -> set[int]:
    return chosen(Rates(Level.SUMMARY, 1.0, rate), Level.SUMMARY)


def test_thresholds_are_opentelemetrys() -> None:
    """Those of the examples in its specification of the tracestate."""
    assert [f"{threshold(rate):014x}".rstrip("0") for rate in (0.5, 0.25, 0.75)] == ["8", "c", "4"]
    assert threshold(1.0) == 0


def test_randomness_is_the_56_low_bits_of_the_key_whatever_its_sign() -> None:
    assert randomness(-1) == 2**56 - 1
    assert randomness(-(2**63)) == 0
    assert randomness(0x7F00000000000001) == 1


def test_all_inputs_are_taken_at_rate_one() -> None:
    assert summarised(1.0) == set(KEYS)
    assert Rates(Level.SUMMARY, 1.0, 1.0).choose(0).level == Level.SUMMARY


@pytest.mark.parametrize("rate", [0.5, 0.1, 2.0**-6])
def test_as_many_inputs_are_taken_as_the_rate_says(rate: float) -> None:
    expected = rate * len(KEYS)
    assert abs(len(summarised(rate)) - expected) < 4 * (expected * (1 - rate)) ** 0.5


def test_inputs_of_a_lower_rate_are_among_those_of_a_higher_one() -> None:
    samples = [summarised(rate) for rate in (0.5, 0.2, 0.05, 0.01)]

    for larger, smaller in pairwise(samples):
        assert smaller < larger


def test_summarised_frames_are_among_those_that_are_traced_at_any_lower_level() -> None:
    everything = Rates(Level.SUMMARY, 0.3, 0.1)
    times_alone = Rates(Level.LATENCY, 0.3)

    assert chosen(everything, Level.SUMMARY) < chosen(times_alone, Level.LATENCY)
    traced = chosen(everything, Level.SUMMARY) | chosen(everything, Level.LATENCY)
    assert traced == chosen(times_alone, Level.LATENCY)


def spread(keys: set[int]) -> float:
    """Return chi-squared over the mean of it, of the sketch families: 1 if they are balanced."""
    counts = Counter(sketch_family(key) for key in keys)
    mean = len(keys) / FAMILIES
    return sum((counts[f] - mean) ** 2 / mean for f in range(FAMILIES)) / (FAMILIES - 1)


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.02])
def test_sketch_families_stay_balanced_in_a_sample(rate: float) -> None:
    # 37.7 / 15: chi-squared with 15 degrees of freedom is above with a probability of 0.1 %
    assert spread(summarised(rate)) < 37.7 / 15


def test_sampling_by_the_low_bits_would_not_leave_the_families_balanced() -> None:
    assert spread({key for key in KEYS if key & 63 == 0}) > 37.7 / 15


@pytest.mark.parametrize("had_turn", [False, True])
def test_rate_of_a_choice_is_the_probability_of_getting_it(had_turn: bool) -> None:
    rates = Rates(Level.SUMMARY, 0.5, 0.125, by_turn=had_turn)
    counts = Counter(rates.choose(key, had_turn=had_turn) for key in KEYS)
    turns = 0.5 if had_turn else 1.0  # half of the frames never come to be asked

    for choice, count in counts.items():
        expected = choice.rate / turns * len(KEYS)
        assert abs(count - expected) < 4 * expected**0.5
    levels = {choice.level for choice in counts}
    assert levels == {Level.LATENCY, Level.SUMMARY} | (set() if had_turn else {Level.OFF})


def test_at_level_latency_the_rate_is_that_of_traced_frames() -> None:
    assert Rates(Level.LATENCY, 0.25).choose(-1) == Choice(Level.LATENCY, 0.25)
    assert Rates(Level.LATENCY, 0.25).choose(0) == Choice(Level.OFF, 0.75)


@pytest.mark.parametrize(
    ("top", "before", "expected"),
    [
        (Level.SUMMARY, Level.OFF, Choice(Level.LATENCY, 0.9)),
        (Level.SUMMARY, Level.LATENCY, Choice(Level.LATENCY, 0.9)),
        (Level.SUMMARY, Level.SUMMARY, Choice(Level.SUMMARY, 0.1)),
        (Level.LATENCY, Level.OFF, Choice(Level.LATENCY, 1.0)),
        (Level.LATENCY, Level.LATENCY, Choice(Level.LATENCY, 1.0)),
    ],
)
def test_a_failed_frame_is_recorded_whatever_was_chosen(
    top: Level, before: Level, expected: Choice
) -> None:
    assert Rates(top, 0.5, 0.1).choose_failed(before) == expected


def test_without_a_budget_every_frame_gets_the_configurations_level() -> None:
    sampler = Sampler(Level.SUMMARY)

    assert {sampler.rates.choose(key) for key in KEYS} == {Choice(Level.SUMMARY, 1.0)}
    assert sampler.takes_turn(sampler.rates)
    assert not sampler.is_selective


def test_rates_are_equal_where_their_values_are() -> None:
    assert Rates(Level.SUMMARY, 0.5, 0.1) == Rates(Level.SUMMARY, 0.5, 0.1)
    assert len({Rates(Level.SUMMARY, 0.5, 0.1), Rates(Level.SUMMARY, 0.5, 0.2)}) == 2
    assert "traced=0.5" in repr(Rates(Level.SUMMARY, 0.5, 0.1))
