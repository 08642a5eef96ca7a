"""Link the component folders under ``src/exray/`` for editable installs.

A wheel copies each folder to its place in the package, as ``pyproject.toml`` maps
it. An editable install cannot copy: it puts one directory, ``src/``, on
``sys.path``. The links made here complete that directory, so the interpreter,
mypy, pyright and pytest all read the working tree. Git ignores them and no
artifact contains them.
"""

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class EditableLinks(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":
            return
        for folder, package in self.build_config.sources.items():
            if package:
                link_folder(Path(self.root, "src", package), Path(self.root, folder))


def link_folder(link: Path, folder: Path) -> None:
    """Make *link* show *folder*, replacing whatever is there; never a real directory."""
    if link.is_dir() and link.resolve() == folder.resolve():
        return
    if link.is_symlink() or link.is_file():
        link.unlink()
    if os.name == "nt":  # junctions, unlike symlinks, need no privilege
        import _winapi

        _winapi.CreateJunction(str(folder), str(link))
    else:
        link.symlink_to(os.path.relpath(folder, link.parent), target_is_directory=True)
