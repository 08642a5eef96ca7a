// Kernels for any processor.
#include "simd_scalar.h"
#include "summary_hash.h"
#include "summary_octets.h"
#include "summary_reals.h"

namespace exray {

const Kernels* scalar_kernels() {
  static constexpr Kernels kernels = {1, add_numbers<Scalar>, add_octets<Scalar>, hash_parts};
  return &kernels;
}

}  // namespace exray
