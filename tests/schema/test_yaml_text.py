"""YAML that people write."""

import pytest
import yaml

from exray.schema.yaml_text import parse_yaml


@pytest.mark.parametrize(
    ("text", "value"), [("1e-9", 1e-9), ("1E5", 1e5), ("-1.5e3", -1.5e3), ("+2.e1", 20.0)]
)
def test_floats_need_neither_a_point_nor_a_sign_of_the_exponent(text: str, value: float) -> None:
    assert parse_yaml(f"a: {text}") == {"a": value}


@pytest.mark.parametrize("text", ["1e", "e5", "0x1e5g", "1e5 m", "'1e5'", "1-e5", "v1e5"])
def test_what_only_looks_like_one_stays_a_text(text: str) -> None:
    assert parse_yaml(f"a: {text}") == {"a": text.strip("'")}


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3", "x:\n  a: 1\n  b: 2\n  a: 3"])
def test_key_given_twice_is_refused(text: str) -> None:
    line = text.count("\n") + 1
    with pytest.raises(yaml.YAMLError, match=f"^key 'a' again in line {line}. Keep one$"):
        parse_yaml(text)


def test_a_key_may_come_again_in_another_mapping_or_override_a_merged_one() -> None:
    text = "base: &base {a: 1, b: 2}\nown:\n  <<: *base\n  a: 3\n"
    assert parse_yaml(text) == {"base": {"a": 1, "b": 2}, "own": {"a": 3, "b": 2}}


def test_python_objects_are_refused() -> None:
    with pytest.raises(yaml.YAMLError, match="could not determine a constructor"):
        parse_yaml("!!python/object/apply:os.getcwd []")
