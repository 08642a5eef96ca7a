// Kernels for any processor.
#define XXH_INLINE_ALL
#include "simd_scalar.h"
#include "summary_octets.h"
#include "summary_reals.h"
#include "third_party/xxhash.h"

namespace exray {
namespace {

uint64_t hash(const void* data, size_t size_bytes) { return XXH3_64bits(data, size_bytes); }

}  // namespace

const Kernels* scalar_kernels() {
  static constexpr Kernels kernels = {1, add_numbers<Scalar>, add_octets<Scalar>, hash};
  return &kernels;
}

}  // namespace exray
