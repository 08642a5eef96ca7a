// Statistics and sketch of one tensor.
//
// The same numbers as schema/statistics.py and schema/sketch.py define: to float rounding
// for floats, exactly for integers of 8 and 16 bits. Nothing here allocates, locks or
// calls the system.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(_WIN32)
#define EXRAY_EXPORT __declspec(dllexport)
#else
#define EXRAY_EXPORT __attribute__((visibility("default")))
#endif

namespace exray {

// TfLiteType, by value.
enum TensorType : int32_t {
  kFloat32 = 1,
  kInt32 = 2,
  kUInt8 = 3,
  kInt64 = 4,
  kBool = 6,
  kInt16 = 7,
  kInt8 = 9,
  kFloat16 = 10,
  kFloat64 = 11,
  kUInt64 = 13,
  kUInt32 = 16,
  kUInt16 = 17,
  kBFloat16 = 19,
};

// What one tensor is: enough to summarise it. `data` need not be aligned.
struct TensorView {
  const void* data;
  int64_t size_bytes;
  int64_t count;  // elements
  int32_t type;   // TensorType or any other TfLiteType
  int32_t rank;   // read, with `dims`, only where there are several scales
  const int32_t* dims;
  int32_t scale_count;  // 0: not quantized, 1: per tensor, n: per index of `axis`
  const float* scales;
  const int32_t* zero_points;  // null: all zero
  int32_t axis;
};

#pragma pack(push, 1)
// One tensor summary; numpy reads it as schema.records.TENSOR_ROW.
struct TensorRow {
  int32_t site;
  uint64_t span_id;
  uint64_t parent_span_id;
  int64_t start_ns;
  int64_t dur_ns;
  int64_t count;
  double sum;
  double sum2;
  double sum3;
  double sum4;
  double min;
  double max;
  int64_t nan_count;
  int64_t posinf_count;
  int64_t neginf_count;
  int64_t zero_count;
  int64_t sat_low_count;
  int64_t sat_high_count;
  int64_t hash;
  float sketch[64];
};
#pragma pack(pop)

// Memory that is hashed.
struct Bytes {
  const void* data;
  size_t size;
};

// Returns the XXH3-64 of what stands in `parts`, one after the other.
uint64_t hash_bytes(const Bytes* parts, size_t count) noexcept;

enum SummaryStatus : int {
  kSummarised = 0,
  kNoRealValues = 1,  // count and hash are written; sums, extremes and sketch are NaN
  kBadView = 2,       // the view contradicts itself; nothing is written
};

// Summarises a tensor into the fields of `row` from `count` on.
//
// `family` is the sketch family of the frame's input, 0 to 15. `wide`, 256 floats or null,
// takes the sketch whose fold the row holds.
SummaryStatus summarise(const TensorView& tensor, int family, TensorRow* row,
                        float* wide) noexcept;

}  // namespace exray

extern "C" {

// `exray::summarise` for callers that load the library by name.
EXRAY_EXPORT int exray_summarise(const exray::TensorView* tensor, int family, void* row,
                                 float* wide);

// XXH3-64 of bytes: what the row's hash is.
EXRAY_EXPORT int64_t exray_hash(const void* data, int64_t size_bytes);

// Selects the kernels: 0 the best this processor has, 1 scalar, 2 AVX2, 3 NEON. Returns
// those in force: unchanged where the asked ones cannot run here.
EXRAY_EXPORT int exray_summary_path(int path);

// Writes the offset of each field of TensorRow, then its size; returns how many numbers
// there are. Writes at most `capacity` of them.
EXRAY_EXPORT int exray_tensor_row_layout(int32_t* offsets, int capacity);
}
