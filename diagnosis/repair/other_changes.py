"""Changes outside model and preprocessing: class numbers, what is kept between inputs, kernels."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from exray.diagnosis.causes import Cause

from .change import Change
from .configuration import Configuration

LABELS, STATE, KERNEL = "labels.shifted", "state.carried", "kernel.layer"

_RESET = """\
Forget what the model keeps before each independent input:

    interpreter.reset_all_variables()   # LiteRT, tf.lite: before set_tensor()

It leaves resource variables (VAR_HANDLE) as they are: load the model again for those. State
of the application's own, such as a queue of earlier windows, is to be cleared there."""

_KERNELS = """\
Run the model on the {family} kernels:

    from ai_edge_litert.interpreter import Interpreter, OpResolverType
    Interpreter(path, experimental_op_resolver_type=OpResolverType.{resolver})"""

_RESOLVERS = {"builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "reference": "BUILTIN_REF"}


def class_change(cause: Cause) -> Iterable[Change]:
    """Yield the shift of classes that undoes the one a cause names."""
    shift = cause.evidence.get("shift")
    if isinstance(shift, int) and shift:
        yield Change(
            f"add {-shift:+d} to each class that the model names",
            (cause,),
            partial(_shifted, -shift),
            f"Add {-shift:+d} to each class index that the model gives before it is looked up "
            "in the list of names, or use the list that belongs to the model.",
        )


def reset_change(cause: Cause) -> Iterable[Change]:
    """Yield that the model forgets each input before the next."""
    yield Change("reset the model before each input", (cause,), _reset, _RESET)


def kernel_changes(cause: Cause, kernels: str) -> Iterable[Change]:
    """Yield the same model on other kernels than those that a cause finds fault with."""
    for family, resolver in _RESOLVERS.items():
        if family != kernels:
            code = _KERNELS.format(family=family, resolver=resolver)
            yield Change(f"run on {family} kernels", (cause,), partial(_on, family), code)


def _shifted(shift: int, old: Configuration, _: Path) -> Configuration:
    return replace(old, class_shift=old.class_shift + shift)


def _reset(old: Configuration, _: Path) -> Configuration:
    return replace(old, resets=True)


def _on(family: str, old: Configuration, _: Path) -> Configuration:
    return replace(old, kernels=family)
