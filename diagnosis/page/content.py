"""What the page shows, as plain values: read from the lake, then drawn."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from exray.diagnosis.comparison import Comparison, LayerDifference
from exray.diagnosis.conclusion import Diagnosis
from exray.diagnosis.verdict import Finding, judge, worst_layer


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How often each side was right on the inputs of both.

    Args:
        predicted: Inputs that both classified.
        judged: Those with a class index as label besides.
        differing: Classified inputs whose best classes differ, label or not.
    """

    predicted: int
    judged: int
    both_correct: int
    edge_only_correct: int
    reference_only_correct: int
    both_wrong: int
    differing: int


@dataclass(frozen=True, slots=True)
class Flip:
    """An input that the two sides classified differently.

    Args:
        input_id: What the caller named it.
        label: True class, None where nobody said.
        edge_top1: The edge's best class.
        reference_top1: The reference's.
        edge_correct: Whether the edge is right, None where nobody can say.
        reference_correct: The same of the reference.
    """

    input_id: str
    label: str | None
    edge_top1: int
    reference_top1: int
    edge_correct: bool | None
    reference_correct: bool | None


@dataclass(frozen=True, slots=True)
class Bin:
    """Elements between two values: their share of all finite ones on either side, 0 to 1."""

    lower: float
    upper: float
    edge_ratio: float
    reference_ratio: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """The elements of one tensor, edge over reference.

    Args:
        name: The tensor's place as the page names it.
        bins: Bins of equal width, ascending; zeros are in none.
        edge_zero_ratio: Share of the edge's elements that are zero.
        reference_zero_ratio: The same of the reference.
        edge_beyond_ratio: Share of the edge's elements outside the bins.
        reference_beyond_ratio: The same of the reference.
    """

    name: str
    bins: tuple[Bin, ...]
    edge_zero_ratio: float
    reference_zero_ratio: float
    edge_beyond_ratio: float = 0.0
    reference_beyond_ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class BuildPoint:
    """One build in the trend, against the page's reference.

    Args:
        started: Start of its first run, UTC.
        is_edge: Whether it is the page's edge.
        top1: Share of labelled inputs that were right, None without labels.
        ci95: Wilson interval of *top1*.
        model_ms: Median time of a model execution, milliseconds.
        output_sqnr_db: SQNR of the last layer measured.
        layer_sqnr_db: SQNR of the layer that the page looks at, found by its name.
    """

    build: str
    started: datetime
    is_edge: bool = False
    top1: float | None = None
    ci95: tuple[float, float] | None = None
    model_ms: float | None = None
    output_sqnr_db: float | None = None
    layer_sqnr_db: float | None = None


@dataclass(frozen=True)  # without slots: cached properties need a place
class Page:
    """Everything on the page.

    Args:
        comparison: Edge against reference.
        diagnosis: Its causes, None where nobody asked for them.
        outcomes: None where the sides share no input.
        flips: Inputs classified differently, those that became wrong first.
        flips_total: How many there are, of which *flips* may hold the first alone.
        distributions: Of the model input and the layer that the page looks at, as far as
            both sides recorded them.
        builds: Builds of the edge's kind, the oldest first.
        builds_total: How many there are, of which *builds* may hold some alone.
        made: When the page was made.
    """

    comparison: Comparison
    diagnosis: Diagnosis | None = None
    outcomes: Outcomes | None = None
    flips: tuple[Flip, ...] = ()
    flips_total: int = 0
    distributions: tuple[Distribution, ...] = ()
    builds: tuple[BuildPoint, ...] = ()
    builds_total: int = 0
    made: datetime = datetime(1970, 1, 1, tzinfo=UTC)

    @cached_property
    def finding(self) -> Finding:
        """Where the two part."""
        return judge(self.comparison)

    @cached_property
    def named_layer(self) -> LayerDifference | None:
        """The layer that a cause or the verdict names, None where neither does."""
        return named_layer(self.comparison, self.diagnosis)

    @cached_property
    def layer(self) -> LayerDifference | None:
        """The layer that the page looks at."""
        return layer_in_view(self.comparison, self.diagnosis)


def layer_in_view(comparison: Comparison, diagnosis: Diagnosis | None) -> LayerDifference | None:
    """Return the layer to look at: the one that is named, else the one that loses most."""
    return named_layer(comparison, diagnosis) or worst_layer(comparison)


def named_layer(comparison: Comparison, diagnosis: Diagnosis | None) -> LayerDifference | None:
    """Return the layer that the first cause with a layer names, else the one of the verdict."""
    layers = {layer.layer_index: layer for layer in comparison.layers}
    named = [cause.where.layer_index for cause in diagnosis.failing] if diagnosis else []
    for index in named:
        if index is not None and index in layers:
            return layers[index]
    return judge(comparison).layer
