"""Ctrl-C while a query runs."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from exray.lake import Lake
from exray.queries.interrupt import Watch, WatchedCursors, interruptible

from .builders import Rows

ENDLESS = "SELECT count(*) FROM range(300000) AS a, range(300000) AS b WHERE a.range * b.range = 7"

DEADLINE_S = 60.0
"""By when an endless query has to be over; it takes a second."""


def interrupt_once(started: threading.Event) -> None:
    if started.wait(DEADLINE_S):
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)


def test_the_answer_is_that_of_the_work() -> None:
    def work(watch: Watch) -> object:
        with duckdb.connect() as connection:
            return watch.watched(connection).execute("SELECT 42").fetchone()

    assert interruptible(work) == (42,)


def test_an_error_is_that_of_the_work() -> None:
    def work(watch: Watch) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        interruptible(work)


@pytest.fixture
def heeded() -> Iterator[None]:
    """Python heeds SIGINT; it ignores it where the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("with_cursor", [False, True], ids=["connection", "cursor"])
def test_an_interrupt_ends_the_query(with_cursor: bool) -> None:
    started = threading.Event()
    raised: list[type[BaseException]] = []

    def work(watch: Watch) -> None:
        with duckdb.connect() as connection:
            watched = watch.watched(connection)
            asked = WatchedCursors(watched, watch).cursor() if with_cursor else watched
            started.set()
            try:
                asked.execute(ENDLESS).fetchall()
            except BaseException as error:
                raised.append(type(error))
                raise

    threading.Thread(target=interrupt_once, args=[started], daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        interruptible(work)
    assert raised == [duckdb.InterruptException]


def test_a_connection_opened_after_the_interrupt_is_not_asked() -> None:
    watch = Watch()
    watch.interrupt()
    with duckdb.connect() as connection, pytest.raises(KeyboardInterrupt):
        watch.watched(connection)


def test_a_closed_connection_does_not_matter() -> None:
    watch = Watch()
    watch.watched(duckdb.connect()).close()
    watch.interrupt()


def test_an_interrupted_command_says_so_in_one_line(tmp_path: Path) -> None:
    rows = Rows()
    rows.run("e", "edge")
    Lake.open_or_create(tmp_path / "lake").append(rows.arrow())
    # Python heeds no SIGINT where the tests were started in the background.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heed}; from exray.cli import main; main()"
    arguments = ["sql", ENDLESS, "--lake", str(tmp_path / "lake")]
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        time.sleep(3)  # it may still be starting: then the interrupt comes before the query
        process.send_signal(signal.SIGINT)
        try:
            _, said = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
    assert (process.returncode, len(said.splitlines())) == (130, 1)
