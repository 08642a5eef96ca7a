// Kernels for x86-64 with AVX2, FMA and F16C; compiled with their flags.
#include "summary_kernels.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "simd_avx2.h"
#include "summary_hash.h"
#include "summary_octets.h"
#include "summary_reals.h"

namespace exray {

const Kernels* avx2_kernels() {
  static constexpr Kernels kernels = {2, add_numbers<Avx2>, add_octets<Avx2>, hash_parts};
  return &kernels;
}

}  // namespace exray

#else

const exray::Kernels* exray::avx2_kernels() { return nullptr; }

#endif
