"""What a spec may say about text: keys, allowed values, defaults."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from .spec_part import SpecPart

MAX_TOKENS = 1_000_000
"""Most tokens of a model input."""


class TextSpec(SpecPart):
    r"""How a text becomes token ids.

    The steps run in this order: case, split, ids, start, cut, padding.

    Args:
        vocabulary: File with a token on each line, and its id after a space; without ids the
            line's index counts. A relative path counts from the spec's folder.
        case: ``lower``, or ``keep``.
        split: ``words`` splits at runs of anything but letters, digits, ``_`` and ``'``, as
            TensorFlow Lite's RegexTokenizer with ``[^\w\']+``; ``alphanumeric`` splits at
            ``'`` too; ``spaces`` at white space alone; ``characters`` into single ones.
        start: Token put in front, None for none.
        unknown: Id of tokens that the vocabulary lacks; None drops them.
        length: Ids of the model input.
        padding: Side that is filled with *pad*.
        cut: Side of a longer text that is lost.
        pad: Id that fills.
        shift: Added to each id of the vocabulary.
    """

    vocabulary: Path
    case: Literal["lower", "keep"] = "lower"
    split: Literal["words", "alphanumeric", "spaces", "characters"] = "words"
    start: str | None = None
    unknown: Annotated[int, Field(strict=True, ge=0)] | None = None
    length: Annotated[int, Field(strict=True, gt=0, le=MAX_TOKENS)]
    padding: Literal["right", "left"] = "right"
    cut: Literal["right", "left"] = "right"
    pad: Annotated[int, Field(strict=True, ge=0)] = 0
    shift: Annotated[int, Field(strict=True)] = 0
