// The probe: an external delegate that claims no node, and sees every one of them run.
//
// At preparation it puts a function of its own in the place of every node's `invoke`, and
// offers itself as the context's profiler where there is none. While a recording is open on
// the thread that opened it, each operator's time and the summaries of its outputs go to
// buffers that were allocated at preparation; otherwise a node runs after one table look-up.

#ifndef EXRAY_PROBE_H_
#define EXRAY_PROBE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "probe_rows.h"
#include "profiler.h"
#include "summary.h"
#include "tflite_abi.h"

namespace exray {

enum Mode : int { kOff = 0, kTimes = 1, kSummary = 2 };

class Probe;

// A node whose `invoke` the probe replaced.
struct Node {
  const TfLiteIntArray* outputs;  // its address is the node's identity: TfLiteNode moves
  TfLiteInvoke invoke;
  int index;
  int builtin_code;
  int replaced;        // how many operators it stands for where a delegate took them, else 0
  int first_replaced;  // into `Subgraph::replaced`
  int first_slot;      // of its outputs, one after the other
  bool is_selected = true;  // its outputs are summarised
  bool is_first = false;    // of the plan of the first subgraph
  bool is_last = false;
};

// The nodes of one subgraph, by the context that runs it. Outlives probe and interpreter.
struct Subgraph {
  TfLiteContext* context;
  Probe* probe;
  int index;
  std::vector<Node> nodes;  // in plan order
  std::vector<int32_t> replaced;
  std::vector<uint32_t> table;  // positions in `nodes` plus 1, open addressing, a power of two
  uint32_t cursor = 0;

  void BuildTable();
  // Returns the node that a call is for, or null. The next in plan order is tried first.
  Node* Find(const TfLiteIntArray* outputs);
};

class Probe {
 public:
  Probe();

  TfLiteDelegate* delegate() { return &delegate_; }
  static Probe* From(TfLiteDelegate* delegate) { return static_cast<Probe*>(delegate->data); }

  // Opens a recording on this thread. `family` is the sketch family of the frame's input.
  void Begin(Mode mode, int family);
  // Closes it and tells what it holds.
  void End(FrameCounts* counts);

  // --- calls that keep only their times, recorded by the probe alone (probe_call.cc) ---
  // Says which tensors of the first subgraph are the model's inputs, and its first output.
  void SetEdges(const int32_t* inputs, int count, int32_t output);
  // Hashes the inputs of the call that follows; false where they cannot be read.
  bool NameCall();
  // Begins anew with packets, of the graph as it is; returns for how many calls there is room.
  int ReserveCalls(int most);
  // Whether the next call is to be recorded, and begins now with this node.
  bool IsCallWanted(const Node& node) const {
    return node.is_first && (words_.call == kRecordCall || words_.call == kRecordNamedCall);
  }
  void StartCall();
  bool IsInCall() const { return is_in_call_; }
  // Closes the recording, and adds it to the packets: a `CallRow`, its operators, its events.
  void EndCall();
  // Closes one that an error cut short.
  void DropCall();
  const uint8_t* packets() const { return packets_.empty() ? nullptr : packets_.back().get(); }
  int64_t packets_capacity() const { return packets_capacity_; }
  int64_t packets_layout() const { return packets_layout_; }
  const CallWords* words() const { return &words_; }

  // Lets every interpreter run as if the probe were not there, and frees its buffers.
  void Retire();

  // Leaves a node's outputs out of what is summarised, or takes them in again.
  void Select(int subgraph, int node, bool is_selected);

  bool IsRecording() const {
    return mode_.load(std::memory_order_relaxed) != kOff && thread_ == ThisThread();
  }
  TfLiteStatus Run(Subgraph* subgraph, Node* node, TfLiteContext* context, TfLiteNode* live);
  void AddEvent(const char* tag, int type, int64_t metadata, int64_t subgraph, uint64_t metric_us);

  std::string refusal() const;
  OpRow* ops() { return ops_.data(); }
  TensorRow* tensors() { return tensors_.data(); }
  EventRow* events() { return events_.data(); }
  size_t op_capacity() const { return ops_.size(); }
  size_t tensor_capacity() const { return tensors_.size(); }
  size_t event_capacity() const { return events_.size(); }
  const std::vector<SlotRow>& slots() const { return slots_; }
  const std::vector<NodeRow>& nodes() const { return nodes_; }
  const std::vector<int32_t>& replaced() const { return replaced_; }

  // Whether delegates are asked for the times of their operators. Set before preparation.
  bool wants_events = false;

 private:
  static const void* ThisThread();
  static TfLiteStatus Prepare(TfLiteContext* context, TfLiteDelegate* delegate);
  TfLiteStatus Attach(TfLiteContext* context);
  void Forget(Subgraph* subgraph);
  void Describe();
  void Reserve(Mode mode);
  void SetProfiler(bool is_on);
  void Summarise(const Node& node, int32_t op, TfLiteContext* context);
  static void SetShape(SlotRow* slot, const TfLiteTensor& tensor);
  static bool HasChanged(const SlotRow& slot, const TfLiteTensor& tensor);
  TfLiteContext* FirstSubgraph() const;
  int64_t MostPacketBytes() const;
  static bool ViewOf(const TfLiteTensor& tensor, TensorView* view);

  TfLiteDelegate delegate_{};
  Profiler profiler_;
  mutable std::mutex preparing_;
  std::string refusal_;
  bool is_retired_ = false;
  std::vector<Subgraph*> subgraphs_;
  std::vector<SlotRow> slots_;
  std::vector<NodeRow> nodes_;
  std::vector<int32_t> replaced_;
  std::atomic<int64_t> layout_{0};

  // Touched by the thread that records only.
  std::atomic<int> mode_{kOff};
  const void* thread_ = nullptr;
  int family_ = 0;
  int32_t op_count_ = 0, tensor_count_ = 0, event_count_ = 0, dropped_ = 0;
  int32_t current_op_ = -1;
  int64_t summary_ns_ = 0;
  std::vector<OpRow> ops_;
  std::vector<TensorRow> tensors_;
  std::vector<EventRow> events_;
  std::vector<int32_t> inputs_;
  std::vector<Bytes> input_bytes_;
  int32_t output_ = -1;
  bool is_in_call_ = false;
  CallWords words_{};
  CallRow call_{};
  // The last one is in use. Of those that were too small, another thread may be reading still;
  // what is not written yet takes no memory.
  std::vector<std::unique_ptr<uint8_t[]>> packets_;
  int64_t packets_capacity_ = 0;
  int64_t packets_layout_ = -1;
};

// Returns the record of a context, null where none was made.
Subgraph* FindSubgraph(TfLiteContext* context);
// Makes `subgraph` the record of its context.
void KeepSubgraph(std::unique_ptr<Subgraph> subgraph);

// Says what about a context is not as `tflite_abi.h` declares it; empty where nothing is.
std::string CheckContext(TfLiteContext* context);

}  // namespace exray

#endif  // EXRAY_PROBE_H_
