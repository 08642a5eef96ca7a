"""A preprocessing spec's text with some keys changed, and all else as its author wrote it."""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from exray.playback.spec import PreprocessSpec, spec_from_mapping
from exray.schema.errors import SpecError
from exray.schema.yaml_text import parse_yaml


def changed_text(text: str, medium: str, keys: Sequence[str], wanted: PreprocessSpec) -> str:
    """Return a spec's text that says what *wanted* says of some keys of a section.

    Comments, order and the form of everything else stay. Where the text cannot be edited
    in place, the section is written anew.

    Args:
        text: The spec as it is.
        medium: The section: ``image``, ``audio`` or ``text``.
        keys: Its keys that may differ.
        wanted: What the text is to say.
    """
    section = _plain(wanted, medium)
    edited = text
    for key in keys:
        edited = _with_key(edited, medium, key, section.get(key), _default(wanted, medium, key))
    if _read(edited, text_source=wanted) != wanted:
        edited = _dumped({medium: section}, None)
    return edited


def unified_diff(before: str, after: str, name: str) -> str:
    """Return the difference of two texts as ``patch -p1`` takes it; empty where there is none."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    # A last line without its end would run into the next one.
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _plain(spec: PreprocessSpec, medium: str) -> dict[str, Any]:
    """Return a section as YAML has it, without what is the default."""
    dumped = json.loads(spec.model_dump_json(exclude_defaults=True))
    return cast("dict[str, Any]", dumped.get(medium, {}))


def _default(spec: PreprocessSpec, medium: str, key: str) -> Any:
    """Return what a key says where it says what its absence would."""
    return json.loads(spec.model_dump_json())[medium].get(key)


def _read(text: str, *, text_source: PreprocessSpec) -> PreprocessSpec | None:
    """Return what a text says, None where it says nothing sensible."""
    import yaml

    try:
        spec = spec_from_mapping(parse_yaml(text))
    except (SpecError, yaml.YAMLError):
        return None
    if spec.text is not None and text_source.text is not None:
        # as loaded, the vocabulary is absolute
        kept = {"vocabulary": text_source.text.vocabulary}
        return spec.model_copy(update={"text": spec.text.model_copy(update=kept)})
    return spec


def _with_key(text: str, medium: str, key: str, value: Any, default: Any) -> str:
    """Return a text whose section has another value for a key; None is the default."""
    import yaml

    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    section = _child(root, medium)
    if not isinstance(section, yaml.MappingNode):
        added = {} if value is None else {key: value}
        rest = "" if section is None or not text.strip() else text.rstrip("\n") + "\n"
        return rest + _dumped({medium: added}, None)
    pair = next((p for p in section.value if p[0].value == key), None)
    if pair is not None:
        return _replaced(text, section, pair, default if value is None else value)
    if value is None:
        return text
    shown = f"{key}: {_flow(value)}"
    if section.flow_style or not section.value:
        end = section.end_mark.index - 1
        comma = ", " if section.value else ""
        return text[:end].rstrip() + comma + shown + text[end:]
    first, last = section.value[0][0], section.value[-1][1]
    end = _line_end(text, _content_end(text, last))
    margin = " " * first.start_mark.column
    start = text[:end] if text[:end].endswith("\n") or not end else text[:end] + "\n"
    return f"{start}{margin}{shown}\n{text[end:]}"


def _replaced(text: str, section: Any, pair: tuple[Any, Any], value: Any) -> str:
    name, old = pair
    if value is None:  # back to the default, by leaving it out
        if section.flow_style:
            return _cut_from_flow(text, section, pair)
        start = text.rfind("\n", 0, name.start_mark.index) + 1
        return text[:start] + text[_line_end(text, _content_end(text, old)) :]
    start, end = old.start_mark.index, _content_end(text, old)
    if start < end and text[name.end_mark.index : start].count("\n"):
        # a block below its key becomes a value beside it
        start = text.index(":", name.end_mark.index) + 1
        return f"{text[:start]} {_flow(value)}{text[end:]}"
    return text[:start] + _flow(value) + text[end:]


def _cut_from_flow(text: str, section: Any, pair: tuple[Any, Any]) -> str:
    position = section.value.index(pair)
    start, end = pair[0].start_mark.index, pair[1].end_mark.index
    if position + 1 < len(section.value):
        end = section.value[position + 1][0].start_mark.index
    elif position:
        start = section.value[position - 1][1].end_mark.index
    return text[:start] + text[end:]


def _content_end(text: str, node: Any) -> int:
    """Return where a value ends; the mark of a block stands behind the space after it."""
    import yaml

    end = int(node.end_mark.index)
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _content_end(text, last[1] if isinstance(node, yaml.MappingNode) else last)
    return end


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    return len(text) if end < 0 else end + 1


def _child(root: Any, key: str) -> Any:
    import yaml

    if not isinstance(root, yaml.MappingNode):
        return None
    return next((value for name, value in root.value if name.value == key), None)


def _flow(value: object) -> str:
    """Return a value on one line, as a spec shows it."""
    if isinstance(value, Mapping):
        named = cast("Mapping[object, object]", value).items()
        return "{" + ", ".join(f"{name}: {_flow(inner)}" for name, inner in named) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, cast("list[object]", value))) + "]"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(round(value))
    return _dumped(value, True).removesuffix("...\n").strip()


def _dumped(value: object, flow_style: bool | None) -> str:
    """Return a value as YAML: on one line, or in block form down to the innermost."""
    import yaml

    untyped = cast("Any", yaml)  # its stubs leave a type unknown
    return str(untyped.safe_dump(value, sort_keys=False, default_flow_style=flow_style, width=1000))
