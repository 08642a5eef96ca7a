// Calls that keep only their times, recorded by the probe alone: what most frames are.
//
// Behind a network the caches hold nothing of what Python needs, and each of its steps takes
// microseconds: so a call is named and put together here, in the runtime's own invocation, and
// Python, which asks for it by writing a word, copies the packets of many calls at once.

#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "probe.h"

namespace exray {
namespace {

int64_t ClockNs(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

int64_t NanosecondsOf(const timeval& time) {
  return int64_t{time.tv_sec} * 1000000000 + int64_t{time.tv_usec} * 1000;
}

int64_t ProcessorNs(const rusage& usage) {
  return NanosecondsOf(usage.ru_utime) + NanosecondsOf(usage.ru_stime);
}

// Shows the bytes of a tensor where they lie in memory; false where they do not.
bool BytesOf(const TfLiteContext* context, int32_t index, Bytes* bytes) {
  if (index < 0 || static_cast<size_t>(index) >= context->tensors_size) return false;
  const TfLiteTensor& tensor = context->tensors[index];
  if (tensor.data_is_stale || (tensor.data == nullptr && tensor.bytes != 0)) return false;
  *bytes = {tensor.data, tensor.bytes};
  return true;
}

}  // namespace

void Probe::SetEdges(const int32_t* inputs, int count, int32_t output) {
  input_bytes_.resize(count);
  inputs_.assign(inputs, inputs + count);
  output_ = output;
}

TfLiteContext* Probe::FirstSubgraph() const {
  for (const Subgraph* subgraph : subgraphs_) {
    if (subgraph->index == 0) return subgraph->context;
  }
  return nullptr;
}

bool Probe::NameCall() {
  const TfLiteContext* context = FirstSubgraph();
  if (is_retired_ || context == nullptr || inputs_.empty()) return false;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (!BytesOf(context, inputs_[i], &input_bytes_[i])) return false;
  }
  words_.input_hash =
      static_cast<int64_t>(hash_bytes(input_bytes_.data(), input_bytes_.size()));
  return true;
}

int64_t Probe::MostPacketBytes() const {
  return static_cast<int64_t>(sizeof(CallRow) + ops_.size() * sizeof(OpRow) +
                              events_.size() * sizeof(EventRow));
}

int Probe::ReserveCalls(int most) {
  constexpr int64_t kEnoughBytes = 1 << 20;
  if (is_retired_) return 0;
  Reserve(kTimes);
  const int64_t packet = MostPacketBytes();
  const int64_t count = std::clamp<int64_t>(kEnoughBytes / packet, 1, most);
  if (count * packet > packets_capacity_) {
    packets_.emplace_back(new uint8_t[count * packet]);
    packets_capacity_ = count * packet;
  }
  packets_layout_ = layout_.load();
  words_.size_bytes = 0;
  return static_cast<int>(count);
}

void Probe::StartCall() {
  const int64_t start_ns = ClockNs(CLOCK_MONOTONIC);
  const bool is_named = words_.call == kRecordNamedCall;
  if (packets_layout_ != layout_.load(std::memory_order_relaxed) ||
      words_.size_bytes + MostPacketBytes() > packets_capacity_) {
    return;
  }
  if (!is_named && !NameCall()) return;
  words_.call = 0;
  call_.start_ns = start_ns;
  call_.input_hash = static_cast<uint64_t>(words_.input_hash);
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  call_.cpu_ns = ProcessorNs(usage);
  Begin(kTimes, 0);
  is_in_call_ = true;
  const int64_t end_ns = ClockNs(CLOCK_MONOTONIC);
  call_.own_ns = end_ns - start_ns;
  call_.suspended_ns = ClockNs(CLOCK_BOOTTIME) - end_ns;
}

void Probe::DropCall() {
  FrameCounts counts;
  if (is_in_call_) End(&counts);
  is_in_call_ = false;
  words_.call = 0;
}

void Probe::EndCall() {
  const int64_t start_ns = ClockNs(CLOCK_MONOTONIC);
  is_in_call_ = false;
  FrameCounts counts;
  End(&counts);
  call_.ops = counts.ops;
  call_.events = counts.events;
  call_.dropped = counts.dropped;
  const TfLiteContext* context = FirstSubgraph();
  Bytes output;
  call_.has_output = context != nullptr && BytesOf(context, output_, &output);
  call_.output_hash = call_.has_output ? static_cast<int64_t>(hash_bytes(&output, 1)) : 0;
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  call_.cpu_ns = ProcessorNs(usage) - call_.cpu_ns;
  call_.peak_bytes = int64_t{usage.ru_maxrss} * 1024;
  if (packets_layout_ != counts.layout) {  // it ran in another graph than it began in
    words_.call = kRecordCall;
    return;
  }
  const size_t op_bytes = call_.ops * sizeof(OpRow);
  const size_t event_bytes = call_.events * sizeof(EventRow);
  uint8_t* row = packets_.back().get() + words_.size_bytes;
  uint8_t* at = row + sizeof(CallRow);
  if (op_bytes != 0) std::memcpy(at, ops_.data(), op_bytes);
  if (event_bytes != 0) std::memcpy(at + op_bytes, events_.data(), event_bytes);
  words_.own_ns = call_.own_ns += ClockNs(CLOCK_MONOTONIC) - start_ns;
  std::memcpy(row, &call_, sizeof(CallRow));
  words_.size_bytes += static_cast<int64_t>(sizeof(CallRow) + op_bytes + event_bytes);
}

}  // namespace exray
