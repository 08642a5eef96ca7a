"""Checks from files: Python functions with the decorator, and SQL that returns what is wrong."""

import importlib.util
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from exray.schema.errors import UsageError

from .assertion import Assertion


@dataclass(frozen=True, slots=True)
class SqlAssertion:
    """A query whose rows are what is wrong.

    Args:
        name: The file's name without its ending.
        text: May use ``$edge``, ``$reference`` and ``$baseline``; the columns ``what``,
            ``layer_index``, ``layer_name``, ``op`` and ``stage`` say what and where.
        fix: The first sentence of its first comment.
    """

    name: str
    text: str
    fix: str

    @property
    def parameters(self) -> set[str]:
        """The builds that it asks about."""
        return set(re.findall(r"\$(edge|reference|baseline)\b", self.text))


def load_assertions(paths: Iterable[Path]) -> tuple[Assertion | SqlAssertion, ...]:
    """Read checks from .py and .sql files, and from folders of them.

    Python files are run: load only what you trust.

    Raises:
        UsageError: A path does not exist, or a file cannot be read, or holds no check.
    """
    return tuple(found for path in paths for file in _files(path) for found in _load(file))


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(f for f in path.iterdir() if f.suffix in (".py", ".sql"))
        if not found:
            msg = f"assertions '{path}' hold no .py or .sql file. Name another folder"
            raise UsageError(msg)
        return found
    if not path.is_file() or path.suffix not in (".py", ".sql"):
        msg = f"assertions '{path}' are no .py or .sql file and no folder. Name one that exists"
        raise UsageError(msg)
    return [path]


def _load(file: Path) -> Iterator[Assertion | SqlAssertion]:
    if file.suffix == ".sql":
        text = file.read_text("utf-8")
        said = re.search(r"^--\s*(.+)$", text, re.MULTILINE)
        yield SqlAssertion(file.stem, text, said[1] if said else "See the query.")
        return
    spec = importlib.util.spec_from_file_location(f"exray_assertions_{file.stem}", file)
    if spec is None or spec.loader is None:
        msg = f"assertions '{file}' cannot be imported"
        raise UsageError(msg)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        msg = f"assertions '{file}' cannot be imported: {type(error).__name__}: {error}"
        raise UsageError(msg) from error
    found = [getattr(value, "__exray_assertion__", None) for value in vars(module).values()]
    made = [value for value in found if isinstance(value, Assertion)]
    if not made:
        msg = f"assertions '{file}' hold no function with the decorator @assertion()"
        raise UsageError(msg)
    yield from made
