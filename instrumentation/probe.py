"""The native probe of one interpreter: opened before an invocation, read after it.

The probe is a delegate that claims no operator. It is part of the native library, which
the runtime loads as it loads any external delegate.
"""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exray.schema.records import TENSOR_ROW

from .probe_rows import CALL_ROW, CALL_WORDS, EVENT_ROW, FRAME_COUNTS, NODE_ROW, OP_ROW, SLOT_ROW

Rows = NDArray[np.void]
"""A structured array, its dtype one of `probe_rows` or `TENSOR_ROW`."""

NO_TENSORS, NO_EVENTS = np.zeros(0, TENSOR_ROW), np.zeros(0, EVENT_ROW)

_SIZE_BYTES = (CALL_WORDS.names or ()).index("size_bytes")

WANTS_EVENTS = "events"
"""The delegate's option that asks other delegates for the times of their operators."""


class Mode(IntEnum):
    """What is recorded of an invocation."""

    TIMES = 1
    """Every operator's start and duration."""
    SUMMARY = 2
    """And a summary of its outputs."""


@dataclass(slots=True)  # a frozen one takes a microsecond longer to make
class Recording:
    """What the probe saw of one invocation.

    Args:
        ops: Dtype `OP_ROW`, in the order they began.
        tensors: Dtype `TENSOR_ROW`. ``site`` is a row of `Layout.slots`, and
            ``parent_span_id`` a row of *ops*, or -1 as an unsigned number.
        events: Dtype `EVENT_ROW`.
        dropped: Records for which there was no room.
        summary_ns: Time that summaries took of the invocation.
        layout: What the rows refer to.
    """

    ops: Rows
    tensors: Rows
    events: Rows
    dropped: int
    summary_ns: int
    layout: "Layout"


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The nodes that the probe watches; another object whenever they change.

    Args:
        slots: Dtype `SLOT_ROW`.
        nodes: Dtype `NODE_ROW`.
        replaced: Shape (n,), int32: operators that delegates took, node by node.
    """

    slots: Rows
    nodes: Rows
    replaced: NDArray[np.int32]


class Probe:
    """One probe on one interpreter.

    Args:
        library: The native library.
        load_delegate: The runtime's own function of that name.
        path: The library's file.
        events: Ask other delegates for their operators' times. They must be applied after
            this probe then.

    Raises:
        ValueError: The runtime cannot load it.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        load_delegate: Callable[[str, dict[str, str]], Any],
        path: str,
        *,
        events: bool = False,
    ) -> None:
        self._library = _declared(library)
        self.delegate = load_delegate(path, {WANTS_EVENTS: str(int(events))})
        self._pointer: int = self.delegate._get_native_delegate_pointer()
        self._counts = np.zeros(1, FRAME_COUNTS)
        self._counts_at: int = self._counts.ctypes.data
        self._layout_number = -1
        self._layout: Layout | None = None
        self._buffers: tuple[memoryview, memoryview, memoryview] | None = None
        self._packets = memoryview(b"")
        words_at: int = self._library.exray_call_words(self._pointer)
        self.call_words = _memory_at(words_at, CALL_WORDS.itemsize).cast("q")
        """`CALL_WORDS`, as integers of 8 bytes."""

    def attach(self, interpreter: Any) -> None:
        """Watch the nodes of *interpreter* as they are now.

        What a delegate took becomes one node for each of its partitions: to see those, attach
        after the interpreter has allocated its tensors.

        Raises:
            RuntimeError: The runtime refuses.
        """
        interpreter._interpreter.ModifyGraphWithDelegate(self._pointer)

    @property
    def refusal(self) -> str:
        """Why it stands aside: the runtime is not as it expects. Empty where it does not."""
        text = ctypes.create_string_buffer(512)
        self._library.exray_probe_refusal(self._pointer, text, len(text))
        return text.value.decode("utf-8", "replace")

    def begin(self, mode: Mode, family: int) -> None:
        """Record what this thread invokes from here on.

        Args:
            mode: What to record.
            family: Sketch family of the frame's input, 0..15.
        """
        self._library.exray_probe_begin(self._pointer, mode, family)

    def end(self) -> Recording:
        """Stop, and return copies of what was recorded."""
        self._library.exray_probe_end(self._pointer, self._counts_at)
        ops, tensors, events, dropped, summary_ns, number = self._counts.tolist()[0]
        if number != self._layout_number or self._buffers is None or self._layout is None:
            self._layout, self._buffers = self._renew_layout(number)
        op_memory, tensor_memory, event_memory = self._buffers
        return Recording(
            _first_rows(op_memory, ops, OP_ROW),
            _first_rows(tensor_memory, tensors, TENSOR_ROW) if tensors else NO_TENSORS,
            _first_rows(event_memory, events, EVENT_ROW) if events else NO_EVENTS,
            dropped,
            summary_ns,
            self._layout,
        )

    # --- calls that keep only their times ----------------------------------------------

    def set_edges(self, inputs: Sequence[int], output: int) -> None:
        """Say which tensors of the first subgraph are the inputs, and the first output."""
        indices = np.array(inputs, np.int32)
        self._library.exray_call_edges(self._pointer, indices.ctypes.data, len(indices), output)

    def name_call(self) -> bool:
        """Hash the inputs of the call that follows; False where they cannot be read."""
        return bool(self._library.exray_call_name(self._pointer))

    def drop_call(self) -> None:
        """End a recording that an error cut short, or that never began."""
        self._library.exray_call_drop(self._pointer)

    def reserve_calls(self, most: int) -> tuple["Layout", int]:
        """Begin anew with `packets`, where no call is going on.

        Returns:
            The layout that they refer to, and for how many calls there is room: up to *most*.
        """
        count, address, capacity = ctypes.c_int32(most), ctypes.c_void_p(), ctypes.c_int64()
        number: int = self._library.exray_call_reserve(
            self._pointer, ctypes.byref(count), ctypes.byref(address), ctypes.byref(capacity)
        )
        if number != self._layout_number or self._layout is None:
            self._renew_layout(number)
        assert self._layout is not None
        self._packets = _memory_at(address.value or 0, capacity.value)
        return self._layout, count.value

    @property
    def packets_bytes(self) -> int:
        """Size of the packets since then."""
        return self.call_words[_SIZE_BYTES]

    @property
    def packets(self) -> bytes:
        """A copy of them, one after the other: a `CALL_ROW`, its operators, and its events."""
        return self._packets[: self.packets_bytes].tobytes()

    def select(self, subgraph: int, node: int, *, selected: bool) -> None:
        """Leave a node's outputs out of what is summarised, or take them in again."""
        self._library.exray_probe_select(self._pointer, subgraph, node, selected)

    def _renew_layout(
        self, number: int
    ) -> "tuple[Layout, tuple[memoryview, memoryview, memoryview]]":
        """Read what has changed with the layout of that number."""
        self._layout, self._buffers = self._read_layout(), self._map_buffers()
        self._layout_number = number
        return self._layout, self._buffers

    def _read_layout(self) -> Layout:
        read = self._library
        return Layout(
            slots=self._copied(read.exray_probe_slots, SLOT_ROW),
            nodes=self._copied(read.exray_probe_nodes, NODE_ROW),
            replaced=self._copied(read.exray_probe_replaced, np.dtype(np.int32)),
        )

    def _copied(self, read: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
        rows = np.zeros(read(self._pointer, None, 0), dtype)
        read(self._pointer, rows.ctypes.data, len(rows))
        return rows

    def _map_buffers(self) -> tuple[memoryview, memoryview, memoryview]:
        addresses = (ctypes.c_void_p * 3)()
        capacities = (ctypes.c_int64 * 3)()
        self._library.exray_probe_buffers(self._pointer, addresses, capacities)
        ops, tensors, events = (
            _memory_at(address or 0, capacity * dtype.itemsize)
            for address, capacity, dtype in zip(
                addresses, capacities, (OP_ROW, TENSOR_ROW, EVENT_ROW), strict=True
            )
        )
        return ops, tensors, events


def _memory_at(address: int, size_bytes: int) -> memoryview:
    """Return the probe's own memory; it stays where it is until the next layout."""
    if not size_bytes:
        return memoryview(b"")
    return memoryview((ctypes.c_char * size_bytes).from_address(address)).cast("B")


def _first_rows(memory: memoryview, count: int, dtype: np.dtype[Any]) -> Rows:
    """Return a copy of the first rows; numpy's own, field by field, takes six times as long."""
    return np.frombuffer(bytearray(memory[: count * dtype.itemsize]), dtype)


def split_packets(packets: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield monotonic nanoseconds at which every call began, and its packet."""
    at = 0
    while at < len(packets):
        row = np.frombuffer(packets, CALL_ROW, 1, at)[0]
        size = CALL_ROW.itemsize + int(row["ops"]) * OP_ROW.itemsize
        size += int(row["events"]) * EVENT_ROW.itemsize
        yield int(row["start_ns"]), packets[at : at + size]
        at += size


def recording_from_packet(packet: bytes, layout: Layout) -> Recording:
    """Return the operators' times of a packet."""
    row = np.frombuffer(packet, CALL_ROW, 1)[0]
    ops, events = int(row["ops"]), int(row["events"])
    events_at = CALL_ROW.itemsize + ops * OP_ROW.itemsize
    return Recording(
        np.frombuffer(packet, OP_ROW, ops, CALL_ROW.itemsize),
        NO_TENSORS,
        np.frombuffer(packet, EVENT_ROW, events, events_at) if events else NO_EVENTS,
        int(row["dropped"]),
        0,
        layout,
    )


def _declared(library: ctypes.CDLL) -> Any:
    """Return the library, its functions' arguments declared.

    They take a microsecond, less than it takes to let other threads run meanwhile.
    """
    library = ctypes.PyDLL(library._name, handle=library._handle)
    pointer, number = ctypes.c_void_p, ctypes.c_int
    for name, arguments, result in (
        ("begin", [pointer, number, number], None),
        ("end", [pointer, pointer], None),
        ("select", [pointer, number, number, number], None),
        ("buffers", [pointer, pointer, pointer], None),
        ("slots", [pointer, pointer, number], number),
        ("nodes", [pointer, pointer, number], number),
        ("replaced", [pointer, pointer, number], number),
        ("refusal", [pointer, ctypes.c_char_p, number], number),
    ):
        function = getattr(library, f"exray_probe_{name}")
        function.argtypes, function.restype = arguments, result
    calls: tuple[tuple[str, list[Any], Any], ...] = (
        ("edges", [pointer, pointer, number, number], None),
        ("name", [pointer], number),
        ("drop", [pointer], None),
        ("words", [pointer], pointer),
        ("reserve", [pointer, pointer, pointer, pointer], ctypes.c_int64),
    )
    for name, arguments, returned in calls:
        function = getattr(library, f"exray_call_{name}")
        function.argtypes, function.restype = arguments, returned
    return library
