"""YAML as people write it by hand: numbers such as ``1e-9``, and no key twice.

Needs PyYAML, which whoever reads such files has among its dependencies.
"""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml

EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
"""Floats of YAML 1.2 (10.3.2) that PyYAML, which reads YAML 1.1, takes for texts."""


def parse_yaml(text: str) -> object:
    """Return what a YAML document holds.

    Raises:
        yaml.YAMLError: It is no YAML, or a mapping has a key twice, of which YAML parsers
            keep the last silently.
        ImportError: PyYAML is not installed.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(
            self, node: "yaml.MappingNode", deep: bool = False
        ) -> "dict[Any, Any]":
            _refuse_repeated_keys(node)
            return super().construct_mapping(node, deep)

    known = Loader.yaml_implicit_resolvers
    Loader.yaml_implicit_resolvers = {
        first: [*known.get(first, []), ("tag:yaml.org,2002:float", EXPONENT)]
        for first in {*known, *"-+0123456789"}
    }
    return yaml.load(text, Loader)


def _refuse_repeated_keys(node: "yaml.MappingNode") -> None:
    from yaml.constructor import ConstructorError

    seen: set[object] = set()
    for key, _ in node.value:
        name = (key.tag, key.value) if isinstance(key.value, str) else id(key)
        if name in seen:
            problem = f"key '{key.value}' again in line {key.start_mark.line + 1}. Keep one"
            raise ConstructorError(None, None, problem)
        seen.add(name)
