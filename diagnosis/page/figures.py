"""Charts in their places: a heading, a key to the colours, room for the drawing."""

from collections.abc import Sequence
from dataclasses import dataclass

from .tables import text
from .vega import Spec

Key = tuple[str, str]
"""Class of a colour's sample, and what the colour means."""

BOTH: tuple[Key, ...] = (("edge", "edge"), ("reference line", "reference"))


@dataclass(frozen=True, slots=True)
class Figure:
    """One chart.

    Args:
        name: Names it among the page's charts.
        title: What it shows, units included.
        spec: How it is drawn.
        keys: What its colours mean.
        told: A remark below it.
    """

    name: str
    title: str
    spec: Spec
    keys: Sequence[Key] = ()
    told: str = ""


def figures(drawn: Sequence[Figure], kind: str = "") -> str:
    """Return charts, beside each other where there is room.

    Args:
        drawn: The charts.
        kind: Class of their box: ``two`` or ``three`` abreast.
    """
    return f'<div class="figures {kind}">{"".join(map(_figure, drawn))}</div>'


def _figure(figure: Figure) -> str:
    keys = "".join(
        f'<span class="key"><i class="{kind}"></i>{text(told)}</span>' for kind, told in figure.keys
    )
    told = f"<small>{text(figure.told)}</small>" if figure.told else ""
    title = text(figure.title)
    return (
        f"<figure><figcaption><b>{title}</b>{keys}</figcaption>"
        f'<div class="chart" data-chart="{figure.name}" role="img" aria-label="{title}"></div>'
        f"{told}</figure>"
    )
