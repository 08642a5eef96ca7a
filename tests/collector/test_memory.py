"""Memory of a process that takes requests or drains them, seen from a process of its own."""

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

SETS = """
import resource
import sys

from exray.collector.memory import keep_what_a_set_frees

if sys.argv[1] == "kept":
    keep_what_a_set_frees()

import pyarrow as pa

for number in range(12):
    if number == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [b"x" * 20_000_000 for _ in range(3)]
    del held
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(pa.default_memory_pool().backend_name)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="its C library is another one")
def test_what_is_freed_is_at_hand_for_the_next_group_of_requests() -> None:
    assert faults("kept") < 1000
    assert faults("given back") > 10_000, "else there is nothing to keep"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="its C library is another one")
def test_what_a_set_frees_is_at_hand_for_the_next_one() -> None:
    assert int(told(SETS, "kept")[0]) < 1000
    assert int(told(SETS, "given back")[0]) > 10_000, "else there is nothing to keep"


def test_arrow_takes_memory_where_all_else_does_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ARROW_DEFAULT_MEMORY_POOL", raising=False)
    assert told(SETS, "kept")[1] == "system"
    assert told(SETS, "given back")[1] != "system"
    monkeypatch.setenv("ARROW_DEFAULT_MEMORY_POOL", "mimalloc")
    assert told(SETS, "kept")[1] == "mimalloc"


def faults(what: str) -> int:
    return int(told(FAULTS, what)[0])


def told(program: str, what: str) -> list[str]:
    command = [sys.executable, "-c", program, what]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return done.stdout.decode().split()
