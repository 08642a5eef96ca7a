// Kernels for 64-bit Arm, which always has NEON.
#include "summary_kernels.h"

#if defined(__aarch64__)

#define XXH_INLINE_ALL
#include "simd_neon.h"
#include "summary_octets.h"
#include "summary_reals.h"
#include "third_party/xxhash.h"

namespace exray {
namespace {

uint64_t hash(const void* data, size_t size_bytes) { return XXH3_64bits(data, size_bytes); }

}  // namespace

const Kernels* neon_kernels() {
  static constexpr Kernels kernels = {3, add_numbers<Neon>, add_octets<Neon>, hash};
  return &kernels;
}

}  // namespace exray

#else

const exray::Kernels* exray::neon_kernels() { return nullptr; }

#endif
