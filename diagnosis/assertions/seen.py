"""What a check sees: tensors of one frame, with their summaries, and whole where they were kept."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Load = Callable[[], "NDArray[np.float64] | None"]


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of one frame; statistics are of real values, integers dequantized.

    Args:
        role: raw, stage, input, layer, output or custom.
        name: Its name; of a stage's output the stage.
        shape: Dimensions, empty where not known.
        sum: Sum of the elements.
        sum2: Sum of their squares.
        saturated_low: Integers at their type's low end.
        saturated_high: Integers at its high end.
        scale: Quantization step, None of floats.
    """

    role: str
    name: str
    dtype: str = "float32"
    shape: tuple[int, ...] = ()
    count: int = 0
    sum: float = 0.0
    sum2: float = 0.0
    min: float | None = None
    max: float | None = None
    nan_count: int = 0
    inf_count: int = 0
    zero_count: int = 0
    saturated_low: int = 0
    saturated_high: int = 0
    scale: float | None = None
    layer_index: int | None = None
    layer_name: str | None = None
    op: str | None = None
    load: Load = field(default=_nothing, repr=False, compare=False)

    def values(self) -> NDArray[np.float64]:
        """Return all elements, shape `shape`, float64, dequantized.

        Raises:
            CannotTellError: They were not kept: only level full does.
        """
        found = self.load()
        if found is None:
            from .assertion import CannotTellError

            msg = f"{self.role} '{self.name}' was not kept whole. Record at --level full."
            raise CannotTellError(msg)
        return found

    @classmethod
    def of(cls, values: ArrayLike, role: str = "input", **fields: Any) -> "Tensor":
        """Return the tensor that these values would be recorded as, to try a check on.

        Args:
            values: Any shape, real values.
            role: What it is.
            fields: Anything else that differs.
        """
        array = np.asarray(values, np.float64)
        finite = array[np.isfinite(array)]
        made: dict[str, Any] = {
            "name": role,
            "shape": array.shape,
            "count": array.size,
            "sum": float(finite.sum()),
            "sum2": float(np.square(finite).sum()),
            "min": float(finite.min()) if finite.size else None,
            "max": float(finite.max()) if finite.size else None,
            "nan_count": int(np.isnan(array).sum()),
            "inf_count": int(np.isinf(array).sum()),
            "zero_count": int((array == 0).sum()),
            "load": lambda: array,
        }
        return cls(role, **(made | fields))


@dataclass(frozen=True, slots=True)
class Pair:
    """A tensor of the edge and its counterpart in the reference, of one input.

    Args:
        input_id: What the caller named the input.
        raw: The edge's raw input, None where not recorded.
    """

    input_id: str
    edge: Tensor
    reference: Tensor
    raw: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One input on both sides.

    Args:
        input_id: What the caller named the input.
        pairs: Tensors of both sides.
        edge_ms: The edge's time in the model, milliseconds; None where not measured.
        reference_ms: The reference's.
    """

    input_id: str
    pairs: tuple[Pair, ...] = ()
    edge_ms: float | None = None
    reference_ms: float | None = None
