"""Requests that are written in one group, each told on its own."""

import asyncio
from pathlib import Path

from exray.collector.commit import GroupCommitter
from exray.collector.entry import Entry, LoopWait, OnDone, ThreadWait
from exray.exporters.log import Encoding
from exray.exporters.log_packing import Packing
from exray.exporters.log_writer import LogWriter


def test_a_request_whose_event_loop_has_gone_holds_up_no_other(tmp_path: Path) -> None:
    gone = asyncio.new_event_loop()
    gone.close()
    committer = GroupCommitter(LogWriter(tmp_path), max_bytes=1 << 20)
    waiter = ThreadWait()
    lost = entry(LoopWait(gone).then(lambda _: None))
    waited = entry(waiter.on_done)
    committer.submit(lost)
    committer.submit(waited)
    waiter.wait()
    assert (lost.refusal, waited.refusal) == (None, None)
    assert committer.is_working
    committer.close()


def entry(on_done: OnDone) -> Entry:
    return Entry("traces", Encoding.PROTOBUF, Packing.NONE, b"request", 1, on_done)
