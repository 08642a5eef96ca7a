"""Commit sets to a lake until killed: a program for the tests of writers side by side.

Usage, with the folder of the tests on the path: python -P -m lake.writer LAKE WRITER COUNT

Prints each sequence once it is committed. Goes on after the last sequence that the lake
has of this writer, beginning with that one again, as a writer does that was killed.
"""

import sys

from exray.lake import Lake
from exray.lake.delta import DeltaLog

from .builders import make_set


def main(path: str, writer: str, count: int) -> None:
    """Commit sequences 0 to *count* - 1."""
    lake = Lake.open_or_create(path)
    recorded = DeltaLog(str(lake.path / "runs"), "runs").recorded_sequence(writer)
    for sequence in range(recorded or 0, count):
        lake.commit(make_set(sequence), writer=writer, sequence=sequence)
        print(sequence, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
