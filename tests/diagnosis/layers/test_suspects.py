"""When the lake's numbers alone convict a layer."""

from dataclasses import replace

from exray.diagnosis.layers.suspects import Suspect, convicted

CALM = Suspect(
    suspicion=1,
    layer_index=0,
    layer="conv",
    op="CONV_2D",
    sqnr_db=30.0,
    drop_db=5.0,
    rank_drop_db=5.0,
    baseline_sqnr_db=None,
    worse_db=None,
    extra_drop_db=None,
    threshold_db=None,
    same_inputs=None,
    fails=False,
    inputs_pass=True,
)
FAILING = replace(
    CALM,
    sqnr_db=20.0,
    baseline_sqnr_db=24.0,
    worse_db=4.0,
    fails=True,
    threshold_db=1.0,
    same_inputs=True,
)


def test_an_ordinary_loss_convicts_nobody() -> None:
    assert convicted([CALM], is_float=False) == ()


def test_a_loss_that_no_sound_layer_has() -> None:
    broken = replace(CALM, rank_drop_db=20.0)
    assert convicted([broken, CALM], is_float=False) == (broken,)


def test_floats_have_nothing_to_lose() -> None:
    assert convicted([CALM], is_float=True) == (CALM,)
    same = replace(CALM, sqnr_db=110.0, rank_drop_db=-70.0)
    assert convicted([same], is_float=True) == ()


def test_the_baseline_decides_where_there_is_one() -> None:
    behind = replace(FAILING, layer_index=1, inputs_pass=False)
    lossy = replace(CALM, rank_drop_db=20.0, worse_db=0.1, layer_index=2)
    assert convicted([FAILING, behind, lossy], is_float=False) == (FAILING,)


def test_a_layer_that_locates_convicts_only_where_one_fails_clearly() -> None:
    slightly = replace(FAILING, baseline_sqnr_db=21.5, worse_db=1.5)
    assert convicted([slightly], is_float=False) == ()
    clearly = replace(FAILING, layer_index=1, inputs_pass=False)
    assert convicted([slightly, clearly], is_float=False) == (slightly,)


def test_a_baseline_that_is_equal_does_not_convict_what_agrees() -> None:
    kernels = replace(FAILING, sqnr_db=110.0, baseline_sqnr_db=140.0, worse_db=30.0)
    assert convicted([kernels], is_float=True) == ()


def test_between_other_inputs_four_decibels_convict_nobody() -> None:
    other = replace(FAILING, same_inputs=False, threshold_db=3.0)
    assert convicted([other], is_float=False) == ()
    clearly = replace(other, baseline_sqnr_db=27.0, worse_db=7.0)
    assert convicted([clearly], is_float=False) == (clearly,)


def test_a_layer_that_keeps_thirty_decibels_is_not_convicted() -> None:
    equal_before = replace(FAILING, baseline_sqnr_db=140.0, worse_db=106.0, sqnr_db=34.0)
    assert convicted([equal_before], is_float=True) == ()
    lost = replace(equal_before, sqnr_db=28.0, worse_db=112.0)
    assert convicted([lost], is_float=True) == (lost,)
