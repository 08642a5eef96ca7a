// Fixed records that the probe writes and Python reads as structured numpy arrays.
//
// Each has its twin in instrumentation/probe_rows.py; a test proves them equal.

#ifndef EXRAY_PROBE_ROWS_H_
#define EXRAY_PROBE_ROWS_H_

#include <cstdint>

namespace exray {

constexpr int kMaxRank = 8;
constexpr int kTagSize = 64;

#pragma pack(push, 1)

// One operator execution.
struct OpRow {
  int32_t subgraph;
  int32_t node;       // index in the runtime's subgraph, as in the model file unless delegated
  int64_t start_ns;   // CLOCK_MONOTONIC
  int64_t dur_ns;     // net of what summaries took
  int32_t status;     // TfLiteStatus
  int32_t first_event;
  int32_t events;     // reported by the delegate while the operator ran
};

// Where a tensor is seen: an output of a node. Written once per preparation.
struct SlotRow {
  int32_t subgraph;
  int32_t node;
  int32_t position;  // among the node's outputs
  int32_t tensor;    // index in the subgraph, as in the model file
  int32_t type;      // TfLiteType
  int32_t rank;      // -1: more than kMaxRank
  int32_t dims[kMaxRank];
};

// A node of the execution plan.
struct NodeRow {
  int32_t subgraph;
  int32_t node;
  int32_t builtin_code;
  int32_t first_replaced;  // into the list of replaced nodes
  int32_t replaced;        // how many operators a delegate's node stands for; 0: not delegated
};

// An operator that a delegate reports through the profiler.
struct EventRow {
  int32_t op;         // number of the OpRow it ran in, -1 outside any
  int32_t type;       // tflite::Profiler::EventType
  int64_t metadata;   // index within the partition
  int64_t subgraph;
  int64_t metric_us;  // duration
  char tag[kTagSize];
};

// What one recording holds.
struct FrameCounts {
  int32_t ops;
  int32_t tensors;
  int32_t events;
  int32_t dropped;       // records for which there was no room
  int64_t summary_ns;    // time that summaries took
  int64_t layout;        // changes when slots, nodes or buffers are others than before
};

// What a call that keeps only its times says of itself. Operators and events follow it.
struct CallRow {
  int64_t start_ns;      // CLOCK_MONOTONIC, when its first operator began
  uint64_t input_hash;   // XXH3-64 of the inputs' bytes, one after the other
  int64_t output_hash;   // XXH3-64 of the first output's bytes
  int64_t own_ns;        // time within the call that the probe took for this row
  int64_t suspended_ns;  // that the machine has slept
  int64_t cpu_ns;        // of the process's processor time
  int64_t peak_bytes;    // of the process's resident set
  int32_t has_output;    // whether the output could be hashed
  int32_t ops;
  int32_t events;
  int32_t dropped;
};

// What Python and the probe tell each other of such calls.
struct CallWords {
  // Python: record the next one (kRecordCall). The probe: 0 once it began; stays where it did not,
  // or comes back where the graph changed while it ran, and there is no packet.
  int64_t call;
  int64_t size_bytes;  // of the packets so far
  int64_t input_hash;  // as in the newest row, like the following
  int64_t own_ns;
};

constexpr int64_t kRecordCall = 1, kRecordNamedCall = 2;  // whose inputs need no hash

#pragma pack(pop)

}  // namespace exray

#endif  // EXRAY_PROBE_ROWS_H_
