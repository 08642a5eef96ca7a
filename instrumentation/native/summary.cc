#include "summary.h"

#include <atomic>
#include <cstddef>
#include <cstring>
#include <limits>

#include "float_state.h"
#include "sketch_random.h"
#include "summary_kernels.h"

namespace exray {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// ---- which kernels -------------------------------------------------------------------

std::atomic<const Kernels*> selected{nullptr};

const Kernels* usable_avx2() {
#if defined(__x86_64__) || defined(__i386__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c")) {
    return avx2_kernels();
  }
#endif
  return nullptr;
}

const Kernels* best_kernels() {
  if (const Kernels* kernels = usable_avx2()) return kernels;
  if (const Kernels* kernels = neon_kernels()) return kernels;
  return scalar_kernels();
}

const Kernels& kernels_in_force() {
  const Kernels* kernels = selected.load(std::memory_order_acquire);
  if (!kernels) {  // two threads may both come here: they choose the same
    kernels = best_kernels();
    selected.store(kernels, std::memory_order_release);
  }
  return *kernels;
}

const Kernels* kernels_by_number(int path) {
  switch (path) {
    case 0: return best_kernels();
    case 1: return scalar_kernels();
    case 2: return usable_avx2();
    case 3: return neon_kernels();
    default: return nullptr;
  }
}

// ---- what a view says ----------------------------------------------------------------

// Bytes of an element whose type has real values, else 0.
int64_t item_size(int32_t type) {
  switch (type) {
    case kBool:
    case kInt8:
    case kUInt8: return 1;
    case kFloat16:
    case kBFloat16:
    case kInt16:
    case kUInt16: return 2;
    case kFloat32:
    case kInt32:
    case kUInt32: return 4;
    case kFloat64:
    case kInt64:
    case kUInt64: return 8;
    default: return 0;
  }
}

bool is_integer(int32_t type) {
  return item_size(type) && type != kBool && type != kFloat16 && type != kBFloat16 &&
         type != kFloat32 && type != kFloat64;
}

bool is_sound(const TensorView& tensor) {
  if (tensor.count < 0 || tensor.size_bytes < 0) return false;
  if (tensor.size_bytes > 0 && !tensor.data) return false;
  const int64_t size = item_size(tensor.type);
  if (size && (tensor.size_bytes % size || tensor.size_bytes / size != tensor.count)) return false;
  if (tensor.scale_count < 0 || (tensor.scale_count > 0 && !tensor.scales)) return false;
  return tensor.scale_count <= 1 || (tensor.rank >= 0 && (tensor.rank == 0 || tensor.dims));
}

// Fills in channels and their distance; false where there is not one scale per channel.
bool find_channels(const TensorView& tensor, Numbers* numbers) {
  const int64_t axis = tensor.axis < 0 ? int64_t{tensor.axis} + tensor.rank : tensor.axis;
  if (axis < 0 || axis >= tensor.rank || tensor.dims[axis] != tensor.scale_count) return false;
  numbers->channels = tensor.scale_count;
  numbers->inner = 1;
  numbers->scales = tensor.scales;
  numbers->zero_points = tensor.zero_points;
  for (int64_t i = axis + 1; tensor.count > 0 && i < tensor.rank; ++i) {
    if (tensor.dims[i] <= 0 || numbers->inner > tensor.count / tensor.dims[i]) return false;
    numbers->inner *= tensor.dims[i];
  }
  return true;
}

// ---- from totals to a row ------------------------------------------------------------

// The nearest float32, at most its greatest number: a distance to infinity is none.
float float_from(double sum) {
  constexpr double kLimit = std::numeric_limits<float>::max();
  if (sum > kLimit) sum = kLimit;
  if (sum < -kLimit) sum = -kLimit;
  return static_cast<float>(sum);
}

void write_sketch(const double* sums, TensorRow* row, float* wide) {
  constexpr int kKept = 64;
  constexpr int kFolded = kRow / kKept;
  for (int b = 0; b < kKept; ++b) {
    double folded = 0;
    for (int i = 0; i < kFolded; ++i) folded += sums[kFolded * b + i];
    row->sketch[b] = float_from(folded);
  }
  for (int b = 0; wide && b < kRow; ++b) wide[b] = float_from(sums[b]);
}

