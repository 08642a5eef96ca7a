"""What the package shows to others."""

import doctest
import importlib
import inspect
import subprocess
import sys
from types import ModuleType

import pytest

from exray import schema
from exray.schema import errors, records


def test_exports_are_sorted_and_exist() -> None:
    constants = [name for name in schema.__all__ if name.isupper()]
    classes = [name for name in schema.__all__ if not name.isupper() and name[0].isupper()]
    functions = [name for name in schema.__all__ if name.islower()]
    assert schema.__all__ == sorted(constants) + sorted(classes) + sorted(functions)
    assert all(hasattr(schema, name) for name in schema.__all__)


@pytest.mark.parametrize("module", [errors, records])
def test_every_error_and_record_is_exported(module: ModuleType) -> None:
    names = [
        name
        for name, value in inspect.getmembers(module, inspect.isclass)
        if value.__module__ == module.__name__
    ]
    assert set(names) <= set(schema.__all__)


@pytest.mark.parametrize("name", ["identity", "quantization", "sketch"])
def test_examples_in_docstrings_run(name: str) -> None:
    module = importlib.import_module(f"exray.schema.{name}")
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


def test_the_tree_at_the_top_of_errors_names_them_all() -> None:
    tree = errors.__doc__ or ""
    classes = [name for name, _ in inspect.getmembers(errors, inspect.isclass)]
    assert all(f" {name} " in tree or f"{name}\n" in tree for name in classes)


def test_schema_imports_without_the_extras() -> None:
    blocked = ["pyarrow", "duckdb", "deltalake", "yaml", "PIL", "tensorflow", "ml_dtypes"]
    code = (
        "import sys, pkgutil, importlib, types\n"
        f"sys.modules.update(dict.fromkeys({blocked}))\n"
        "import exray.schema\n"
        "for module in pkgutil.iter_modules(exray.schema.__path__):\n"
        "    importlib.import_module(f'exray.schema.{module.name}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
