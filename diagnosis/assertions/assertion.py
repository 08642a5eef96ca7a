"""What a check of one's own is, and the decorator that makes one of a function."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeVar

from exray.queries.names import tail_name
from exray.schema.errors import ExrayError

from .seen import Frame, Pair, Tensor

Over = Literal["pairs", "tensors", "frames"]
"""What a check is called with: an edge's and a reference's tensor, an edge's tensor, a frame."""

Checked = Pair | Tensor | Frame

Function = TypeVar("Function", bound=Callable[..., str | None])


class CannotTellError(ExrayError):
    """A check lacks what it needs: it neither holds nor fails."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """A check in Python.

    Args:
        name: What the cause's code ends with: ``assertion.<name>``.
        check: Returns what is wrong, or None; an `AssertionError` says what is wrong too.
        over: What it is called with.
        role: Tensors it looks at: raw, stage, input, layer, output or custom.
        layer: Layers it looks at, by name with ``*``; empty for all.
        op: Operator it looks at; empty for all.
        fix: What to do where it fails.
    """

    name: str
    check: Callable[..., str | None]
    over: Over = "pairs"
    role: str = "input"
    layer: str = ""
    op: str = ""
    fix: str = "See the check."

    def wants(self, tensor: Tensor) -> bool:
        """Whether it looks at this tensor."""
        name = tensor.layer_name or tensor.name
        return (
            tensor.role == self.role
            and (not self.op or (tensor.op or "").upper() == self.op.upper())
            and (
                not self.layer
                or fnmatchcase(name, self.layer)
                or fnmatchcase(tail_name(name), self.layer)
            )
        )

    def wrong(self, seen: Checked) -> str | None:
        """Return what is wrong, None where it holds.

        Raises:
            CannotTellError: It lacks what it needs.
        """
        try:
            return self.check(seen)
        except AssertionError as error:
            return str(error) or f"{self.name} does not hold"


def assertion(
    name: str | None = None,
    *,
    over: Over = "pairs",
    role: str = "input",
    layer: str = "",
    op: str = "",
    fix: str = "See the check.",
) -> Callable[[Function], Function]:
    """Make a check of a function, which stays callable as it is.

    Args:
        name: What reports call it; the function's name by default.
        over: ``pairs`` (a tensor of edge and reference), ``tensors`` (of the edge) or
            ``frames``.
        role: Tensors it looks at: raw, stage, input, layer, output or custom.
        layer: Layers it looks at, by name with ``*``; empty for all.
        op: Operator it looks at; empty for all.
        fix: What to do where it fails.

    >>> @assertion(over="tensors", role="layer", op="SOFTMAX")
    ... def adds_up(tensor):
    ...     return None if abs(tensor.sum - 1) < 0.1 else f"adds up to {tensor.sum}"
    >>> adds_up.__exray_assertion__.name
    'adds_up'
    """

    def register(function: Function) -> Function:
        made = Assertion(name or function.__name__, function, over, role, layer, op, fix)
        function.__exray_assertion__ = made  # type: ignore[attr-defined]  # found by its file's loader
        return function

    return register