// Writes totals whose unit is `scale`.
void write_totals(const Totals& totals, double scale, TensorRow* row, float* wide) {
  const double scale2 = scale * scale;
  row->sum = totals.sums[0] * scale;
  row->sum2 = totals.sums[1] * scale2;
  row->sum3 = totals.sums[2] * (scale2 * scale);
  row->sum4 = totals.sums[3] * (scale2 * scale2);
  row->min = row->max = kNaN;
  if (totals.least <= totals.greatest) {
    row->min = (scale < 0 ? totals.greatest : totals.least) * scale;
    row->max = (scale < 0 ? totals.least : totals.greatest) * scale;
  }
  row->nan_count = totals.nan_count;
  row->posinf_count = totals.posinf_count;
  row->neginf_count = totals.neginf_count;
  row->zero_count = totals.zero_count;
  row->sat_low_count = totals.sat_low_count;
  row->sat_high_count = totals.sat_high_count;
  double sketch[kRow];
  for (int b = 0; b < kRow; ++b) sketch[b] = totals.sketch[b] * scale;
  write_sketch(sketch, row, wide);
}

// Makes the numbers say that there are no real values.
SummaryStatus spoil(Totals* totals) {
  for (double& sum : totals->sums) sum = kNaN;
  for (double& sum : totals->sketch) sum = kNaN;
  totals->least = totals->greatest = kNaN;
  totals->nan_count = totals->posinf_count = totals->neginf_count = totals->zero_count = 0;
  return kNoRealValues;
}

// ---- int8 and uint8 ------------------------------------------------------------------

// Turns sums of powers of q into those of q - zero: of T, a type that holds them.
template <class T>
void shift_moments(const int64_t* sums, int64_t count, int64_t zero, double* shifted) {
  const T n = static_cast<T>(count), z = static_cast<T>(zero);
  const T s1 = static_cast<T>(sums[0]), s2 = static_cast<T>(sums[1]);
  const T s3 = static_cast<T>(sums[2]), s4 = static_cast<T>(sums[3]);
  shifted[0] = static_cast<double>(s1 - n * z);
  shifted[1] = static_cast<double>(s2 - z * (2 * s1 - n * z));
  shifted[2] = static_cast<double>(s3 - z * (3 * s2 - z * (3 * s1 - n * z)));
  shifted[3] = static_cast<double>(s4 - z * (4 * s3 - z * (6 * s2 - z * (4 * s1 - n * z))));
}

// Subtracts from the sketch of q what turns it into that of q - zero.
void shift_sketch(int64_t count, int64_t zero, int family, double* sketch) {
  int64_t ones[2 * kRow] = {};
  for (int64_t start = 0; start < count; start += kRow) {
    const RowRandom random(static_cast<uint64_t>(kFamilyStep * family + start / kRow));
    for (int j = 0; j < kRow && j < count - start; ++j) {
      ones[j + random.rotation] += random.signs[j / 64] >> (j % 64) & 1 ? -1 : 1;
    }
  }
  for (int b = 0; b < kRow; ++b) {
    sketch[b] -= static_cast<double>(zero) * static_cast<double>(ones[b] + ones[b + kRow]);
  }
}

void add_octets(const TensorView& tensor, int32_t zero_point, int family, Totals* totals) {
  const bool is_unsigned = tensor.type == kUInt8;
  const int64_t zero = int64_t{zero_point} - (is_unsigned ? 128 : 0);
  const bool is_common = zero >= -128 && zero <= 127;
  OctetTotals octets;
  kernels_in_force().add_octets(static_cast<const unsigned char*>(tensor.data), tensor.count,
                                is_unsigned, is_common ? static_cast<int>(zero) : 0, family,
                                &octets);
  // Exact in 128 bits: a fourth power of 2^21 for up to 2^43 elements. For larger zero
  // points nothing cancels in float64.
  if (zero >= -(1 << 20) && zero <= 1 << 20) {
    shift_moments<Int128>(octets.sums, tensor.count, zero, totals->sums);
  } else {
    shift_moments<double>(octets.sums, tensor.count, zero, totals->sums);
  }
  totals->least = static_cast<double>(octets.least - zero);
  totals->greatest = static_cast<double>(octets.greatest - zero);
  totals->zero_count = is_common ? octets.zero_count : 0;
  totals->sat_low_count = octets.sat_low_count;
  totals->sat_high_count = octets.sat_high_count;
  for (int b = 0; b < kRow; ++b) totals->sketch[b] = static_cast<double>(octets.sketch[b]);
  if (!is_common) shift_sketch(tensor.count, zero, family, totals->sketch);
}

