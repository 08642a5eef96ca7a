"""Fixed records of the native probe, as numpy reads them: twins of ``native/probe_rows.h``."""

import numpy as np

MAX_RANK = 8
"""Dimensions that a `SLOT_ROW` holds."""

TAG_SIZE = 64
"""Bytes that an `EVENT_ROW` keeps of an operator's name."""

OP_ROW = np.dtype(
    [
        ("subgraph", np.int32),
        ("node", np.int32),  # in the runtime's subgraph
        ("start_ns", np.int64),  # monotonic
        ("dur_ns", np.int64),  # net of what summaries took
        ("status", np.int32),  # 0: done
        ("first_event", np.int32),
        ("events", np.int32),
    ]
)
"""One operator execution."""

SLOT_ROW = np.dtype(
    [
        ("subgraph", np.int32),
        ("node", np.int32),
        ("position", np.int32),  # among the node's outputs
        ("tensor", np.int32),  # index in the subgraph, as in the model file
        ("type", np.int32),  # TfLiteType
        ("rank", np.int32),  # -1: more than MAX_RANK
        ("dims", np.int32, (MAX_RANK,)),
    ]
)
"""Where a tensor is seen: an output of a node."""

NODE_ROW = np.dtype(
    [
        ("subgraph", np.int32),
        ("node", np.int32),
        ("builtin_code", np.int32),
        ("first_replaced", np.int32),
        ("replaced", np.int32),  # operators that a delegate's node stands for
    ]
)
"""A node of the execution plan."""

EVENT_ROW = np.dtype(
    [
        ("op", np.int32),  # number of the `OP_ROW` it ran in
        ("type", np.int32),
        ("metadata", np.int64),  # index within the delegate's partition
        ("subgraph", np.int64),
        ("dur_us", np.int64),
        ("tag", f"S{TAG_SIZE}"),
    ]
)
"""An operator that a delegate reports."""

FRAME_COUNTS = np.dtype(
    [
        ("ops", np.int32),
        ("tensors", np.int32),
        ("events", np.int32),
        ("dropped", np.int32),
        ("summary_ns", np.int64),
        ("layout", np.int64),
    ]
)
"""What one recording holds."""

CALL_ROW = np.dtype(
    [
        ("start_ns", np.int64),  # monotonic, when its first operator began
        ("input_hash", np.uint64),  # XXH3-64 of the inputs' bytes, one after the other
        ("output_hash", np.int64),  # XXH3-64 of the first output's bytes
        ("own_ns", np.int64),  # time within the call that the probe took for this row
        ("suspended_ns", np.int64),  # that the machine has slept
        ("cpu_ns", np.int64),  # of the process's processor time
        ("peak_bytes", np.int64),  # of the process's resident set
        ("has_output", np.int32),  # whether the output could be hashed
        ("ops", np.int32),
        ("events", np.int32),
        ("dropped", np.int32),
    ]
)
"""What a call that keeps only its times says of itself; its operators and events follow it."""

CALL_WORDS = np.dtype(
    [
        # Set to `RECORD_CALL`. The probe sets 0 once the call began; it stays where that did not,
        # or comes back where the graph changed while it ran, and there is no packet.
        ("call", np.int64),
        ("size_bytes", np.int64),  # of the packets so far
        ("input_hash", np.int64),  # as in the newest row, like the following
        ("own_ns", np.int64),
    ]
)
"""What is said of such calls while they go on."""

RECORD_CALL, RECORD_NAMED_CALL = 1, 2
"""Record the next call; and its inputs need no hash."""
