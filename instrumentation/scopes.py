"""What an application holds while a frame or a stage is open.

`Frame` and `Stage` as they stand do nothing: they are what the application gets while
nothing is recorded. `exray.instrumentation.frames` and ``.stages`` have those that record.
"""

from types import TracebackType
from typing import Self, TypeVar

Value = TypeVar("Value")


class Stage:
    """A named step outside the model; does nothing while nothing is recorded."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def output(self, value: Value) -> Value:
        """Record the stage's result and return it unchanged.

        Args:
            value: Anything that ``numpy.asarray`` takes; the very object is returned.
        """
        return value


class Frame:
    """One input through the pipeline; does nothing while nothing is recorded."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def raw(self, value: Value) -> Value:
        """Record the raw input, as the sensor or file gave it, and return it unchanged.

        Args:
            value: Anything that ``numpy.asarray`` takes; the very object is returned.
        """
        return value

    def output(self, value: Value) -> Value:
        """Record an array as the frame's result and return it unchanged.

        Args:
            value: Anything that ``numpy.asarray`` takes; the very object is returned.
        """
        return value

    def prediction(self, output: object) -> None:
        """Record which classes the model's raw *output* names.

        Args:
            output: The model's output for this input; integers are dequantized by the
                last inference's output. A single element is the probability of class 1.
        """