// ---- a tensor ------------------------------------------------------------------------

// Adds up all elements; `scale` becomes the unit of the totals.
SummaryStatus add_elements(const TensorView& tensor, int family, Totals* totals, double* scale) {
  if (!item_size(tensor.type)) return spoil(totals);
  const bool integer = is_integer(tensor.type);
  Numbers numbers = {};
  numbers.data = static_cast<const unsigned char*>(tensor.data);
  numbers.count = tensor.count;
  numbers.type = tensor.type;
  if (integer && tensor.scale_count > 1) {
    const bool known = find_channels(tensor, &numbers);
    kernels_in_force().add_numbers(numbers, family, totals);
    return known ? kSummarised : spoil(totals);
  }
  const bool quantized = integer && tensor.scale_count == 1;
  const int32_t zero_point = quantized && tensor.zero_points ? tensor.zero_points[0] : 0;
  if (quantized) *scale = static_cast<double>(tensor.scales[0]);
  if (tensor.type == kInt8 || tensor.type == kUInt8) {
    add_octets(tensor, zero_point, family, totals);
  } else {
    numbers.zero_point = zero_point;
    kernels_in_force().add_numbers(numbers, family, totals);
  }
  return kSummarised;
}

}  // namespace

SummaryStatus summarise(const TensorView& tensor, int family, TensorRow* row,
                        float* wide) noexcept {
  if (!row || family < 0 || family >= kFamilies || !is_sound(tensor)) return kBadView;
  const PlainFloats plain_floats;
  Totals totals;
  double scale = 1;
  const SummaryStatus status = add_elements(tensor, family, &totals, &scale);
  write_totals(totals, scale, row, wide);
  row->count = tensor.count;
  row->hash = exray_hash(tensor.data, tensor.size_bytes);
  return status;
}

uint64_t hash_bytes(const Bytes* parts, size_t count) noexcept {
  return kernels_in_force().hash(parts, count);
}

}  // namespace exray

extern "C" {

int exray_summarise(const exray::TensorView* tensor, int family, void* row, float* wide) {
  if (!tensor) return exray::kBadView;
  return exray::summarise(*tensor, family, static_cast<exray::TensorRow*>(row), wide);
}

int64_t exray_hash(const void* data, int64_t size_bytes) {
  const exray::Bytes whole = {data, size_bytes > 0 ? static_cast<size_t>(size_bytes) : 0};
  return static_cast<int64_t>(exray::hash_bytes(&whole, 1));
}

int exray_summary_path(int path) {
  if (const exray::Kernels* kernels = exray::kernels_by_number(path)) {
    exray::selected.store(kernels, std::memory_order_release);
  }
  return exray::kernels_in_force().path;
}

int exray_tensor_row_layout(int32_t* offsets, int capacity) {
  using exray::TensorRow;
  constexpr size_t kLayout[] = {
      offsetof(TensorRow, site),           offsetof(TensorRow, span_id),
      offsetof(TensorRow, parent_span_id), offsetof(TensorRow, start_ns),
      offsetof(TensorRow, dur_ns),         offsetof(TensorRow, count),
      offsetof(TensorRow, sum),            offsetof(TensorRow, sum2),
      offsetof(TensorRow, sum3),           offsetof(TensorRow, sum4),
      offsetof(TensorRow, min),            offsetof(TensorRow, max),
      offsetof(TensorRow, nan_count),      offsetof(TensorRow, posinf_count),
      offsetof(TensorRow, neginf_count),   offsetof(TensorRow, zero_count),
      offsetof(TensorRow, sat_low_count),  offsetof(TensorRow, sat_high_count),
      offsetof(TensorRow, hash),           offsetof(TensorRow, sketch),
      sizeof(TensorRow),
  };
  constexpr int kCount = static_cast<int>(sizeof kLayout / sizeof *kLayout);
  for (int i = 0; i < kCount && i < capacity; ++i) offsets[i] = static_cast<int32_t>(kLayout[i]);
  return kCount;
}

}  // extern "C"
