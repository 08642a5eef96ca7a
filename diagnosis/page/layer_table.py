"""The page's tables of layers, of what stands around the model, and of what is missing."""

from exray.diagnosis.comparison import LayerDifference, Unmatched
from exray.diagnosis.wording import (
    coverage_lines,
    number,
    places_and_times,
    sqnr_cell,
    unmatched_lines,
)
from exray.queries.names import DASH

from .content import Page
from .tables import (
    Cell,
    TableRow,
    cut,
    name_cell,
    note,
    number_columns,
    table,
    text,
    text_columns,
)

LAYERS_SHOWN = 1000
"""Rows of the table at most: more would make the page slow on a phone."""

UNMATCHED_SHOWN = 300
"""Layers without counterpart that are listed at most."""


def layers(page: Page) -> str:
    """Return every layer with its numbers, to sort and to filter."""
    every = page.comparison.layers
    if not every:
        return note("The lake holds no layers of the edge's model.")
    shown = worst_layers(every, LAYERS_SHOWN)
    more = None
    if len(shown) < len(every):
        more = f"{len(shown)} of {len(every)} layers: those that lose most against their inputs."
    columns = [
        *number_columns("#"),
        *text_columns("layer"),
        *number_columns("SQNR dB", "drop dB", "edge ms", "ref. ms"),
        *text_columns("op"),
        *number_columns("cosine", "nRMSE"),
        *text_columns("reference layer"),
    ]
    count = f"{len(shown)} of {len(shown)}"
    filters = (
        '<p class="filter"><label>Filter <input type="search" data-filter="layers" '
        'placeholder="name or operator" autocomplete="off"></label>'
        f' <output data-count="layers">{count}</output></p>'
    )
    rows = [_layer_row(page, layer) for layer in shown]
    body = table(columns, rows, "dense layers", sortable=True)
    return f'{filters}<div id="layers">{body}</div>{note(more)}'


def worst_layers(every: tuple[LayerDifference, ...], limit: int) -> tuple[LayerDifference, ...]:
    """Return the layers that lose most, in graph order; all where there are no more than *limit*.

    Those with elements that are not finite come first of all.
    """
    if len(every) <= limit:
        return every

    def badness(layer: LayerDifference) -> tuple[bool, float]:
        return layer.edge_nonfinite_count > 0, layer.rank_drop_db or float("-inf")

    kept = sorted(every, key=badness, reverse=True)[:limit]
    return tuple(sorted(kept, key=lambda layer: layer.layer_index))


def _layer_row(page: Page, layer: LayerDifference) -> TableRow:
    is_named = layer is page.named_layer
    reference = DASH if layer.reference_layer is None else name_cell(layer.reference_layer)
    cells: list[Cell | str] = [
        Cell(str(layer.layer_index), layer.layer_index),
        name_cell(layer.layer),
        Cell(sqnr_cell(layer), layer.sqnr_db),
        Cell(number(layer.drop_db, 1), layer.drop_db),
        Cell(number(layer.edge_ms, 3), layer.edge_ms),
        Cell(number(layer.reference_ms, 3), layer.reference_ms),
        cut(layer.op),
        Cell(number(layer.cosine, 4), layer.cosine),
        Cell(number(layer.nrmse, 4), layer.nrmse),
        reference,
    ]
    return TableRow(cells, "worst" if is_named else "", f"layer-{layer.layer_index}")


def places(page: Page) -> str:
    """Return what was seen before and around the model."""
    rows: list[TableRow] = []
    for name, place, time in places_and_times(page.comparison):
        cells = [
            cut(name),
            number(place.sqnr_db if place else None, 1),
            number(place.cosine if place else None, 4),
            number(time.edge_ms if time else None, 2),
            number(time.reference_ms if time else None, 2),
        ]
        is_worst = place is not None and place is page.finding.place
        rows.append(TableRow(cells, "worst" if is_worst else ""))
    numbers = number_columns("SQNR dB", "cosine", "edge ms", "reference ms")
    return table([*text_columns("place"), *numbers], rows)


def coverage(page: Page) -> str:
    """Return what could be compared, what could not, and why."""
    compared = page.comparison
    parts = [
        "<p>" + "<br>".join(map(text, coverage_lines(compared))) + "</p>",
        note(compared.coverage.note),
    ]
    lines = unmatched_lines(compared)
    if lines:
        rows = [
            TableRow([kind, index, name_cell(name), cut(reason)])
            for kind, index, name, reason in lines[:UNMATCHED_SHOWN]
        ]
        columns = [*text_columns(""), *number_columns("#"), *text_columns("layer", "why")]
        parts += [table(columns, rows, "dense"), note(_shown(rows, len(lines)))]
    unmatched = compared.coverage.reference_unmatched
    if unmatched:
        rows = [_unmatched_row(layer) for layer in unmatched[:UNMATCHED_SHOWN]]
        columns = [*text_columns("op"), *number_columns("#"), *text_columns("layer", "why")]
        title = f"Reference layers that answer to no edge layer: {len(unmatched)}"
        body = table(columns, rows, "dense") + note(_shown(rows, len(unmatched)))
        parts.append(f"<details><summary>{title}</summary>{body}</details>")
    return "\n".join(parts)


def _unmatched_row(layer: Unmatched) -> TableRow:
    index = str(layer.layer_index)
    return TableRow([cut(layer.op), index, name_cell(layer.layer), cut(layer.reason)])


def _shown(rows: list[TableRow], total: int) -> str | None:
    if len(rows) == total:
        return None
    return f"The first {len(rows)} of {total}; all of them: exray query layer_unpaired."
