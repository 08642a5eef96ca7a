// What a set of kernels takes and gives; one set for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "summary.h"

namespace exray {

__extension__ typedef __int128 Int128;

constexpr int kRow = 256;        // elements in a row of a tensor, and sums in a sketch
constexpr int kFamilies = 16;    // sketch families
constexpr int kFamilyStep = 131; // rows of the random table between two families

// The elements of one tensor and how they map to real values.
struct Numbers {
  const unsigned char* data;
  int64_t count;
  int32_t type;
  double zero_point;           // subtracted from each integer
  const float* scales;         // null, or one per channel; then zero_point is not used
  const int32_t* zero_points;  // null, or one per channel
  int64_t channels;
  int64_t inner;  // elements between one channel and the next
};

// The numbers of one tensor in the making, in the unit of its elements.
struct Totals {
  double sums[4] = {0, 0, 0, 0};  // of x, x^2, x^3, x^4
  double least = 0;               // of finite elements; meaningless where there is none
  double greatest = 0;
  int64_t nan_count = 0;
  int64_t posinf_count = 0;
  int64_t neginf_count = 0;
  int64_t zero_count = 0;
  int64_t sat_low_count = 0;
  int64_t sat_high_count = 0;
  double sketch[kRow] = {};
};

// The numbers of an int8 or uint8 tensor in the making: exact. A uint8 is seen as the int8
// that is less by 128.
struct OctetTotals {
  int64_t sums[4] = {0, 0, 0, 0};  // of q, q^2, q^3, q^4
  int least = 127;
  int greatest = -128;
  int64_t zero_count = 0;  // of elements that equal `zero`
  int64_t sat_low_count = 0;
  int64_t sat_high_count = 0;
  int64_t sketch[kRow] = {};  // of q - zero
};

struct Kernels {
  int path;  // as exray_summary_path() numbers them
  void (*add_numbers)(const Numbers& numbers, int family, Totals* totals);
  // `zero` is the zero point as an int8.
  void (*add_octets)(const unsigned char* data, int64_t count, bool is_unsigned, int zero,
                     int family, OctetTotals* totals);
  uint64_t (*hash)(const Bytes* parts, size_t count);  // XXH3-64 of all, one after the other
};

const Kernels* scalar_kernels();
const Kernels* avx2_kernels();  // null: not built
const Kernels* neon_kernels();  // null: not built

}  // namespace exray
