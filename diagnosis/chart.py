"""SQNR per layer in graph order, drawn as SVG."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from exray.queries.names import printable, short_name

from .comparison import Comparison, LayerDifference, Place
from .verdict import Finding
from .wording import number, sqnr_cell

WIDTH_PX = 960
"""Width of the page's column: few layers fill it, many scroll."""

PLOT_PX = 220
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 44, 6, 10, 24
LEAST_SLOT_PX, MOST_SLOT_PX = 5.0, 64.0
"""Room of a bar with its gap: still to be hit by a pointer, and not yet a block."""

LABEL_PX = 30
"""Room for a layer's number under the bars."""

STEP_DB = 20
NARROWEST_DB = 40
"""The scale shows at least this much, so that small differences look small."""


@dataclass(frozen=True, slots=True)
class _Bar:
    """One position on the axis; value None where nothing was measured."""

    label: str
    tooltip: str
    value: float | None
    kind: str
    is_marked: bool = False


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where bars and decibels stand, in pixels."""

    bars: int
    low_db: float
    top_db: float

    @property
    def slot(self) -> float:
        room = (WIDTH_PX - LEFT_PX - RIGHT_PX) / self.bars
        return min(max(room, LEAST_SLOT_PX), MOST_SLOT_PX)

    @property
    def width(self) -> float:
        return max(WIDTH_PX, LEFT_PX + self.bars * self.slot + RIGHT_PX)

    @property
    def bar_width(self) -> float:
        return self.slot * 0.78

    def x(self, position: int) -> float:
        return LEFT_PX + position * self.slot + (self.slot - self.bar_width) / 2

    def middle(self, position: int) -> float:
        return LEFT_PX + (position + 0.5) * self.slot

    def y(self, db: float) -> float:
        return TOP_PX + PLOT_PX * (self.top_db - db) / (self.top_db - self.low_db)


def sqnr_chart(comparison: Comparison, finding: Finding) -> str:
    """Return one bar per layer, the model inputs first; a dotted line where none was measured.

    Every bar has a tooltip with its layer and numbers; what the verdict names is marked.

    Args:
        comparison: What was found.
        finding: Its verdict.
    """
    bars = [_place_bar(place, place is finding.place) for place in comparison.inputs]
    bars = bars or [_Bar("in", "model input: not recorded on both sides", None, "input")]
    bars += [_layer_bar(layer, layer is finding.layer) for layer in comparison.layers]
    scale = _scale(bars)
    width, height = scale.width, TOP_PX + PLOT_PX + BOTTOM_PX
    size = f'viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}"'
    label = "SQNR in dB of the model input and of each layer, in graph order"
    parts = [f'<svg {size} role="img" aria-label="{label}">']
    parts += _grid(scale)
    parts += [_band(position, scale) for position, bar in enumerate(bars) if bar.is_marked]
    parts += [_drawn(bar, position, scale) for position, bar in enumerate(bars)]
    parts += _labels(bars, scale)
    parts.append("</svg>")
    return "\n".join(parts)


def _place_bar(place: Place, is_marked: bool) -> _Bar:
    tooltip = f"{place.name}: SQNR {number(place.sqnr_db, 1)} dB"
    tooltip += f", {place.reason}" if place.reason else ""
    return _Bar("in", tooltip, place.sqnr_db, "input", is_marked)


def _layer_bar(layer: LayerDifference, is_named: bool) -> _Bar:
    tooltip = f"{layer.layer_index} {short_name(layer.layer)} ({layer.op}): SQNR {sqnr_cell(layer)}"
    tooltip += " dB" if layer.sqnr_db is not None else ""
    tooltip += f", drop {number(layer.drop_db, 1)} dB" if layer.drop_db is not None else ""
    tooltip += f", {layer.reason}" if layer.reason else ""
    is_marked = is_named or layer.edge_nonfinite_count > 0
    return _Bar(str(layer.layer_index), tooltip, layer.sqnr_db, "layer", is_marked)


def _scale(bars: list[_Bar]) -> _Scale:
    values = [bar.value for bar in bars if bar.value is not None]
    top_db = max(NARROWEST_DB, STEP_DB * -(-max(values, default=0.0) // STEP_DB))
    low_db = min(0.0, STEP_DB * (min(values, default=0.0) // STEP_DB))
    return _Scale(len(bars), low_db, top_db)


def _grid(scale: _Scale) -> Iterator[str]:
    db = scale.low_db
    while db <= scale.top_db:
        y = scale.y(db)
        kind = "zero" if db == 0 else "grid"
        yield (
            f'<line class="{kind}" x1="{LEFT_PX}" x2="{scale.width:.0f}" '
            f'y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        yield f'<text x="{LEFT_PX - 8}" y="{y + 4:.1f}" text-anchor="end">{db:.0f}</text>'
        db += STEP_DB


def _band(position: int, scale: _Scale) -> str:
    """Return what stands out behind a marked bar: the worst ones are short."""
    x = LEFT_PX + position * scale.slot
    return (
        f'<rect class="mark" x="{x:.1f}" y="{TOP_PX}" width="{scale.slot:.1f}" height="{PLOT_PX}"/>'
    )


def _drawn(bar: _Bar, position: int, scale: _Scale) -> str:
    title = f"<title>{escape(printable(bar.tooltip))}</title>"
    worst = " worst" if bar.is_marked else ""
    if bar.value is None:
        middle = scale.middle(position)
        return (
            f'<line class="missing{worst}" x1="{middle:.1f}" x2="{middle:.1f}" y1="{TOP_PX}" '
            f'y2="{TOP_PX + PLOT_PX}">{title}</line>'
        )
    zero, y = scale.y(0.0), scale.y(bar.value)
    height = max(abs(zero - y), 1.0)  # a bar of 0 dB is there, too
    return (
        f'<rect class="bar {bar.kind}{worst}" x="{scale.x(position):.1f}" y="{min(y, zero):.1f}" '
        f'width="{scale.bar_width:.1f}" height="{height:.1f}">{title}</rect>'
    )


def _labels(bars: list[_Bar], scale: _Scale) -> Iterator[str]:
    """Yield what stands under the bars: as many numbers as have room."""
    step = next(n for n in (1, 2, 5, 10, 20, 50) if n * scale.slot >= LABEL_PX)
    y = TOP_PX + PLOT_PX + 17
    last_x = -float(LABEL_PX)
    for position, bar in enumerate(bars):
        x = scale.middle(position)
        is_round = not bar.label.isdecimal() or int(bar.label) % step == 0
        if is_round and x - last_x >= LABEL_PX * 0.8:
            yield f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{bar.label}</text>'
            last_x = x
