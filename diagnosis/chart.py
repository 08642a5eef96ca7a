"""SQNR per layer in graph order, drawn as SVG."""

from collections.abc import Callable
from html import escape

from .comparison import Comparison, LayerDifference
from .terminal import number
from .verdict import short_name, worst_layer

BAR_PX, GAP_PX, HEIGHT_PX = 11, 3, 220
LEFT_PX, TOP_PX, BOTTOM_PX = 44, 10, 34
MIN_WIDTH_PX = 480
STEP_DB = 20


def sqnr_chart(comparison: Comparison) -> str:
    """Return one bar per layer, the model input first; a dotted line where none was measured.

    Every bar has a tooltip with its layer and numbers.
    """
    layers = comparison.layers
    values = [layer.sqnr_db for layer in layers]
    model_input = comparison.input.sqnr_db if comparison.input else None
    top_db = _ceiling([value for value in [*values, model_input] if value is not None])
    low_db = min(0.0, *(v for v in [*values, model_input, 0.0] if v is not None))
    low_db = STEP_DB * (low_db // STEP_DB)
    width = max(MIN_WIDTH_PX, LEFT_PX + (len(layers) + 1) * (BAR_PX + GAP_PX) + 10)
    height = TOP_PX + HEIGHT_PX + BOTTOM_PX

    def y_of(db: float) -> float:
        return TOP_PX + HEIGHT_PX * (top_db - db) / (top_db - low_db)

    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [f'<svg {size} role="img" aria-label="SQNR in dB of each layer, in graph order">']
    db = low_db
    while db <= top_db:
        y = y_of(db)
        parts.append(f'<line class="grid" x1="{LEFT_PX}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT_PX - 6}" y="{y + 4:.1f}" text-anchor="end">{db:.0f}</text>')
        db += STEP_DB
    worst = worst_layer(comparison)
    parts.append(_bar(0, model_input, y_of(0.0), y_of, "model input", False))
    for position, layer in enumerate(layers, start=1):
        parts.append(
            _bar(position, layer.sqnr_db, y_of(0.0), y_of, _tooltip(layer), layer is worst)
        )
    parts.append(_axis(layers, height))
    parts.append("</svg>")
    return "\n".join(parts)


def _ceiling(values: list[float]) -> float:
    return max(STEP_DB, STEP_DB * -(-max(values, default=0.0) // STEP_DB))


def _x_of(position: int) -> float:
    return LEFT_PX + 4 + position * (BAR_PX + GAP_PX)


def _bar(
    position: int,
    value: float | None,
    zero_y: float,
    y_of: Callable[[float], float],
    tooltip: str,
    worst: bool,
) -> str:
    x = _x_of(position)
    title = f"<title>{escape(tooltip)}</title>"
    if value is None:
        middle = x + BAR_PX / 2
        return (
            f'<line class="missing" x1="{middle}" x2="{middle}" y1="{TOP_PX}" '
            f'y2="{TOP_PX + HEIGHT_PX}">{title}</line>'
        )
    y = y_of(value)
    top, size = min(y, zero_y), max(abs(zero_y - y), 1.0)
    kind = "bar worst" if worst else "bar"
    return (
        f'<rect class="{kind}" x="{x}" y="{top:.1f}" width="{BAR_PX}" height="{size:.1f}" rx="1.5">'
        f"{title}</rect>"
    )


def _tooltip(layer: LayerDifference) -> str:
    return (
        f"{layer.layer_index} {short_name(layer.layer)} ({layer.op}): SQNR "
        f"{number(layer.sqnr_db, 1)} dB, drop {number(layer.drop_db, 1)} dB"
    )


def _axis(layers: tuple[LayerDifference, ...], height: int) -> str:
    """Return the layer numbers under the bars, every fifth of them, and the axis' name."""
    y = height - BOTTOM_PX + 15
    middle = BAR_PX / 2
    marks = [f'<text x="{_x_of(0) + middle}" y="{y}" text-anchor="middle">in</text>']
    marks += [
        f'<text x="{_x_of(position) + middle}" y="{y}" text-anchor="middle">'
        f"{layer.layer_index}</text>"
        for position, layer in enumerate(layers, start=1)
        if layer.layer_index % 5 == 0 and position > 1
    ]
    marks.append(f'<text x="{LEFT_PX}" y="{y + 15}">layer; bars are dB, taller is closer</text>')
    return "\n".join(marks)
