"""Build the native library, and link the component folders for editable installs.

A wheel copies each folder to its place in the package, as ``pyproject.toml`` maps it. An
editable install cannot copy: it puts one directory, ``src/``, on ``sys.path``. The links
made here complete that directory, so the interpreter, mypy, pyright and pytest all read
the working tree. Git ignores them and no artifact contains them.

The native libraries are optional: where they cannot be built, exray does in Python what it can.
Set ``EXRAY_BUILD_NATIVE`` to ``require`` to make that an error, to ``off`` to go without.
"""

# hatchling is where wheels are built, not where types are checked:
# pyright: basic, reportMissingImports=false

import os
import shutil
import subprocess
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


@dataclass(frozen=True)
class Native:
    """A native library: its sources, which it is put beside, its name, its target in CMake."""

    folder: Path
    library: str
    target: str


LIBRARIES = (
    Native(Path("instrumentation", "native"), "libexray_probe.so", "exray_probe"),
    Native(Path("collector", "native"), "libexray_otlp.so", "exray_otlp"),
)


class ExrayBuildHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if version == "editable":
            for folder, package in self.build_config.sources.items():
                if package:
                    link_folder(Path(root, "src", package), Path(root, folder))
            for native in LIBRARIES:
                built = build_library(root, native, self.app.display_warning)
                if built is not None:
                    replace_file(built, root / native.folder / native.library)
            return
        for native in LIBRARIES:
            built = build_library(root, native, self.app.display_warning)
            if built is not None:
                place = f"exray/{native.folder.as_posix()}/{native.library}"
                build_data["force_include"][str(built)] = place
                build_data["pure_python"] = False
                # Not bound to a Python: the libraries are loaded by ctypes and by the runtimes.
                platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
                build_data["tag"] = f"py3-none-{platform}"


def build_library(root: Path, native: Native, warn: Any) -> Path | None:
    """Return a library built from its sources below *root*, None where that fails."""
    wanted = os.environ.get("EXRAY_BUILD_NATIVE", "auto")
    if wanted == "off":
        return None
    folder = Path(tempfile.mkdtemp(prefix="exray-native-"))  # the wheel reads it after we return
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    configure = ["cmake", "-S", str(root / native.folder), "-B", str(folder), *generator]
    try:
        for command in (
            [*configure, "-DCMAKE_BUILD_TYPE=Release"],
            ["cmake", "--build", str(folder), "--target", native.target, "--parallel"],
        ):
            subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        output = f"{getattr(error, 'stdout', '')}{getattr(error, 'stderr', '')}"
        last = output.strip().splitlines()[-1:] or [str(error)]
        if wanted == "require":
            raise RuntimeError(f"{native.library} cannot be built:\n{output or error}") from error
        warn(f"exray is built without {native.library}: {last[0]}")
        return None
    return folder / native.library


def replace_file(source: Path, target: Path) -> None:
    """Put a copy of *source* where *target* is: a process that has the old one open keeps it."""
    new = target.with_name(f".{target.name}.new")
    shutil.copy2(source, new)
    new.replace(target)


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
