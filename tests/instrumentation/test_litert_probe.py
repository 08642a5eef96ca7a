"""How an interpreter is watched: decided before it is constructed."""

from typing import Any

import pytest

from exray.instrumentation.litert_probe import FEW_MACS, CapturePlan, plan_capture


def plan(kernels: str = "xnnpack", **options: Any) -> CapturePlan:
    given: dict[str, Any] = {
        "native": True,
        "summaries": True,
        "arrays": False,
        "every_frame": True,
        "alone": True,
        "macs": 10 * FEW_MACS,
    }
    return plan_capture(kernels, **given | options)


@pytest.mark.parametrize("kernels", ["builtin", "reference"])
def test_nodes_of_the_runtimes_own_kernels_are_watched_where_they_are(kernels: str) -> None:
    assert plan(kernels) == CapturePlan(probe=True, early=True)
    assert plan(kernels, every_frame=False) == CapturePlan(probe=True, early=True)


def test_xnnpack_shows_every_frames_tensors_if_they_are_preserved() -> None:
    assert plan() == CapturePlan(preserve=True, probe=True, late=True)


def test_in_a_sample_of_frames_xnnpack_stays_fused_and_tells_its_operators() -> None:
    chosen = plan(every_frame=False)
    assert chosen == CapturePlan(probe=True, early=True, late=True, shadow=True)
    assert chosen.events


def test_a_small_network_under_a_budget_is_not_asked_for_events() -> None:
    chosen = plan(every_frame=False, macs=FEW_MACS - 1)
    assert not chosen.events
    assert chosen.shadow
    assert plan(every_frame=False, macs=None).events
    assert plan(summaries=False, macs=1).events  # every frame was asked for


def test_tensors_themselves_are_preserved_whatever_the_kernels() -> None:
    assert plan("builtin", arrays=True).preserve
    assert plan(arrays=True, every_frame=False).preserve


def test_beside_a_delegate_of_the_applications_nothing_fuses_twice() -> None:
    assert plan(every_frame=False, alone=False) == plan()


def test_without_the_native_library_tensors_are_preserved_and_read() -> None:
    assert plan(native=False) == CapturePlan(preserve=True)
    assert plan(native=False, summaries=False) == CapturePlan()
