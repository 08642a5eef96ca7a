"""A policy, read from YAML and checked key by key."""

from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self, cast, get_args

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from exray.playback.spec_part import Number, SpecPart, plain_error
from exray.schema.errors import MissingExtraError, UsageError, continued
from exray.schema.yaml_text import parse_yaml

LayerMetric = Literal[
    "sqnr_db",
    "drop_db",
    "rank_drop_db",
    "cosine",
    "nrmse",
    "rmse_per_scale",
    "saturated_ratio",
    "layer_ms",
]
"""Metrics of each layer."""

WholeMetric = Literal[
    "input_sqnr_db",
    "stage_ms",
    "model_ms",
    "top1",
    "flips",
    "mcnemar_p",
    "frames_paired",
    "frames_unpaired",
    "layers_unaligned",
]
"""Metrics of the whole, or of a stage."""

LAYER_METRICS: frozenset[str] = frozenset(get_args(LayerMetric))

Status = Literal["fail", "unexplained"]


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
"""One text, or several."""


class Limit(SpecPart):
    """What a metric must keep to, absolutely or against the baseline.

    Args:
        metric: What is measured.
        name: What reports call the limit; by default the metric and its selector.
        layer: Layers it speaks of, by name with ``*``, or by index; none for all.
        op: Operators it speaks of; none for all.
        stage: Stage that ``stage_ms`` speaks of; none for all.
        min: Least value.
        max: Greatest value.
        max_loss: By how much it may be below the baseline's.
        max_gain: By how much it may be above the baseline's.
        max_ratio: How many times the baseline's it may be.
    """

    metric: LayerMetric | WholeMetric
    name: str | None = None
    layer: Patterns = ()
    op: Patterns = ()
    stage: str | None = None
    min: Number | None = None
    max: Number | None = None
    max_loss: Annotated[Number, Field(ge=0)] | None = None
    max_gain: Annotated[Number, Field(ge=0)] | None = None
    max_ratio: Annotated[Number, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        bounds = (self.min, self.max, self.max_loss, self.max_gain, self.max_ratio)
        if all(bound is None for bound in bounds):
            raise plain_error("expected at least one of min, max, max_loss, max_gain, max_ratio")
        if (self.layer or self.op) and self.metric not in LAYER_METRICS:
            raise plain_error(f"'{self.metric}' is no metric of layers: leave layer and op out")
        if self.stage is not None and self.metric != "stage_ms":
            raise plain_error(f"'{self.metric}' is no metric of stages: leave stage out")
        return self

    @property
    def label(self) -> str:
        """What reports call it."""
        chosen = [*self.layer, *self.op, *([self.stage] if self.stage else [])]
        return self.name or " ".join([self.metric, *chosen])

    @property
    def needs_baseline(self) -> bool:
        """Whether it is relative to the previous build."""
        return any(x is not None for x in (self.max_loss, self.max_gain, self.max_ratio))


class Waiver(SpecPart):
    """A failure that is known and let pass until a day.

    Args:
        check: Checks it speaks of: a cause's code or a limit's name, ``*`` allowed.
        layer: Layers it speaks of, by name with ``*``, or by index; none for all.
        reason: Why, for whoever reads the report.
        expires: Last day on which it holds.
    """

    check: Annotated[str, Field(min_length=1)]
    layer: Patterns = ()
    reason: Annotated[str, Field(min_length=1)]
    expires: date


class Policy(SpecPart):
    """What a build must keep to.

    Args:
        fail_on: What the diagnosis must not come to.
        limits: Limits of metrics.
        waivers: Failures that are let pass for a while.
        assertions: Files and folders of user-written checks, relative to the policy.
    """

    fail_on: tuple[Status, ...] = ("fail", "unexplained")
    limits: tuple[Limit, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    assertions: tuple[Path, ...] = ()


def load_policy(path: Path) -> Policy:
    """Read and check a policy.

    Raises:
        UsageError: The file is missing or no YAML, or a key or value in it is wrong; each
            mistake has a line of its own.
        MissingExtraError: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("playback", "reading a policy") from error
    try:
        data = parse_yaml(path.read_text("utf-8"))
    except FileNotFoundError as error:
        msg = f"policy '{path}' does not exist. Name a YAML file"
        raise UsageError(msg) from error
    except (OSError, UnicodeDecodeError) as error:
        msg = f"policy '{path}' cannot be read ({error}). Name a YAML file"
        raise UsageError(msg) from error
    except yaml.YAMLError as error:
        msg = f"{path}: not valid YAML: {continued(error)}"
        raise UsageError(msg) from error
    if not isinstance(data, dict):
        msg = f"{path}: got {data!r}, expected a mapping {{fail_on, limits, waivers, assertions}}"
        raise UsageError(msg)
    try:
        policy = Policy.model_validate(cast("dict[str, object]", data))
    except ValidationError as error:
        lines = [
            f"{path}: {'.'.join(map(str, problem['loc'])) or 'policy'}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        ]
        raise UsageError("\n".join(lines)) from error
    paths = tuple(path.parent / found for found in policy.assertions)
    return policy.model_copy(update={"assertions": paths})
