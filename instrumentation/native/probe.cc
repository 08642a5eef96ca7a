#include "probe.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <shared_mutex>
#include <unordered_map>

namespace exray {
namespace {

std::shared_mutex g_lock;
std::unordered_map<TfLiteContext*, std::unique_ptr<Subgraph>>& Records() {
  // Never destroyed: interpreters may run while the process exits.
  static auto* records = new std::unordered_map<TfLiteContext*, std::unique_ptr<Subgraph>>;
  return *records;
}
// Changes with every record, so that what a thread remembers of them can be known as old.
std::atomic<uint64_t> g_generation{1};

int64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

// Stands in the place of every node's `invoke`.
TfLiteStatus Trampoline(TfLiteContext* context, TfLiteNode* live) {
  Subgraph* subgraph = FindSubgraph(context);
  Node* node = subgraph == nullptr ? nullptr : subgraph->Find(live->outputs);
  if (node == nullptr) return kTfLiteError;  // no other function of this node is known
  Probe* probe = subgraph->probe;
  if (!probe->IsRecording()) {
    if (!probe->IsCallWanted(*node)) return node->invoke(context, live);
    probe->StartCall();
    if (!probe->IsInCall()) return node->invoke(context, live);
  }
  const bool is_last = node->is_last;  // `node` may move while it runs
  const TfLiteStatus status = probe->Run(subgraph, node, context, live);
  if (is_last && status == kTfLiteOk && probe->IsInCall()) probe->EndCall();
  return status;
}

size_t HashOf(const void* pointer) {
  return (reinterpret_cast<uintptr_t>(pointer) >> 4) * 0x9E3779B97F4A7C15u >> 32;
}

// Returns which of the interpreter's subgraphs a context is of, -1 if the runtime does not tell.
int SubgraphIndex(TfLiteContext* context) {
  if (context->AcquireSubgraphContext == nullptr) return -1;
  constexpr int kMostSubgraphs = 4096;
  for (int i = 0; i < kMostSubgraphs; ++i) {
    TfLiteContext* other = nullptr;
    if (context->AcquireSubgraphContext(context, i, &other) != kTfLiteOk) return -1;
    if (other == context) return i;  // not released: that would end this preparation
    context->ReleaseSubgraphContext(context, i);
  }
  return -1;
}

// Returns the operators that a delegate's node stands for, null for any other node.
const TfLiteIntArray* NodesReplacedBy(const TfLiteNode& node) {
  if (node.delegate == nullptr || node.builtin_data == nullptr) return nullptr;
  return static_cast<const TfLiteDelegateParams*>(node.builtin_data)->nodes_to_replace;
}

}  // namespace

Subgraph* FindSubgraph(TfLiteContext* context) {
  struct Remembered {
    TfLiteContext* context = nullptr;
    uint64_t generation = 0;
    Subgraph* subgraph = nullptr;
  };
  thread_local std::array<Remembered, 8> remembered;
  const uint64_t generation = g_generation.load(std::memory_order_acquire);
  Remembered& slot = remembered[HashOf(context) % remembered.size()];
  if (slot.context != context || slot.generation != generation) {
    std::shared_lock<std::shared_mutex> lock(g_lock);
    auto found = Records().find(context);
    slot = {context, generation, found == Records().end() ? nullptr : found->second.get()};
  }
  return slot.subgraph;
}

void KeepSubgraph(std::unique_ptr<Subgraph> subgraph) {
  std::unique_lock<std::shared_mutex> lock(g_lock);
  TfLiteContext* context = subgraph->context;
  Records()[context] = std::move(subgraph);
  g_generation.fetch_add(1, std::memory_order_release);
}

void Subgraph::BuildTable() {
  size_t size = 16;
  while (size < 2 * nodes.size()) size *= 2;
  table.assign(size, 0);
  for (size_t i = 0; i < nodes.size(); ++i) {
    size_t at = HashOf(nodes[i].outputs) & (size - 1);
    while (table[at] != 0) at = (at + 1) & (size - 1);
    table[at] = static_cast<uint32_t>(i) + 1;
  }
}

Node* Subgraph::Find(const TfLiteIntArray* outputs) {
  if (cursor < nodes.size() && nodes[cursor].outputs == outputs) return &nodes[cursor++];
  const size_t mask = table.size() - 1;
  for (size_t at = HashOf(outputs) & mask; table[at] != 0; at = (at + 1) & mask) {
    if (nodes[table[at] - 1].outputs == outputs) {
      cursor = table[at];
      return &nodes[table[at] - 1];
    }
  }
  return nullptr;
}

// --- preparation -----------------------------------------------------------------------

Probe::Probe() : profiler_(this) {
  delegate_.data = this;
  delegate_.Prepare = Prepare;
  delegate_.flags = kTfLiteDelegateFlagsAllowDynamicTensors;
}

TfLiteStatus Probe::Prepare(TfLiteContext* context, TfLiteDelegate* delegate) {
  Probe* probe = From(delegate);
  std::lock_guard<std::mutex> lock(probe->preparing_);
  if (probe->is_retired_ || !probe->refusal_.empty()) return kTfLiteOk;
  const std::string wrong = CheckContext(context);
  if (!wrong.empty()) {
    probe->refusal_ = wrong;
    return kTfLiteOk;  // the model runs without the probe
  }
  return probe->Attach(context);
}

// The context has passed `CheckContext`, so what it is asked for here is there.
TfLiteStatus Probe::Attach(TfLiteContext* context) {
  if (wants_events && context->profiler == nullptr) context->profiler = &profiler_;
  TfLiteIntArray* plan = nullptr;
  context->GetExecutionPlan(context, &plan);
  const std::vector<int> order(plan->data, plan->data + plan->size);

  auto subgraph = std::make_unique<Subgraph>();
  subgraph->context = context;
  subgraph->probe = this;
  subgraph->index = SubgraphIndex(context);
  // A context may stand where a destroyed one stood: the record is of this one only if a
  // node still holds the trampoline.
  Subgraph* old = FindSubgraph(context);
  std::vector<TfLiteRegistration*> to_wrap;
  std::vector<const TfLiteIntArray*> seen;
  bool holds_trampoline = false;
  for (int index : order) {
    TfLiteNode* live = nullptr;
    TfLiteRegistration* registration = nullptr;
    context->GetNodeAndRegistration(context, index, &live, &registration);
    if (registration->invoke == nullptr) continue;  // run by what replaced it
    Node node{live->outputs, registration->invoke, index, registration->builtin_code, 0, 0, 0};
    if (const TfLiteIntArray* taken = NodesReplacedBy(*live)) {
      node.first_replaced = static_cast<int>(subgraph->replaced.size());
      node.replaced = taken->size;
      subgraph->replaced.insert(subgraph->replaced.end(), taken->data, taken->data + taken->size);
    }
    if (registration->invoke == Trampoline) {
      const Node* known = old == nullptr ? nullptr : old->Find(live->outputs);
      if (known == nullptr) return kTfLiteError;  // the node has lost its own function
      holds_trampoline = true;
      node.invoke = known->invoke;
      node.is_selected = known->is_selected;
    } else {
      to_wrap.push_back(registration);
    }
    seen.push_back(live->outputs);
    subgraph->nodes.push_back(node);
  }
  if (subgraph->index == 0 && !subgraph->nodes.empty()) {
    subgraph->nodes.front().is_first = true;
    subgraph->nodes.back().is_last = true;
  }
  if (holds_trampoline) {  // nodes that a delegate took over come back when it is undone
    for (const Node& node : old->nodes) {
      if (std::find(seen.begin(), seen.end(), node.outputs) != seen.end()) continue;
      subgraph->nodes.push_back(node);
      Node& back = subgraph->nodes.back();
      back.replaced = 0;  // a delegate's node does not come back
      back.is_first = back.is_last = false;
    }
  }
  subgraph->BuildTable();

  subgraphs_.erase(std::remove(subgraphs_.begin(), subgraphs_.end(), old), subgraphs_.end());
  if (old != nullptr && old->probe != this) old->probe->Forget(old);
  subgraphs_.push_back(subgraph.get());
  KeepSubgraph(std::move(subgraph));
  // Only now that every original is on record.
  for (TfLiteRegistration* registration : to_wrap) registration->invoke = Trampoline;
  Describe();
  return kTfLiteOk;
}

void Probe::Forget(Subgraph* subgraph) {
  subgraphs_.erase(std::remove(subgraphs_.begin(), subgraphs_.end(), subgraph), subgraphs_.end());
}

void Probe::Describe() {
  slots_.clear();
  nodes_.clear();
  replaced_.clear();
  for (Subgraph* subgraph : subgraphs_) {
    TfLiteContext* context = subgraph->context;
    const auto first_replaced = static_cast<int32_t>(replaced_.size());
    replaced_.insert(replaced_.end(), subgraph->replaced.begin(), subgraph->replaced.end());
    for (Node& node : subgraph->nodes) {
      node.first_slot = static_cast<int>(slots_.size());
      for (int position = 0; position < node.outputs->size; ++position) {
        SlotRow slot{subgraph->index, node.index, position, node.outputs->data[position], 0, 0, {}};
        if (slot.tensor >= 0 && static_cast<size_t>(slot.tensor) < context->tensors_size) {
          SetShape(&slot, context->tensors[slot.tensor]);
        }
        slots_.push_back(slot);
      }
      nodes_.push_back({subgraph->index, node.index, node.builtin_code,
                        first_replaced + node.first_replaced, node.replaced});
    }
  }
  ++layout_;
}

void Probe::SetShape(SlotRow* slot, const TfLiteTensor& tensor) {
  slot->type = tensor.type;
  const int rank = tensor.dims == nullptr ? 0 : tensor.dims->size;
  slot->rank = rank <= kMaxRank ? rank : -1;
  std::fill(slot->dims, slot->dims + kMaxRank, 0);
  if (rank > 0 && rank <= kMaxRank) std::copy_n(tensor.dims->data, rank, slot->dims);
}

void Probe::Select(int subgraph, int node, bool is_selected) {
  std::lock_guard<std::mutex> lock(preparing_);
  for (Subgraph* known : subgraphs_) {
    if (known->index != subgraph) continue;
    for (Node& candidate : known->nodes) {
      if (candidate.index == node) candidate.is_selected = is_selected;
    }
  }
}

void Probe::Retire() {
  std::lock_guard<std::mutex> lock(preparing_);
  is_retired_ = true;
  mode_ = kOff;
  ops_ = {};
  tensors_ = {};
  events_ = {};
  packets_.clear();
  packets_capacity_ = 0;
  slots_ = {};
  nodes_ = {};
  replaced_ = {};
}

std::string Probe::refusal() const {
  std::lock_guard<std::mutex> lock(preparing_);
  return refusal_;
}

// --- recording -------------------------------------------------------------------------

const void* Probe::ThisThread() {
  thread_local char here;
  return &here;
}

void Probe::Begin(Mode mode, int family) {
  if (is_retired_) return;
  Reserve(mode);
  op_count_ = tensor_count_ = event_count_ = dropped_ = 0;
  current_op_ = -1;
  summary_ns_ = 0;
  family_ = family;
  thread_ = ThisThread();
  for (Subgraph* subgraph : subgraphs_) subgraph->cursor = 0;
  SetProfiler(true);
  mode_.store(mode, std::memory_order_relaxed);
}

void Probe::Reserve(Mode mode) {
  // Twice the plan, for what runs in loops; more than that is counted as dropped.
  constexpr size_t kSpare = 64;
  if (ops_.size() < 2 * nodes_.size()) {
    ops_.resize(2 * nodes_.size() + kSpare);
    ++layout_;
  }
  if (mode == kSummary && tensors_.size() < 2 * slots_.size()) {
    tensors_.resize(2 * slots_.size() + kSpare);
    ++layout_;
  }
  if (wants_events && events_.size() < 2 * replaced_.size()) {
    events_.resize(2 * replaced_.size() + kSpare);
    ++layout_;
  }
}

void Probe::End(FrameCounts* counts) {
  mode_.store(kOff, std::memory_order_relaxed);
  SetProfiler(false);
  *counts = {op_count_, tensor_count_, event_count_, dropped_, summary_ns_, layout_.load()};
}

void Probe::SetProfiler(bool is_on) {
  if (!wants_events) return;
  for (Subgraph* subgraph : subgraphs_) {
    void*& profiler = subgraph->context->profiler;
    // The application's own profiler stays.
    if (is_on && profiler == nullptr) profiler = &profiler_;
    if (!is_on && profiler == &profiler_) profiler = nullptr;
  }
}

TfLiteStatus Probe::Run(Subgraph* subgraph, Node* found, TfLiteContext* context, TfLiteNode* live) {
  Node node = *found;  // running it may prepare subgraphs anew, and move what `found` points to
  const int64_t layout = layout_.load(std::memory_order_relaxed);
  const int32_t number = op_count_ < static_cast<int32_t>(ops_.size()) ? op_count_++ : -1;
  dropped_ += number < 0;
  const int32_t outer_op = current_op_, first_event = event_count_;
  const int64_t summary_before_ns = summary_ns_;
  const int index = subgraph->index;
  current_op_ = number;
  const int64_t start_ns = NowNs();
  const TfLiteStatus status = node.invoke(context, live);
  const int64_t end_ns = NowNs();
  current_op_ = outer_op;
  if (number >= 0) {
    const int64_t own_ns = end_ns - start_ns - (summary_ns_ - summary_before_ns);
    ops_[number] = {index,  node.index,  start_ns, own_ns,
                    status, first_event, event_count_ - first_event};
  }
  if (status == kTfLiteOk && node.is_selected && mode_.load(std::memory_order_relaxed) == kSummary) {
    if (layout_.load(std::memory_order_relaxed) != layout) {
      Subgraph* again = FindSubgraph(context);
      Node* moved = again == nullptr ? nullptr : again->Find(live->outputs);
      if (moved == nullptr) return status;
      node = *moved;
    }
    Summarise(node, number, context);
    summary_ns_ += NowNs() - end_ns;
  }
  return status;
}

void Probe::Summarise(const Node& node, int32_t op, TfLiteContext* context) {
  for (int position = 0; position < node.outputs->size; ++position) {
    const int index = node.outputs->data[position];
    if (index < 0 || static_cast<size_t>(index) >= context->tensors_size) continue;
    const TfLiteTensor& tensor = context->tensors[index];
    if (tensor.data_is_stale || (tensor.data == nullptr && tensor.bytes != 0)) continue;
    if (tensor_count_ >= static_cast<int32_t>(tensors_.size())) {
      ++dropped_;
      continue;
    }
    const int slot = node.first_slot + position;
    TensorView view{};
    if (!ViewOf(tensor, &view)) continue;
    TensorRow* row = &tensors_[tensor_count_];
    if (summarise(view, family_, row, nullptr) == kBadView) continue;
    if (HasChanged(slots_[slot], tensor)) {
      SetShape(&slots_[slot], tensor);
      ++layout_;
    }
    row->site = slot;
    row->parent_span_id = static_cast<uint64_t>(op);  // the reader puts ids in its place
    ++tensor_count_;
  }
}

bool Probe::HasChanged(const SlotRow& slot, const TfLiteTensor& tensor) {
  const int rank = tensor.dims == nullptr ? 0 : tensor.dims->size;
  if (slot.type != tensor.type || slot.rank != rank) return slot.rank >= 0 || rank <= kMaxRank;
  return rank > 0 && !std::equal(slot.dims, slot.dims + rank, tensor.dims->data);
}

bool Probe::ViewOf(const TfLiteTensor& tensor, TensorView* view) {
  view->data = tensor.data;
  view->size_bytes = static_cast<int64_t>(tensor.bytes);
  view->type = tensor.type;
  view->rank = tensor.dims == nullptr ? 0 : tensor.dims->size;
  view->dims = tensor.dims == nullptr ? nullptr : tensor.dims->data;
  view->count = 1;
  for (int i = 0; i < view->rank; ++i) {
    if (view->dims[i] < 0) return false;
    view->count *= view->dims[i];
  }
  const TfLiteQuantization& quantization = tensor.quantization;
  if (quantization.type == kTfLiteAffineQuantization && quantization.params != nullptr) {
    auto* affine = static_cast<const TfLiteAffineQuantization*>(quantization.params);
    if (affine->scale != nullptr && affine->zero_point != nullptr && affine->scale->size > 0 &&
        affine->zero_point->size == affine->scale->size) {
      view->scale_count = affine->scale->size;
      view->scales = affine->scale->data;
      view->zero_points = affine->zero_point->data;
      view->axis = affine->quantized_dimension;
    }
  }
  return true;
}

void Probe::AddEvent(const char* tag, int type, int64_t metadata, int64_t subgraph,
                     uint64_t metric_us) {
  if (!IsRecording()) return;
  if (event_count_ >= static_cast<int32_t>(events_.size())) {
    ++dropped_;
    return;
  }
  EventRow& row = events_[event_count_++];
  row.op = current_op_;
  row.type = type;
  row.metadata = metadata;
  row.subgraph = subgraph;
  row.metric_us = static_cast<int64_t>(metric_us);
  std::strncpy(row.tag, tag == nullptr ? "" : tag, kTagSize - 1);
  row.tag[kTagSize - 1] = '\0';
}

void Profiler::AddEvent(const char* tag, int type, uint64_t metric_us, int64_t metadata,
                        int64_t subgraph) {
  probe_->AddEvent(tag, type, metadata, subgraph, metric_us);
}

}  // namespace exray
