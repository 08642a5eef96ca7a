"""The page's sections that speak of builds: verdict, causes, outcome, trend."""

from exray.diagnosis.causes import Cause
from exray.diagnosis.comparison import Side
from exray.diagnosis.conclusion import Diagnosis
from exray.diagnosis.diagnosis_wording import (
    cause_lines,
    certainty,
    failure_lines,
    verdict_sentence,
)
from exray.diagnosis.wording import (
    accuracy,
    flips_line,
    interval,
    number,
    task_lines,
    times_line,
)

from .content import Flip, Page
from .figures import Figure, figures
from .tables import Cell, TableRow, cut, note, number_columns, table, text, text_columns

NO_LABELS = (
    "Neither side has frames with a label and a prediction, so there is no accuracy to show: "
    "exray run --labels, or exray.frame(label=...)."
)


def verdict(page: Page) -> str:
    """Return what it all comes to, and the numbers that say most."""
    where = page.finding.sentence
    if page.diagnosis is None:
        return f'<p class="verdict">{text(where)}</p>{_tiles(page)}'
    status = page.diagnosis.status
    badge = f'<span class="badge {status}">{status.upper()}</span>'
    told = text(verdict_sentence(page.diagnosis))
    return f'<p class="verdict">{badge} {told}</p>{note(where)}{_tiles(page)}'


def _tiles(page: Page) -> str:
    edge, reference = page.comparison.edge, page.comparison.reference
    coverage = page.comparison.coverage
    compared = sum(layer.sqnr_db is not None for layer in page.comparison.layers)
    seen, layer = page.comparison.input, page.layer
    tiles = [
        ("top-1", accuracy(edge), f"reference {accuracy(reference)}"),
        ("flips", *_flip_tile(page)),
        ("model time", _ms(edge), f"reference {_ms(reference)}"),
        ("model input", _db(seen.sqnr_db if seen else None), "SQNR"),
        (
            ("largest loss", _db(layer.drop_db), f"at layer {layer.layer_index}")
            if layer
            else ("largest loss", "-", "no layer compared")
        ),
        (
            "compared",
            f"{coverage.frames_measured} inputs",
            f"{compared} of {len(page.comparison.layers)} layers",
        ),
    ]
    shown = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}<small>{text(more)}</small></dd></div>"
        for name, value, more in tiles
    )
    return f'<dl class="tiles">{shown}</dl>'


def _flip_tile(page: Page) -> tuple[str, str]:
    flips, p = page.comparison.flips, page.comparison.mcnemar_p
    if flips is None:
        return "-", "no labels"
    return str(flips), "" if p is None else f"p = {p:.2g}"


def _ms(side: Side) -> str:
    return "-" if side.model_ms is None else f"{side.model_ms:.3g} ms"


def _db(value: float | None) -> str:
    return "-" if value is None else f"{number(value, 1)} dB"


def causes(diagnosis: Diagnosis) -> str:
    """Return what ``exray diagnose`` says of the causes, in its words."""
    failing = "".join(map(_cause, diagnosis.failing))
    parts = [f"<ol>{failing}</ol>" if failing else note("No cause fails the edge.")]
    if diagnosis.advice:
        parts.append(f"<h3>Advice</h3><ul>{''.join(map(_cause, diagnosis.advice))}</ul>")
    parts.append(note(*failure_lines(diagnosis)))
    return "".join(parts)


def _cause(cause: Cause) -> str:
    sure = certainty(cause)
    head = f"<code>{text(cause.code)}</code>" + (f" <small>{text(sure)}</small>" if sure else "")
    (_, what), *lines = cause_lines(cause)
    told = "".join(f"<dt>{text(label)}</dt><dd>{text(cut(line))}</dd>" for label, line in lines)
    return f'<li class="cause">{head}<p>{text(cut(what))}</p><dl>{told}</dl></li>'


def outcome(page: Page, accuracy_figure: Figure | None) -> str:
    """Return accuracy with intervals, the four cases of McNemar's test, and both sides."""
    drawn = figures([accuracy_figure]) if accuracy_figure else note(NO_LABELS)
    compared = page.comparison
    told = note(flips_line(compared), *task_lines(compared), times_line(compared))
    return f'<div class="pair"><div>{drawn}{_cases(page)}{told}</div>{_sides(page)}</div>'


def _sides(page: Page) -> str:
    sides = (page.comparison.edge, page.comparison.reference)
    told: list[tuple[str, list[str]]] = [
        ("build", [cut(side.build) for side in sides]),
        ("model", [cut(side.model_name) for side in sides]),
        ("kernels", [side.kernels for side in sides]),
        ("device", [cut(side.device) for side in sides]),
        ("inputs", [str(side.frames) for side in sides]),
        ("failed", [str(side.failed) for side in sides]),
        ("top-1", [accuracy(side) for side in sides]),
        ("95 % interval", [interval(side) for side in sides]),
        ("model ms", [number(side.model_ms, 2) for side in sides]),
    ]
    rows = [TableRow([name, *cells]) for name, cells in told]
    return table(text_columns("", "edge", "reference"), rows, "sides")


def _cases(page: Page) -> str:
    """Return the table of McNemar's test."""
    seen = page.outcomes
    if seen is None or not seen.judged:
        return ""
    rows = [
        TableRow(["edge right", str(seen.both_correct), str(seen.edge_only_correct)]),
        TableRow(["edge wrong", str(seen.reference_only_correct), str(seen.both_wrong)]),
    ]
    columns = [*text_columns(""), *number_columns("reference right", "reference wrong")]
    return table(columns, rows, "cases")


def flips(page: Page) -> str:
    """Return the inputs that the two sides classified differently."""
    if page.outcomes is None or not page.outcomes.predicted:
        return note("No input has a prediction on both sides.")
    if not page.flips_total:
        return note(f"Both sides give all {page.outcomes.predicted} paired inputs the same class.")
    rows = [
        TableRow(
            [
                Cell(cut(flip.input_id)),
                flip.label or "-",
                str(flip.edge_top1),
                str(flip.reference_top1),
                _told(flip),
            ]
        )
        for flip in page.flips
    ]
    columns = [
        *text_columns("input"),
        *number_columns("label", "edge", "reference"),
        *text_columns("right"),
    ]
    shown = None
    if len(page.flips) < page.flips_total:
        shown = (
            f"The first {len(page.flips)} of {page.flips_total} inputs; all of them: "
            "exray query outcome_flips."
        )
    listed = table(columns, rows, "dense narrow")
    return f'<div class="long">{listed}</div>{note(shown)}'


def _told(flip: Flip) -> str:
    if flip.edge_correct is None or flip.reference_correct is None:
        return "no label"
    if flip.reference_correct:
        return "reference"
    return "edge" if flip.edge_correct else "neither"


def trend(page: Page, drawn: list[Figure]) -> str:
    """Return builds of the edge's kind, each against the page's reference."""
    edge = page.comparison.edge
    if page.builds_total <= 1:
        return note(
            f"'{edge.build}' is the only build of {edge.model_name} on {edge.device} "
            f"({edge.kernels}) in this lake. Further ones will line up here."
        )
    shown = None
    if len(page.builds) < page.builds_total:
        shown = f"{len(page.builds)} of {page.builds_total} builds."
    told = (
        f"Builds of {edge.model_name} on {edge.device} ({edge.kernels}) as they came, each against "
        f"'{page.comparison.reference.build}'. The larger dot is '{edge.build}'."
    )
    return note(told) + figures(drawn, "three") + note(shown)
