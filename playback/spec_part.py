"""What every part of a spec is made of: closed mappings, numbers, errors that say what is right."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A finite number; a text or a truth value is none."""

FORM_ERROR = "form"
"""Type of a pydantic error whose message is the expected form alone."""

PLAIN_ERROR = "plain"
"""Type of a pydantic error whose message says everything."""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return a sentence that suggests the nearest allowed word, or an empty text."""
    near = difflib.get_close_matches(word.lower(), list(allowed), n=1)
    return f". Did you mean '{near[0]}'?" if near else ""


def keys_of(value: object) -> set[str]:
    """Return the keys of a mapping or of a part, none of anything else."""
    if isinstance(value, SpecPart):
        return set(type(value).model_fields)
    if isinstance(value, Mapping):
        return {str(key) for key in cast("Mapping[object, object]", value)}
    return set()


def plain_error(text: str) -> PydanticCustomError:
    """Return an error whose message is *text* alone."""
    # The text goes in as context: in the template its own braces would be placeholders.
    return PydanticCustomError(PLAIN_ERROR, "{text}", {"text": text})


class SpecPart(BaseModel):
    """A mapping of the spec: immutable, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, data: object) -> object:
        """Name an unknown key together with the allowed ones, which pydantic does not."""
        allowed = list(cls.model_fields)
        for key in keys_of(data):
            if key not in allowed:
                text = f"unknown key '{key}', expected {', '.join(allowed)}"
                raise plain_error(text + did_you_mean(key, allowed))
        return data


def pair(value: object, form: str) -> object:
    """Refuse what is no list of two here: pydantic's own words would be about tuples."""
    if isinstance(value, list | tuple) and len(cast("list[object]", value)) == 2:
        return cast("object", value)
    raise PydanticCustomError(FORM_ERROR, "{form}", {"form": form})
