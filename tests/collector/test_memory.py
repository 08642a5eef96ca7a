"""Memory of a process that takes requests, seen from a process of its own."""

import subprocess
import sys

import pytest

FAULTS = """
import resource
import sys
import threading

from exray.collector.memory import keep_what_is_freed

if sys.argv[1] == "kept":
    keep_what_is_freed()


def take_requests() -> None:
    for group in range(60):
        if group == 10:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        held = [b"x" * 100_000 for _ in range(30)]
        del held
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)


thread = threading.Thread(target=take_requests)
thread.start()
thread.join()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="its C library is another one")
def test_what_is_freed_is_at_hand_for_the_next_group_of_requests() -> None:
    assert faults("kept") < 1000
    assert faults("given back") > 10_000, "else there is nothing to keep"


def faults(what: str) -> int:
    command = [sys.executable, "-c", FAULTS, what]
    return int(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
