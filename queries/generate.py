"""Write the SQL library's page from the headers of its modules.

Run in a checkout::

    python -m exray.queries.generate            # write
    python -m exray.queries.generate --check    # exit with 1 if the page is stale
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from .catalog import MODULES, Definition, definitions

PAGE = Path(__file__).resolve().parent.parent / "docs" / "queries.md"

_INTRODUCTION = """\
# Queries

<!-- Written by python -m exray.queries.generate from the headers in queries/: edit those. -->

Views and macros that `exray sql` opens beside the [tables](tables.md), and that
`exray query NAME` runs:

```
exray query layer_divergence --arg edge=1.4.2 --arg reference=golden
exray sql "SELECT layer_name, sqnr_db FROM layer_divergence('1.4.2', 'golden') WHERE drop_db > 3"
```

Arguments called `edge`, `reference` and `selector` select runs: a build, the beginning of one
run's id, or full run ids separated by commas. A build means all its runs; where it holds
both roles, `edge` takes the edge's and `reference` the reference's. In `exray sql` a
selector that names nothing finds nothing; `exray query` says so, and lets `--arg build=`
stand for `--arg selector=`.

Only frames at level `summary` or above have distances. Where an element is not finite the
distance is NULL and the element is counted. Views of tables show each row once and hide
rows whose frame is not yet written; `_tensors` and the like are the raw rows.
"""


def page() -> str:
    """Return the page's text."""
    return "\n".join([_INTRODUCTION, *_lines()]).rstrip("\n") + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the page, or with ``--check`` say whether it is stale; exit code."""
    if list(arguments) == ["--check"]:
        if PAGE.exists() and PAGE.read_text("utf-8") == page():
            return 0
        print(f"stale: {PAGE.name}. python -m exray.queries.generate")
        return 1
    if arguments:
        print(f"unknown arguments {list(arguments)}; expected --check or none")
        return 2
    PAGE.write_text(page(), "utf-8")
    return 0


def _lines() -> Iterator[str]:
    package = ""
    for module in MODULES:
        public = [d for d in definitions() if d.public and d.module == module]
        folder = module.partition("/")[0]
        if public and folder != package:
            package = folder
            yield f"## {package.capitalize()}\n"
        for definition in public:
            yield from _definition_lines(definition)


def _definition_lines(definition: Definition) -> Iterator[str]:
    signature = ", ".join(
        argument.name if argument.default is None else f"{argument.name} := {argument.default}"
        for argument in definition.arguments
    )
    name = definition.name if definition.kind == "view" else f"{definition.name}({signature})"
    yield f"### `{name}`\n"
    yield from (f"{paragraph}\n" for paragraph in definition.paragraphs)
    for argument in definition.arguments:
        yield f"- `{argument.name}`: {argument.text}"
    if definition.arguments:
        yield ""
    if definition.kind == "scalar macro":
        returned = definition.columns[0]
        yield f"Returns {returned.type}: {returned.text}\n"
        return
    yield "| column | type | meaning |\n|---|---|---|"
    for column in definition.columns:
        yield f"| `{column.name}` | {column.type} | {column.text} |"
    yield ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
