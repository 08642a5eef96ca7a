"""Numbers and names as reports write them."""

from exray.queries.names import DASH, printable

from .comparison import INFERENCE, Comparison, LayerDifference, Place, Side, StageTime

RUN_ID_DIGITS = 8
"""Digits of a run's id in a sentence, more where they do not tell two runs apart."""


def number(value: float | None, digits: int) -> str:
    """Return a number with fixed digits, a dash for None.

    >>> number(9.06, 1), number(-0.04, 1), number(None, 1)
    ('9.1', '0.0', '-')
    """
    if value is None:
        return DASH
    rounded = round(value, digits)
    return f"{rounded or 0.0:.{digits}f}"  # or, because -0.0 says nothing


def accuracy(side: Side) -> str:
    """Return a side's accuracy as text."""
    return DASH if side.top1 is None else f"{side.top1:.1%}"


def interval(side: Side) -> str:
    """Return the confidence interval of a side's accuracy as text."""
    return DASH if side.ci95 is None else f"{side.ci95[0]:.1%} .. {side.ci95[1]:.1%}"


def flips_line(comparison: Comparison) -> str:
    """Return how many inputs only one side got right, and how likely that is by chance."""
    if comparison.flips is None:
        return "No input has a label and a prediction on both sides, so no flips are counted."
    p = "" if comparison.mcnemar_p is None else f", McNemar p = {comparison.mcnemar_p:.3g}"
    return f"Flips (right on one side only): {comparison.flips}{p}"


def task_lines(comparison: Comparison) -> list[str]:
    """Return, for each metric of a task, both sides' means and how sure their difference is."""
    lines: list[str] = []
    for metric, means in comparison.tasks.items():
        low, high = means.difference_ci95
        lines.append(
            f"Mean {metric} of {means.frames} frames: edge {means.edge:.3f}, reference "
            f"{means.reference:.3f}, difference {means.edge - means.reference:+.3f} "
            f"(95 % interval {low:+.3f} to {high:+.3f}, p = {means.p:.3g})"
        )
    return lines


def times_line(comparison: Comparison) -> str | None:
    """Return what to know about the times, None where they are what they seem."""
    inflated = [s.build for s in (comparison.edge, comparison.reference) if s.times_inflated]
    if not inflated:
        return None
    return (
        f"Times of {' and '.join(dict.fromkeys(map(printable, inflated)))} were taken while "
        "tensors were summarised, which makes them longer; record at level latency for exact ones."
    )


def coverage_lines(comparison: Comparison) -> list[str]:
    """Return which runs, and how many frames and layers, could be compared, a line each."""
    c = comparison.coverage
    alone = ""
    if c.frames_unpaired:
        alone = f": {c.frames_edge_only} on the edge, {c.frames_reference_only} on the reference"
    frames = (
        f"Frames: {c.frames_paired} paired, {c.frames_measured} of them with tensors of both sides; "
        f"{c.frames_unpaired} unpaired{alone}."
    )
    layers = (
        f"Layers: {c.layers_aligned} aligned, {len(c.layers_unaligned)} unaligned, "
        f"{len(c.layers_excluded)} excluded; {len(c.reference_unmatched)} of the reference answer "
        "to none."
    )
    return [*_run_lines(comparison), frames, layers]


def _run_lines(comparison: Comparison) -> list[str]:
    """Return what to know of the runs that were compared, where it is not what one expects."""
    edge, reference = comparison.edge, comparison.reference
    if edge.run_ids and edge.run_ids == reference.run_ids:
        return ["Runs: edge and reference are the same, so no difference says nothing."]
    return [
        f"Runs: {len(side.run_ids)} of {printable(side.build)} on the {where}; of an input that "
        "several saw, the newest frame counts. Give a run's id for its build to choose one."
        for where, side in (("edge", edge), ("reference", reference))
        if len(side.run_ids) > 1
    ]


def unmatched_lines(comparison: Comparison) -> list[tuple[str, str, str, str]]:
    """Return what could not be compared: kind, layer's index, its name, and why."""
    coverage = comparison.coverage
    lines = [
        (kind, str(layer.layer_index), layer.layer, layer.reason)
        for kind, layers in (
            ("unaligned", coverage.layers_unaligned),
            ("excluded", coverage.layers_excluded),
        )
        for layer in layers
    ]
    lines += [
        ("not compared", str(layer.layer_index), layer.layer, layer.reason)
        for layer in comparison.layers
        if layer.reference_layer_index is not None and layer.reason
    ]
    lines += [
        ("not compared", "", place.name, place.reason)
        for place in comparison.places
        if place.reason
    ]
    return lines


def places_and_times(
    comparison: Comparison,
) -> list[tuple[str, Place | None, StageTime | None]]:
    """Return what stands outside the layers, about in the order of the pipeline."""
    times = {time.stage: time for time in comparison.stages}
    places = {place.name: place for place in comparison.places}
    before = [name for name in times if name not in places and name != INFERENCE]
    after = [name for name in times if name not in places and name == INFERENCE]
    return [(name, places.get(name), times.get(name)) for name in [*before, *places, *after]]


def sqnr_cell(layer: LayerDifference) -> str:
    """Return a layer's SQNR, or how many elements are not finite where they forbid it."""
    if layer.sqnr_db is None and layer.edge_nonfinite_count:
        return f"{layer.edge_nonfinite_count} NaN/Inf"
    if layer.sqnr_db is None and layer.reference_nonfinite_count:
        return f"{layer.reference_nonfinite_count} NaN/Inf in reference"
    return number(layer.sqnr_db, 1)


def side_names(comparison: Comparison) -> tuple[str, str]:
    """Return what sentences call edge and reference: the build, with the run if they are equal."""
    sides = (comparison.edge, comparison.reference)
    edge, reference = (printable(side.build) for side in sides)
    if edge != reference:
        return edge, reference
    first, second = ("".join(side.run_ids[:1]) for side in sides)
    if first == second:
        return f"{edge} (edge)", f"{reference} (reference)"
    longest = max(len(first), len(second))
    lengths = range(RUN_ID_DIGITS, longest + 1)
    digits = next((n for n in lengths if first[:n] != second[:n]), longest)
    return f"{edge} (run {first[:digits]})", f"{reference} (run {second[:digits]})"
