"""Install the wheel that was built from the sdist into a new environment, and try it.

Usage: check_wheel.py DIST. Run by ``make package``; not a test module, because it installs.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

PROBE = """
import importlib, importlib.util, pkgutil
import exray
from importlib.resources import files

for folder in ("schema", "lake", "exporters", "instrumentation", "queries", "playback",
               "diagnosis", "collector", "grafana"):
    assert importlib.util.find_spec(folder) is None, f"{folder} is importable as a bare name"
for absent in ("pyarrow", "duckdb", "deltalake", "tensorflow", "ai_edge_litert", "PIL", "yaml",
               "psutil", "vl_convert"):
    assert importlib.util.find_spec(absent) is None, f"{absent} came with the core install"
modules = [m.name for m in pkgutil.walk_packages(exray.__path__, "exray.")]
assert len(modules) > 50, modules
# The collector's service is made of these, and only its own commands import it.
service = {"google", "grpc", "httptools", "prometheus_client", "uvicorn", "yaml"}
for name in modules:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        is_service = name.startswith("exray.collector.") and name != "exray.collector.commands"
        if not is_service or str(error.name).partition(".")[0] not in service:
            raise
assert "CREATE OR REPLACE" in files("exray.queries").joinpath("divergence", "layer.sql").read_text()
assert files("exray.playback").joinpath("demo", "demo_int8.tflite").is_file()
assert files("exray.diagnosis.page").joinpath("page.js").is_file()
assert files("exray").joinpath("py.typed").is_file()
for component in ("exray.instrumentation", "exray.collector"):
    assert not [f.name for f in files(component).joinpath("native").iterdir()
                if f.name.endswith((".cc", ".h", ".txt"))], "sources of a native library"
if EXPECT_NATIVE:
    from exray.collector.native_library import otlp_library
    from exray.instrumentation.native_library import native_library
    assert native_library().handle is not None, native_library().reason
    assert otlp_library().handle is not None, otlp_library().reason
print(len(modules), "modules import without the extras")
"""


def main() -> None:
    """Install the one wheel of a folder and run the probe from elsewhere."""
    (wheel,) = Path(sys.argv[1]).resolve().glob("*.whl")
    with tempfile.TemporaryDirectory() as work:
        venv.create(work, with_pip=True)
        python = Path(work, "bin", "python")
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

        def run(*command: object) -> None:
            subprocess.run([str(c) for c in command], check=True, cwd="/", env=environment)

        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
        run(Path(work, "bin", "exray"), "--help")
        has_compiler = shutil.which("c++") is not None or shutil.which("g++") is not None
        run(python, "-c", f"EXPECT_NATIVE = {has_compiler}\n{PROBE}")


if __name__ == "__main__":
    main()
