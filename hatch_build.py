"""Build the native library, and link the component folders for editable installs.

A wheel copies each folder to its place in the package, as ``pyproject.toml`` maps it. An
editable install cannot copy: it puts one directory, ``src/``, on ``sys.path``. The links
made here complete that directory, so the interpreter, mypy, pyright and pytest all read
the working tree. Git ignores them and no artifact contains them.

The native library is optional: where it cannot be built, exray does in Python what it can.
Set ``EXRAY_BUILD_NATIVE`` to ``require`` to make that an error, to ``off`` to go without.
"""

import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path("instrumentation", "native")
LIBRARY = "libexray_probe.so"


class ExrayBuildHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if version == "editable":
            for folder, package in self.build_config.sources.items():
                if package:
                    link_folder(Path(root, "src", package), Path(root, folder))
            built = build_library(root, self.app.display_warning)
            if built is not None:
                replace_file(built, root / NATIVE / LIBRARY)
            return
        built = build_library(root, self.app.display_warning)
        if built is not None:
            build_data["force_include"][str(built)] = f"exray/{NATIVE.as_posix()}/{LIBRARY}"
            build_data["pure_python"] = False
            # Not bound to a Python: the library is loaded by ctypes and by the runtimes.
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["tag"] = f"py3-none-{platform}"


def build_library(root: Path, warn: Any) -> Path | None:
    """Return the library built from the sources below *root*, None where that fails."""
    wanted = os.environ.get("EXRAY_BUILD_NATIVE", "auto")
    if wanted == "off":
        return None
    folder = Path(tempfile.mkdtemp(prefix="exray-native-"))  # the wheel reads it after we return
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    configure = ["cmake", "-S", str(root / NATIVE), "-B", str(folder), *generator]
    try:
        for command in (
            [*configure, "-DCMAKE_BUILD_TYPE=Release"],
            ["cmake", "--build", str(folder), "--target", "exray_probe", "--parallel"],
        ):
            subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        output = f"{getattr(error, 'stdout', '')}{getattr(error, 'stderr', '')}"
        last = output.strip().splitlines()[-1:] or [str(error)]
        if wanted == "require":
            raise RuntimeError(f"the native library cannot be built:\n{output or error}") from error
        warn(f"exray is built without its native library: {last[0]}")
        return None
    return folder / LIBRARY


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
