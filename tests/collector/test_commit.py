"""Requests that are written in one group, each told on its own."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from exray.collector.commit import GroupCommitter
from exray.collector.entry import TURN_BYTES, Entry, LoopWait, OnDone, ThreadWait
from exray.collector.reply import Outcome
from exray.exporters.log import Encoding
from exray.exporters.log_packing import Packing
from exray.exporters.log_writer import LogWriter


def test_a_request_whose_event_loop_has_gone_holds_up_no_other(tmp_path: Path) -> None:
    gone = asyncio.new_event_loop()
    gone.close()
    committer = GroupCommitter(LogWriter(tmp_path), max_bytes=1 << 20)
    waiter = ThreadWait()
    lost = entry(LoopWait(gone, committer.submit).then(lambda _: None))
    waited = entry(waiter.on_done)
    committer.submit([lost])
    committer.submit([waited])
    waiter.wait()
    assert (lost.refusal, waited.refusal) == (None, None)
    assert committer.is_working
    committer.close()


def test_what_a_turn_of_an_event_loop_brought_goes_to_disk_together() -> None:
    async def bring() -> None:
        waits = LoopWait(asyncio.get_running_loop(), groups.append)
        for turn in brought:
            for one in turn:
                waits.submit(one)
            await asyncio.sleep(0)

    groups: list[Sequence[Entry]] = []
    brought = [[entry(nobody) for _ in range(count)] for count in (3, 1, 2)]
    asyncio.run(bring())
    assert groups == brought


def test_large_requests_do_not_wait_for_the_end_of_their_turn() -> None:
    async def bring() -> None:
        waits = LoopWait(asyncio.get_running_loop(), groups.append)
        waits.submit(small)
        waits.submit(large)
        assert groups == [[small, large]]
        waits.submit(other)
        await asyncio.sleep(0)

    groups: list[Sequence[Entry]] = []
    small, large, other = entry(nobody), entry(nobody, bytes(TURN_BYTES)), entry(nobody)
    asyncio.run(bring())
    assert groups == [[small, large], [other]]


def test_a_request_that_comes_when_the_log_is_closed_is_to_be_sent_again(tmp_path: Path) -> None:
    committer = GroupCommitter(LogWriter(tmp_path), max_bytes=1 << 20)
    committer.close()
    waiter = ThreadWait()
    late = entry(waiter.on_done)
    committer.submit([late])
    waiter.wait()
    assert late.refusal is not None
    assert (late.refusal.reason, late.refusal.reply.outcome) == ("shutdown", Outcome.LATER)


def entry(on_done: OnDone, body: bytes = b"request") -> Entry:
    return Entry("traces", Encoding.PROTOBUF, Packing.NONE, body, 1, on_done)


def nobody(_: Entry) -> None:
    """Wait for nothing."""
