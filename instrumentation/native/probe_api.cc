// What the runtime and Python call, as C.

#include <algorithm>
#include <cstring>
#include <iterator>
#include <new>

#include "probe.h"

#define EXRAY_API extern "C" EXRAY_EXPORT

using exray::Probe;

namespace {

template <typename Row>
int CopyRows(const std::vector<Row>& rows, Row* out, int capacity) {
  std::copy_n(rows.begin(), std::min<size_t>(rows.size(), std::max(capacity, 0)), out);
  return static_cast<int>(rows.size());
}

}  // namespace

// The external delegate interface. Options: "events=1" asks delegates for their operators.
EXRAY_API TfLiteDelegate* tflite_plugin_create_delegate(const char* const* keys,
                                                        const char* const* values, size_t count,
                                                        void (*report_error)(const char*)) {
  auto* probe = new (std::nothrow) Probe;
  if (probe == nullptr) {
    if (report_error != nullptr) report_error("no memory for the probe");
    return nullptr;
  }
  for (size_t i = 0; i < count; ++i) {
    if (std::strcmp(keys[i], "events") == 0) probe->wants_events = std::strcmp(values[i], "0") != 0;
  }
  return probe->delegate();
}

// Nodes and contexts outlive the delegate and keep pointing to it: it is emptied, not freed.
EXRAY_API void tflite_plugin_destroy_delegate(TfLiteDelegate* delegate) {
  if (delegate != nullptr) Probe::From(delegate)->Retire();
}

EXRAY_API void exray_probe_begin(TfLiteDelegate* delegate, int mode, int family) {
  Probe::From(delegate)->Begin(static_cast<exray::Mode>(mode), family);
}

EXRAY_API void exray_probe_end(TfLiteDelegate* delegate, exray::FrameCounts* counts) {
  Probe::From(delegate)->End(counts);
}

EXRAY_API void exray_probe_select(TfLiteDelegate* delegate, int subgraph, int node, int selected) {
  Probe::From(delegate)->Select(subgraph, node, selected != 0);
}

// Calls that keep only their times: see `Probe`.

EXRAY_API void exray_call_edges(TfLiteDelegate* delegate, const int32_t* inputs, int count,
                                int32_t output) {
  Probe::From(delegate)->SetEdges(inputs, count, output);
}

EXRAY_API int exray_call_name(TfLiteDelegate* delegate) {
  return Probe::From(delegate)->NameCall();
}

// Ends a recording that an error cut short.
EXRAY_API void exray_call_drop(TfLiteDelegate* delegate) { Probe::From(delegate)->DropCall(); }

// Begins anew with packets. `count` says for how many calls there shall be room at most, then for
// how many there is; returns the layout that they are of. They stand where they do until then.
EXRAY_API int64_t exray_call_reserve(TfLiteDelegate* delegate, int32_t* count, const void** packets,
                                     int64_t* capacity) {
  Probe* probe = Probe::From(delegate);
  *count = probe->ReserveCalls(*count);
  *packets = probe->packets();
  *capacity = probe->packets_capacity();
  return probe->packets_layout();
}

// Where `CallWords` stand, as long as the library is loaded.
EXRAY_API const void* exray_call_words(TfLiteDelegate* delegate) {
  return Probe::From(delegate)->words();
}

// Addresses and capacities of the three buffers: operators, tensors, events.
EXRAY_API void exray_probe_buffers(TfLiteDelegate* delegate, void** buffers, int64_t* capacities) {
  Probe* probe = Probe::From(delegate);
  buffers[0] = probe->ops();
  buffers[1] = probe->tensors();
  buffers[2] = probe->events();
  capacities[0] = static_cast<int64_t>(probe->op_capacity());
  capacities[1] = static_cast<int64_t>(probe->tensor_capacity());
  capacities[2] = static_cast<int64_t>(probe->event_capacity());
}

// The following copy up to `capacity` rows and return how many there are.

EXRAY_API int exray_probe_slots(TfLiteDelegate* delegate, exray::SlotRow* out, int capacity) {
  return CopyRows(Probe::From(delegate)->slots(), out, capacity);
}

EXRAY_API int exray_probe_nodes(TfLiteDelegate* delegate, exray::NodeRow* out, int capacity) {
  return CopyRows(Probe::From(delegate)->nodes(), out, capacity);
}

EXRAY_API int exray_probe_replaced(TfLiteDelegate* delegate, int32_t* out, int capacity) {
  return CopyRows(Probe::From(delegate)->replaced(), out, capacity);
}

// Writes the sizes of OpRow, SlotRow, NodeRow, EventRow, FrameCounts, CallRow and CallWords.
EXRAY_API void exray_probe_row_sizes(int32_t* sizes) {
  const size_t all[] = {sizeof(exray::OpRow),       sizeof(exray::SlotRow), sizeof(exray::NodeRow),
                        sizeof(exray::EventRow),    sizeof(exray::FrameCounts),
                        sizeof(exray::CallRow),     sizeof(exray::CallWords)};
  std::copy(std::begin(all), std::end(all), sizes);
}

// Copies why the probe stands aside, as text; returns its length, 0 where it does not.
EXRAY_API int exray_probe_refusal(TfLiteDelegate* delegate, char* out, int capacity) {
  const std::string why = Probe::From(delegate)->refusal();
  if (capacity > 0) {
    const size_t length = std::min<size_t>(why.size(), capacity - 1);
    std::memcpy(out, why.data(), length);
    out[length] = '\0';
  }
  return static_cast<int>(why.size());
}
