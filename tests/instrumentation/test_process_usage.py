import time

from exray.instrumentation.process_usage import process_usage


def test_the_process_tells_its_peak_memory() -> None:
    _, peak = process_usage()

    assert peak is not None
    assert peak > 10_000_000


def test_cpu_time_is_that_of_the_process() -> None:
    before_ns, _ = process_usage()
    start_ns = time.process_time_ns()
    while time.process_time_ns() - start_ns < 20_000_000:
        pass
    after_ns, _ = process_usage()

    assert before_ns is not None
    assert after_ns is not None
    assert 10_000_000 < after_ns - before_ns < 1_000_000_000
