"""A preprocessing spec, read from YAML and checked key by key.

A spec declares how a recorded input becomes the model's input, so that an edge and a
reference pipeline can be compared and varied. `load_spec()` reads a file;
`spec_from_mapping()` checks data that is parsed already, such as ``preprocess_json`` of a
run. Both answer a bad spec with a `SpecError` that names the file, the key's path, what
was found and what would be right.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, cast

from pydantic import ValidationError, model_validator

from exray.schema.errors import MissingExtraError, SpecError, continued
from exray.schema.yaml_text import parse_yaml

from .audio_spec import AudioSpec
from .image_spec import ImageSpec
from .spec_part import FORM_ERROR, PLAIN_ERROR, SpecPart, did_you_mean, plain_error
from .text_spec import TextSpec

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

DEFAULT_SOURCE = "preprocessing spec"
"""How an error names a spec that comes from no file."""

_TOP_FORM = (
    "'image: {channels, rotate, flip, crop, resize, values, layout}', 'audio: {...}' or"
    " 'text: {vocabulary, length, ...}'"
)


class PreprocessSpec(SpecPart):
    """A whole spec. ``model_dump_json()`` gives a text that `spec_from_mapping()` reads back.

    Args:
        image: How images are preprocessed; what counts where no other medium is declared.
        audio: How recordings are, None where the inputs are none.
        text: How texts are, None where the inputs are none.
    """

    image: ImageSpec = ImageSpec()
    audio: AudioSpec | None = None
    text: TextSpec | None = None

    @model_validator(mode="after")
    def _check_medium(self) -> Self:
        declared = [name for name in MEDIA if name in self.model_fields_set and _is_set(self, name)]
        if len(declared) > 1:
            raise plain_error(f"got {' and '.join(declared)}, expected one medium")
        return self

    @property
    def medium(self) -> Literal["image", "audio", "text"]:
        """What kind of input it is for."""
        if self.audio is not None:
            return "audio"
        return "image" if self.text is None else "text"

    def differences(self, other: "PreprocessSpec") -> dict[str, tuple[object, object]]:
        """Return what this spec and another say differently, by the path of the key.

        >>> bgr = PreprocessSpec.model_validate({"image": {"channels": "bgr"}})
        >>> PreprocessSpec().differences(bgr)
        {'image.channels': ('rgb', 'bgr')}
        """
        return dict(_differences("", self.model_dump(mode="json"), other.model_dump(mode="json")))


MEDIA = ("image", "audio", "text")
"""Top-level keys of a spec, of which it has one."""


def _is_set(spec: PreprocessSpec, name: str) -> bool:
    """Whether a medium is declared; the default image of a dumped spec is not."""
    value = getattr(spec, name)
    return value is not None and (name != "image" or value != ImageSpec())


def _differences(
    path: str, own: object, other: object
) -> Iterator[tuple[str, tuple[object, object]]]:
    if own == other:
        return
    if not isinstance(own, dict) or not isinstance(other, dict):
        yield path, (own, other)
        return
    ours, theirs = cast("dict[str, object]", own), cast("dict[str, object]", other)
    for key in ours | theirs:
        yield from _differences(f"{path}.{key}".lstrip("."), ours.get(key), theirs.get(key))


def load_spec(path: str | Path | None) -> PreprocessSpec:
    """Read and check a SPEC.yaml.

    Args:
        path: The file, or None for the default spec.

    Returns:
        The spec, with the default wherever the file is silent.

    Raises:
        SpecError: The file is missing or no YAML, or a key or value in it is wrong.
        MissingExtraError: PyYAML is not installed.
    """
    if path is None:
        return PreprocessSpec()
    try:
        text = Path(path).read_text("utf-8")
    except FileNotFoundError as error:
        msg = f"{path}: no such preprocessing spec. Name an existing YAML file"
        raise SpecError(msg) from error
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: not a readable text file ({error}). Name a YAML file in UTF-8"
        raise SpecError(msg) from error
    spec = spec_from_mapping(_parsed(text, str(path)), str(path))
    if spec.text is None:
        return spec
    # Absolute, so that what is recorded of it can be read from any folder.
    vocabulary = (Path(path).parent / spec.text.vocabulary).absolute()
    return spec.model_copy(update={"text": spec.text.model_copy(update={"vocabulary": vocabulary})})


def spec_from_mapping(data: object, source: str = DEFAULT_SOURCE) -> PreprocessSpec:
    """Check a spec that is parsed already.

    Args:
        data: What YAML or JSON gave; None, or None under ``image``, means the defaults.
        source: What to call it in an error, such as the file's path.

    Raises:
        SpecError: A key or value is wrong; each mistake has a line of its own.
    """
    if data is None:
        return PreprocessSpec()
    if not isinstance(data, Mapping):
        msg = f"{source}: got {_shown(data)}, expected a mapping {_TOP_FORM}"
        raise SpecError(msg)
    sections = dict(cast("Mapping[object, object]", data))
    if sections.get("image", sections) is None:
        del sections["image"]
    if sections.get("audio", sections) is None and len(sections) == 1:
        sections["audio"] = {}
    try:
        return PreprocessSpec.model_validate(sections)
    except ValidationError as error:
        lines = [_problem_line(problem, source) for problem in error.errors(include_url=False)]
        raise SpecError("\n".join(lines)) from error


def _parsed(text: str, source: str) -> object:
    try:
        import yaml
    except ImportError as error:
        extra, purpose = "playback", "reading a preprocessing spec"
        raise MissingExtraError(extra, purpose) from error
    try:
        return parse_yaml(text)
    except yaml.YAMLError as error:
        msg = f"{source}: not valid YAML, expected {_TOP_FORM}: {continued(error)}"
        raise SpecError(msg) from error


def _problem_line(problem: "ErrorDetails", source: str) -> str:
    keys = [key for key in problem["loc"] if not str(key).startswith("<")]
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")
    return ": ".join(part for part in (source, path, _problem_text(problem)) if part)


def _problem_text(problem: "ErrorDetails") -> str:
    kind, text, value = problem["type"], problem["msg"], problem["input"]
    if kind == PLAIN_ERROR:
        return text
    if kind == "missing":
        return "missing. Add this key beside the others"
    if kind == FORM_ERROR:
        return f"got {_shown(value)}, expected {text}"
    if kind == "model_type":
        return f"got {_shown(value)}, expected a mapping, or leave the key out"
    expected = text.removeprefix("Input should be ").replace("valid tuple", "list of numbers")
    words = re.findall(r"'([^']*)'", expected)
    return f"got {_shown(value)}, expected {expected}{did_you_mean(str(value), words)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
