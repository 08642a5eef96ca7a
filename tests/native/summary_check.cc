// Compares every set of kernels with the definition, element by element, over random
// tensors: type, size, values, alignment and quantization all vary.
//
//   summary_check [tensors] [seed]
//
// Each tensor lies at the end of an allocation of its own, so that the address sanitizer
// sees a kernel that reads past it.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "abi.h"
#include "float_state.h"
#include "summary.h"

namespace {

using exray::TensorRow;
using exray::TensorView;

__extension__ typedef __int128 Int128;

constexpr int kShown = 10;
int failures = 0;

#define CHECK(condition, ...)                                       \
  do {                                                              \
    if (!(condition) && ++failures <= kShown) {                     \
      std::printf("FAILED %s:%d %s: ", __FILE__, __LINE__, #condition); \
      std::printf(__VA_ARGS__);                                     \
      std::printf("\n");                                            \
    }                                                               \
  } while (0)

// ---- the sketch's random numbers ----------------------------------------------------

uint64_t splitmix64(uint64_t i) {
  uint64_t z = (0x9E3779B97F4A7C15u + i) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

uint64_t row_of(int64_t i, int family) { return static_cast<uint64_t>(i / 256 + 131 * family); }

uint64_t bin_of(int64_t i, int family) {
  return (static_cast<uint64_t>(i % 256) + (splitmix64(5 * row_of(i, family)) >> 56)) % 256;
}

bool is_subtracted(int64_t i, int family) {
  const uint64_t j = static_cast<uint64_t>(i % 256);
  return splitmix64(5 * row_of(i, family) + 1 + j / 64) >> (j % 64) & 1;
}

// ---- random tensors ------------------------------------------------------------------

struct TypeInfo {
  int32_t type;
  const char* name;
  int size;
  bool integer;
};

constexpr TypeInfo kTypes[] = {
    {exray::kFloat32, "float32", 4, false},   {exray::kFloat16, "float16", 2, false},
    {exray::kBFloat16, "bfloat16", 2, false}, {exray::kFloat64, "float64", 8, false},
    {exray::kBool, "bool", 1, false},         {exray::kInt8, "int8", 1, true},
    {exray::kUInt8, "uint8", 1, true},        {exray::kInt16, "int16", 2, true},
    {exray::kUInt16, "uint16", 2, true},      {exray::kInt32, "int32", 4, true},
    {exray::kUInt32, "uint32", 4, true},      {exray::kInt64, "int64", 8, true},
    {exray::kUInt64, "uint64", 8, true},
};

// A tensor with all that a view of it points to.
struct Tensor {
  TypeInfo info;
  int64_t count = 0;
  int family = 0;
  std::vector<int32_t> dims;
  std::vector<float> scales;
  std::vector<int32_t> zero_points;
  int32_t axis = 0;
  std::unique_ptr<unsigned char[]> memory;
  unsigned char* data = nullptr;

  TensorView view() const {
    return {data,
            count * info.size,
            count,
            info.type,
            static_cast<int32_t>(dims.size()),
            dims.data(),
            static_cast<int32_t>(scales.size()),
            scales.data(),
            zero_points.empty() ? nullptr : zero_points.data(),
            axis};
  }

  std::string text() const {
    std::string text = std::string(info.name) + "[";
    for (int32_t dim : dims) text += std::to_string(dim) + ",";
    text += "] family " + std::to_string(family) + " axis " + std::to_string(axis);
    for (size_t i = 0; i < scales.size() && i < 2; ++i) {
      text += " scale " + std::to_string(scales[i]);
      if (!zero_points.empty()) text += " zero point " + std::to_string(zero_points[i]);
    }
    return text + " offset " + std::to_string(data - memory.get());
  }
};

class Maker {
 public:
  explicit Maker(uint64_t seed) : random_(seed) {}

  int64_t below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }

  Tensor make() {
    Tensor tensor;
    tensor.info = kTypes[below(sizeof kTypes / sizeof *kTypes)];
    tensor.family = static_cast<int>(below(16));
    make_shape(&tensor);
    if (tensor.info.integer) make_quantization(&tensor);
    const int64_t size = tensor.count * tensor.info.size;
    const int64_t offset = below(3) ? 0 : 1 + below(7);
    tensor.memory.reset(new unsigned char[static_cast<size_t>(size + offset)]);
    tensor.data = tensor.memory.get() + offset;
    fill(&tensor);
    return tensor;
  }

 private:
  void make_shape(Tensor* tensor) {
    static constexpr int64_t kSizes[] = {0, 1, 10, 63, 64, 65, 255, 256, 257, 511, 512, 2048, 5000};
    const int rank = static_cast<int>(below(5));
    int64_t limit = below(40) ? 3000 : 200000;
    if (rank == 1) {
      tensor->dims = {static_cast<int32_t>(kSizes[below(sizeof kSizes / sizeof *kSizes)])};
    } else {
      for (int i = 0; i < rank; ++i) {
        const int64_t dim = below(30) ? 1 + below(limit < 60 ? limit : 60) : below(2) * 7;
        tensor->dims.push_back(static_cast<int32_t>(dim));
        if (dim) limit = limit / dim + 1;
      }
    }
    tensor->count = 1;
    for (int32_t dim : tensor->dims) tensor->count *= dim;
  }

  void make_quantization(Tensor* tensor) {
    const int64_t kind = below(4);
    if (kind == 0) return;
    size_t channels = 1;
    if (kind == 3 && !tensor->dims.empty()) {
      const int64_t rank = static_cast<int64_t>(tensor->dims.size());
      tensor->axis = static_cast<int32_t>(below(rank));
      channels = static_cast<size_t>(tensor->dims[static_cast<size_t>(tensor->axis)]);
      if (below(4) == 0) tensor->axis -= static_cast<int32_t>(rank);  // counted from the end
      if (below(8) == 0) ++channels;  // one too many: no real values
    }
    for (size_t i = 0; i < channels; ++i) tensor->scales.push_back(scale());
    if (below(8) == 0) return;  // no zero points: all zero
    for (size_t i = 0; i < channels; ++i) tensor->zero_points.push_back(zero_point());
  }

  float scale() {
    switch (below(12)) {
      case 0: return 0;
      case 1: return 1e-30f;
      case 2: return 1e30f;
      default: break;
    }
    const float scale = 0.001f * static_cast<float>(1 + below(1000));
    return below(10) ? scale : -scale;
  }

  int32_t zero_point() {
    switch (below(8)) {
      case 0: return std::numeric_limits<int32_t>::min();
      case 1: return std::numeric_limits<int32_t>::max();
      case 2: return static_cast<int32_t>(below(1 << 22)) - (1 << 21);
      case 3: return -128;
      case 4: return 0;
      default: return static_cast<int32_t>(below(600)) - 300;
    }
  }

  void fill(Tensor* tensor) {
    const int64_t size = tensor->count * tensor->info.size;
    const int64_t kind = below(6);
    for (int64_t i = 0; i < size; ++i) tensor->data[i] = static_cast<unsigned char>(random_());
    if (tensor->info.type == exray::kBool) {
      for (int64_t i = 0; i < size; ++i) tensor->data[i] &= 1;
    }
    if (kind == 0) return;  // any bits: NaN, infinity, denormals and huge numbers are among them
    if (kind == 1) {        // all the same byte: ends of types, zeros, long equal runs
      static constexpr unsigned char kBytes[] = {0x00, 0x7F, 0x80, 0xFF};
      const unsigned char byte = kBytes[below(4)];
      if (tensor->info.type != exray::kBool) {
        std::memset(tensor->data, byte, static_cast<size_t>(size));
      }
      return;
    }
    if (tensor->info.type == exray::kFloat32) fill_floats(tensor, kind == 2);
    if (tensor->info.type == exray::kFloat64) fill_doubles(tensor);
    if (tensor->info.type == exray::kInt64 && kind > 3) {  // small, as most are
      for (int64_t i = 0; i < tensor->count; ++i) {
        const int64_t q = static_cast<signed char>(tensor->data[8 * i]);
        std::memcpy(tensor->data + 8 * i, &q, 8);
      }
    }
  }

  void fill_floats(Tensor* tensor, bool with_nonfinite) {
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < tensor->count; ++i) {
      float x = normal(random_);
      if (x < -0.5f) x = 0;
      if (with_nonfinite && below(200) == 0) x = NAN;
      if (with_nonfinite && below(300) == 0) x = below(2) ? INFINITY : -INFINITY;
      std::memcpy(tensor->data + 4 * i, &x, 4);
    }
  }

  void fill_doubles(Tensor* tensor) {
    std::normal_distribution<double> normal;
    for (int64_t i = 0; i < tensor->count; ++i) {
      const double x = normal(random_);
      std::memcpy(tensor->data + 8 * i, &x, 8);
    }
  }

  std::mt19937_64 random_;
};

// ---- the definition ------------------------------------------------------------------

template <class T>
T read(const unsigned char* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

double half_value(uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const double sign = half & 0x8000 ? -1 : 1;
  if (exponent == 31) return fraction ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

// Element `i` as it is stored; an int64 exactly, through `integer`.
double stored_value(const Tensor& tensor, int64_t i, Int128* integer) {
  const unsigned char* p = tensor.data + i * tensor.info.size;
  switch (tensor.info.type) {
    case exray::kFloat32: return read<float>(p);
    case exray::kFloat64: return read<double>(p);
    case exray::kFloat16: return half_value(read<uint16_t>(p));
    case exray::kBFloat16: {
      const uint32_t bits = static_cast<uint32_t>(read<uint16_t>(p)) << 16;
      return read<float>(reinterpret_cast<const unsigned char*>(&bits));
    }
    case exray::kBool: return *p != 0;
    case exray::kInt8: *integer = read<int8_t>(p); break;
    case exray::kUInt8: *integer = *p; break;
    case exray::kInt16: *integer = read<int16_t>(p); break;
    case exray::kUInt16: *integer = read<uint16_t>(p); break;
    case exray::kInt32: *integer = read<int32_t>(p); break;
    case exray::kUInt32: *integer = read<uint32_t>(p); break;
    case exray::kInt64: *integer = read<int64_t>(p); break;
    default: *integer = read<uint64_t>(p);
  }
  return static_cast<double>(*integer);
}

struct Expected {
  bool has_values = true;
  bool exact = false;                // sums are those of integers below 2^18, times the scale
  long double sums[4] = {0, 0, 0, 0};
  long double magnitudes[4] = {0, 0, 0, 0};
  double min = NAN, max = NAN;
  int64_t nans = 0, posinfs = 0, neginfs = 0, zeros = 0, lows = 0, highs = 0;
  long double sketch[256] = {};
  long double bin_magnitudes[256] = {};
};

// Channel of element `i`, or -1 where there is not one scale per channel.
int64_t channel_of(const Tensor& tensor, int64_t i) {
  const int64_t rank = static_cast<int64_t>(tensor.dims.size());
  const int64_t axis = tensor.axis < 0 ? tensor.axis + rank : tensor.axis;
  if (axis < 0 || axis >= rank) return -1;
  int64_t inner = 1;
  for (int64_t d = axis + 1; d < rank; ++d) inner *= tensor.dims[static_cast<size_t>(d)];
  const int64_t channels = tensor.dims[static_cast<size_t>(axis)];
  if (channels != static_cast<int64_t>(tensor.scales.size())) return -1;
  return inner ? i / inner % channels : 0;
}

Expected define(const Tensor& tensor) {
  Expected expected;
  const bool per_channel = tensor.scales.size() > 1;
  if (per_channel && channel_of(tensor, 0) < 0) expected.has_values = false;
  const int bits = 8 * tensor.info.size;
  const bool is_signed = tensor.info.type == exray::kInt8 || tensor.info.type == exray::kInt16 ||
                         tensor.info.type == exray::kInt32 || tensor.info.type == exray::kInt64;
  const Int128 low = is_signed ? -(Int128{1} << (bits - 1)) : Int128{0};
  const Int128 high = is_signed ? (Int128{1} << (bits - 1)) - 1 : (Int128{1} << bits) - 1;
  const double scale = tensor.scales.empty() ? 1 : tensor.scales[0];
  const double zero = tensor.zero_points.empty() ? 0 : tensor.zero_points[0];
  expected.exact = tensor.info.integer && tensor.info.size <= 2 && !per_channel &&
                   std::abs(zero) < (1 << 17);
  Int128 exact[4] = {0, 0, 0, 0};
  double least = INFINITY, greatest = -INFINITY;
  for (int64_t i = 0; i < tensor.count; ++i) {
    Int128 integer = 0;
    double x = stored_value(tensor, i, &integer);
    double unit = 1;
    if (tensor.info.integer) {
      expected.lows += integer == low;
      expected.highs += integer == high;
      if (!expected.has_values) continue;
      if (per_channel) {
        const size_t channel = static_cast<size_t>(channel_of(tensor, i));
        x -= tensor.zero_points.empty() ? 0 : tensor.zero_points[channel];
        x *= static_cast<double>(tensor.scales[channel]);
      } else {
        x -= zero;
        unit = scale;
      }
    }
    expected.nans += std::isnan(x);
    expected.posinfs += std::isinf(x) && x > 0;
    expected.neginfs += std::isinf(x) && x < 0;
    expected.zeros += x == 0;
    if (!std::isfinite(x)) continue;
    least = std::fmin(least, x * unit);
    greatest = std::fmax(greatest, x * unit);
    if (expected.exact) {
      const Int128 d = static_cast<Int128>(x);
      Int128 power = 1;
      for (Int128& sum : exact) sum += power *= d;
    }
    long double power = 1;
    for (int p = 0; p < 4; ++p) {
      power *= static_cast<long double>(x) * unit;
      expected.sums[p] += power;
      expected.magnitudes[p] += power < 0 ? -power : power;
    }
    const uint64_t bin = bin_of(i, tensor.family);
    const long double y = static_cast<long double>(x) * unit;
    expected.sketch[bin] += is_subtracted(i, tensor.family) ? -y : y;
    expected.bin_magnitudes[bin] += y < 0 ? -y : y;
  }
  if (least <= greatest) {
    expected.min = least;
    expected.max = greatest;
  }
  if (expected.exact) {
    const double units[4] = {scale, scale * scale, scale * scale * scale,
                             scale * scale * (scale * scale)};
    for (int p = 0; p < 4; ++p) expected.sums[p] = static_cast<double>(exact[p]) * units[p];
  }
  return expected;
}

// ---- comparison ----------------------------------------------------------------------

constexpr double kHuge = std::numeric_limits<double>::max();

bool is_near(double actual, long double expected, long double magnitude) {
  if (magnitude > kHuge) return true;  // float64 overflows on the way, here or there
  return std::fabs(static_cast<long double>(actual) - expected) <= 1e-12L * magnitude + 1e-300L;
}

bool is_same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

float float32_of(long double x) {
  constexpr long double kLimit = std::numeric_limits<float>::max();
  return static_cast<float>(x > kLimit ? kLimit : x < -kLimit ? -kLimit : x);
}

bool is_near_float(float actual, long double expected, long double magnitude) {
  if (magnitude > kHuge) return true;
  const float nearest = float32_of(expected);
  return std::fabs(actual - nearest) <= 1e-6f * std::fabs(nearest) + 1e-12L * magnitude + 1e-40L;
}

void check_numbers(const Expected& expected, const TensorRow& row, const float* wide,
                   const char* name) {
  const double sums[4] = {row.sum, row.sum2, row.sum3, row.sum4};
  for (int p = 0; p < 4; ++p) {
    if (expected.exact) {
      CHECK(std::fabs(sums[p] - expected.sums[p]) <= 4e-16L * std::fabs(expected.sums[p]),
            "%s: sum%d is %.17g, expected %.17Lg", name, p + 1, sums[p], expected.sums[p]);
    }
    CHECK(is_near(sums[p], expected.sums[p], expected.magnitudes[p]),
          "%s: sum%d is %.17g, expected %.17Lg", name, p + 1, sums[p], expected.sums[p]);
  }
  CHECK(is_same(row.min, expected.min) && is_same(row.max, expected.max),
        "%s: extremes %g %g, expected %g %g", name, row.min, row.max, expected.min, expected.max);
  for (int b = 0; b < 256; ++b) {
    CHECK(is_near_float(wide[b], expected.sketch[b], expected.bin_magnitudes[b]),
          "%s: sketch[%d] is %.9g, expected %.9Lg", name, b, wide[b], expected.sketch[b]);
  }
  for (int b = 0; b < 64; ++b) {
    long double folded = 0, magnitude = 0;
    for (int i = 4 * b; i < 4 * b + 4; ++i) {
      folded += expected.sketch[i];
      magnitude += expected.bin_magnitudes[i];
    }
    CHECK(is_near_float(row.sketch[b], folded, magnitude), "%s: folded sketch[%d]", name, b);
  }
}

void check_tensor(const Tensor& tensor, const Expected& expected, int path) {
  TensorRow row = {};
  std::memset(&row, 0xAB, sizeof row);
  float wide[256];
  const TensorView view = tensor.view();
  const int status = exray_summarise(&view, tensor.family, &row, wide);
  const std::string text = "path " + std::to_string(path) + " " + tensor.text();
  const char* name = text.c_str();
  CHECK(status == (expected.has_values ? exray::kSummarised : exray::kNoRealValues),
        "%s: status %d", name, status);
  CHECK(row.count == tensor.count, "%s", name);
  CHECK(static_cast<uint32_t>(row.site) == 0xABABABABu && row.dur_ns == row.start_ns, "%s", name);
  CHECK(row.nan_count == expected.nans && row.posinf_count == expected.posinfs &&
            row.neginf_count == expected.neginfs && row.zero_count == expected.zeros,
        "%s: counts %ld %ld %ld %ld", name, static_cast<long>(row.nan_count),
        static_cast<long>(row.posinf_count), static_cast<long>(row.neginf_count),
        static_cast<long>(row.zero_count));
  CHECK(row.sat_low_count == expected.lows && row.sat_high_count == expected.highs, "%s", name);
  if (expected.has_values) {
    check_numbers(expected, row, wide, name);
  } else {
    CHECK(std::isnan(row.sum) && std::isnan(row.min) && std::isnan(wide[9]) &&
              std::isnan(row.sketch[63]),
          "%s", name);
  }
}

// Extremes whose signs in the sketch are all alike: its sums grow as fast as they can, for
// more rows than 16 bits hold.
void check_greatest_sums(const std::vector<int>& paths) {
  Tensor tensor;
  tensor.info = {exray::kInt8, "int8", 1, true};
  tensor.count = 1024 * 256;
  tensor.dims = {1024, 256};
  tensor.memory.reset(new unsigned char[static_cast<size_t>(tensor.count)]);
  tensor.data = tensor.memory.get();
  for (int64_t i = 0; i < tensor.count; ++i) tensor.data[i] = is_subtracted(i, 0) ? 0x80 : 0x7F;
  const Expected expected = define(tensor);
  for (int path : paths) {
    exray_summary_path(path);
    check_tensor(tensor, expected, path);
  }
}

// The hash does not depend on the kernels or on alignment; Python compares it with the
// xxhash package.
void check_hash(const Tensor& tensor, const std::vector<int>& paths) {
  int64_t first = 0;
  for (size_t i = 0; i < paths.size(); ++i) {
    exray_summary_path(paths[i]);
    std::vector<unsigned char> copy(tensor.data, tensor.data + tensor.count * tensor.info.size);
    TensorView view = tensor.view();
    view.data = copy.data();
    TensorRow row = {};
    exray_summarise(&view, 0, &row, nullptr);
    if (i == 0) first = row.hash;
    CHECK(row.hash == first, "path %d %s", paths[i], tensor.text().c_str());
  }
}

void check_bad_views() {
  const float values[3] = {1, 2, 3};
  const float scales[2] = {1, 2};
  const TensorView good = {values, 12, 3, exray::kFloat32, 0, nullptr, 0, nullptr, nullptr, 0};
  TensorRow row = {};
  CHECK(exray_summarise(&good, 0, &row, nullptr) == exray::kSummarised, "a good view");
  std::memset(&row, 0, sizeof row);
  const auto is_refused = [&](TensorView view, int family = 0) {
    return exray_summarise(&view, family, &row, nullptr) == exray::kBadView && row.count == 0;
  };
  TensorView bad = good;
  CHECK(is_refused(good, -1) && is_refused(good, 16), "family");
  bad.data = nullptr;
  CHECK(is_refused(bad), "no data");
  bad = good;
  bad.count = 4;
  CHECK(is_refused(bad), "more elements than bytes");
  bad.count = -1;
  CHECK(is_refused(bad), "negative count");
  bad = good;
  bad.size_bytes = 13;
  CHECK(is_refused(bad), "bytes that are no element");
  bad = good;
  bad.scale_count = 1;
  CHECK(is_refused(bad), "scales that are nowhere");
  bad.scale_count = 2;
  bad.scales = scales;
  bad.rank = 1;
  CHECK(is_refused(bad), "dimensions that are nowhere");
  CHECK(exray_summarise(nullptr, 0, &row, nullptr) == exray::kBadView, "no view");
  CHECK(exray_summarise(&good, 0, nullptr, nullptr) == exray::kBadView, "no row");
}

void check_types_without_real_values() {
  const unsigned char bytes[4] = {1, 2, 3, 4};
  for (int32_t type : {5, 8, 12, 14, 15, 18, 99, 0, -1}) {
    const TensorView view = {bytes, 4, 8, type, 0, nullptr, 0, nullptr, nullptr, 0};
    TensorRow row = {};
    CHECK(exray_summarise(&view, 3, &row, nullptr) == exray::kNoRealValues, "type %d", type);
    CHECK(row.count == 8 && row.hash != 0 && std::isnan(row.sum2) && std::isnan(row.sketch[0]),
          "type %d", type);
  }
}

#if defined(__x86_64__)
// TFLite runs its operators with denormals flushed to zero; a summary does not.
void check_denormals_and_float_state() {
  const float values[2] = {1e-40f, -2e-40f};
  const TensorView view = {values, 8, 2, exray::kFloat32, 0, nullptr, 0, nullptr, nullptr, 0};
  TensorRow row = {};
  const unsigned before = _mm_getcsr();
  constexpr unsigned kFlushed = 0x1F80 | 0x8000 | 0x0040;
  _mm_setcsr(kFlushed);
  exray_summarise(&view, 0, &row, nullptr);
  const unsigned after = _mm_getcsr();
  _mm_setcsr(before);
  CHECK(after == kFlushed, "the caller's state is %x", after);
  CHECK(row.zero_count == 0 && row.sum < 0 && row.min < 0 && row.max > 0, "sum %g", row.sum);
}
#else
void check_denormals_and_float_state() {}
#endif

std::vector<int> usable_paths() {
  std::vector<int> paths;
  for (int path = 1; path <= 3; ++path) {
    if (exray_summary_path(path) == path) paths.push_back(path);
  }
  return paths;
}

}  // namespace

int main(int argc, char** argv) {
  const int tensors = argc > 1 ? std::atoi(argv[1]) : 2000;
  const uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  const std::vector<int> paths = usable_paths();
  CHECK(paths.size() >= 1 && paths[0] == 1, "the scalar kernels run everywhere");
  CHECK(exray_abi_version() == exray::kAbiVersion, "version");
  Maker maker(seed);
  for (int i = 0; i < tensors && failures < kShown; ++i) {
    const Tensor tensor = maker.make();
    const Expected expected = define(tensor);
    for (int path : paths) {
      exray_summary_path(path);
      check_tensor(tensor, expected, path);
    }
    check_hash(tensor, paths);
  }
  check_greatest_sums(paths);
  exray_summary_path(0);
  check_bad_views();
  check_types_without_real_values();
  check_denormals_and_float_state();
  std::printf("%d tensors, kernels", tensors);
  for (int path : paths) std::printf(" %d", path);
  std::printf(", best %d, seed %llu: %d failures\n", exray_summary_path(0),
              static_cast<unsigned long long>(seed), failures);
  return failures ? 1 : 0;
}
