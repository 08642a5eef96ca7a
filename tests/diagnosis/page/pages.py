"""Pages made of values, with defaults for all that a test does not speak of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from exray.diagnosis.comparison import LayerDifference, StageTime, Unmatched
from exray.diagnosis.page.bins import Bucket, distribution
from exray.diagnosis.page.content import BuildPoint, Flip, Outcomes, Page

from ..builders import make_comparison, make_input, make_layer, make_lost_layer, make_raw, make_side

STARTED = datetime(2026, 2, 1, 9, 30, tzinfo=UTC)

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>&'\x1b[31m\u202e</style>"
"""What a name may hold that means harm."""


def make_layers(count: int) -> list[LayerDifference]:
    """Return layers whose SQNR falls along the network, one lost, one that loses 12 dB."""
    layers: list[LayerDifference] = []
    for i in range(count):
        if i == count // 3:
            lost = make_lost_layer(i, "shape arithmetic", layer=f"net/shape_{i}", op="SHAPE")
            layers.append(lost)
            continue
        drop = 12.0 if i == count // 2 else (i % 3 - 1) * 0.7
        sqnr = 45 - 20 * i / count - (12 if i >= count // 2 else 0) - (i % 3)
        times = {"edge_ms": 1.2 / (1 + i % 7), "reference_ms": 1.1 / (1 + i % 7)}
        op = "DEPTHWISE_CONV_2D" if i % 2 else "CONV_2D"
        layers.append(make_layer(i, sqnr, drop, op=op, cosine=0.99951, nrmse=0.0123, **times))
    return layers


def make_builds(count: int) -> tuple[BuildPoint, ...]:
    """Return weekly builds, the last of them the edge, which lost accuracy."""
    return tuple(
        BuildPoint(
            f"1.{i}.0",
            STARTED + timedelta(weeks=i),
            is_edge=i == count - 1,
            top1=0.9 if i < count - 1 else 0.733,
            ci95=(0.8, 0.95) if i < count - 1 else (0.6, 0.83),
            model_ms=3.2 + i / 10,
            output_sqnr_db=25.0 - i,
            layer_sqnr_db=30.0 if i < count - 1 else 9.0,
        )
        for i in range(count)
    )


def make_flips(count: int) -> tuple[Flip, ...]:
    """Return inputs that the edge gets wrong and the reference right."""
    return tuple(Flip(f"cat_{i}.jpg", "3", 5, 3, False, True) for i in range(count))


def make_page(layers: int = 12, **values: Any) -> Page:
    """Return a page that has everything a page can show."""
    comparison = make_comparison(
        make_layers(layers),
        [make_raw(), make_input()],
        edge=make_side("1.4.2", top1=0.733, ci95=(0.6, 0.83), model_ms=3.4),
        reference=make_side("float", "reference", top1=0.9, ci95=(0.8, 0.95), model_ms=3.1),
        stages=(StageTime("decode", 1.5, None),),
        flips=11,
        mcnemar_p=0.0117,
    )
    buckets = [Bucket(-1.0 + i / 10, -0.9 + i / 10, 0.05, 0.04) for i in range(20)]
    page = Page(
        comparison=comparison,
        outcomes=Outcomes(60, 60, 43, 1, 10, 6, 12),
        flips=make_flips(12),
        flips_total=12,
        distributions=(
            distribution("Model input", [*buckets, Bucket(0.0, 0.0, 0.0, 0.2)]),
            distribution("Layer 6 block_6", buckets),
        ),
        builds=make_builds(8),
        builds_total=8,
        made=STARTED,
    )
    return replace(page, **values)


def make_hostile_page() -> Page:
    """Return a page on which every name means harm."""
    lost = Unmatched(1, HOSTILE, HOSTILE, HOSTILE)
    page = make_page()
    coverage = replace(
        page.comparison.coverage,
        layers_unaligned=(lost,),
        layers_excluded=(lost,),
        reference_unmatched=(lost,),
        note=HOSTILE,
    )
    named = {"layer": HOSTILE, "op": HOSTILE, "reference_layer": HOSTILE}
    side: dict[str, Any] = {"model_name": HOSTILE, "kernels": HOSTILE, "device": HOSTILE}
    side |= {"top1": 0.5, "ci95": (0.4, 0.6), "times_inflated": True}
    comparison = replace(
        page.comparison,
        layers=tuple(make_layer(i, 9.0, 12.0, edge_ms=1.0, **named) for i in range(3)),
        places=(make_raw(None, reason=HOSTILE), make_input()),
        edge=make_side(HOSTILE, **side),
        reference=make_side(HOSTILE, "reference", **side),
        stages=(StageTime(HOSTILE, 1.0, 1.0),),
        coverage=coverage,
    )
    return replace(
        page,
        comparison=comparison,
        flips=(Flip(HOSTILE, HOSTILE, 1, 2, None, None),),
        flips_total=1,
        distributions=(distribution(HOSTILE, [Bucket(0.0, 1.0, 1.0, 1.0)]),),
        builds=tuple(replace(build, build=f"{HOSTILE}{i}") for i, build in enumerate(page.builds)),
    )
