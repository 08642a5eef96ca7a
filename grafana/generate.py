"""Write the JSON of dashboards and alert rules from their constructors.

Run in a checkout::

    python -m exray.grafana.generate            # write
    python -m exray.grafana.generate --check    # exit with 1 if a file is stale
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from .alerts import RULES, group_json
from .dashboards import BOARDS, SOURCES, dashboard_json

FOLDER = Path(__file__).resolve().parent / "generated"


def files() -> dict[str, str]:
    """Return every generated file's content by its path below `FOLDER`."""
    boards = {
        f"{source.name}/{board.name}.json": as_text(dashboard_json(board, source, BOARDS))
        for source in SOURCES.values()
        for board in BOARDS
    }
    rules = {
        f"{source.name}/alerts.json": as_text(group_json(RULES, source))
        for source in SOURCES.values()
    }
    return boards | rules


def as_text(document: object) -> str:
    """Return JSON as it is committed: keys sorted, two spaces, a newline at the end."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with ``--check`` say which are stale; exit code."""
    expected = files()
    if list(arguments) == ["--check"]:
        stale = [name for name, text in expected.items() if _read(FOLDER / name) != text]
        found = {path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*.json")}
        stale += sorted(found - set(expected))
        for name in stale:
            print(f"stale: {name}. python -m exray.grafana.generate")
        return 1 if stale else 0
    if arguments:
        print(f"unknown arguments {list(arguments)}; expected --check or none")
        return 2
    for old in FOLDER.glob("*/*.json"):
        old.unlink()
    for name, text in expected.items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return 0


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
