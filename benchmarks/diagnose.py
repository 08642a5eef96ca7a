"""How long a diagnosis from the lake alone takes, against reading the same files once.

Writes the synthetic lake of `compare.py` (60 frames of 66 layers, edge, reference and a
previous build), then times the whole `exray diagnose` command in a process of its own, with
and without the baseline, `exray compare` for scale, and a scan of the same Parquet.

    python benchmarks/diagnose.py [--frames 60] [--layers 66]
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from compare import best_ms, scan, write_lake

from exray.lake import Lake
from exray.queries import connect


def main() -> None:
    """Write the lake, time, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--layers", type=int, default=66)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = write_lake(Path(folder, "lake"), options.frames, options.layers, builds=1)
        connection = connect(lake)
        scan_ms = best_ms(lambda: connection.execute(scan()).fetchall())
        connection.close()
        print(f"{options.frames} frames x {options.layers} layers")
        for title, arguments in (
            ("exray compare", ("compare",)),
            ("exray diagnose", ("diagnose",)),
            ("exray diagnose --baseline", ("diagnose", "--baseline", "older-0")),
        ):
            ms = best_ms(lambda a=arguments: run(lake, *a))
            print(f"  {title:28}{ms:9.0f} ms {ms / scan_ms:8.1f} x scan")


def run(lake: Lake, *arguments: str) -> None:
    """Run a command in a process of its own, as a user does."""
    exray = str(Path(sys.executable).with_name("exray"))
    builds = ("--edge", "edge", "--reference", "reference", "--json", "--lake", str(lake.path))
    subprocess.run((exray, *arguments, *builds), check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
