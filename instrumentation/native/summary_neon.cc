// Kernels for 64-bit Arm, which always has NEON.
#include "summary_kernels.h"

#if defined(__aarch64__)

#include "simd_neon.h"
#include "summary_hash.h"
#include "summary_octets.h"
#include "summary_reals.h"

namespace exray {

const Kernels* neon_kernels() {
  static constexpr Kernels kernels = {3, add_numbers<Neon>, add_octets<Neon>, hash_parts};
  return &kernels;
}

}  // namespace exray

#else

const exray::Kernels* exray::neon_kernels() { return nullptr; }

#endif
