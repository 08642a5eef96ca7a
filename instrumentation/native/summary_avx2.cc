// Kernels for x86-64 with AVX2, FMA and F16C; compiled with their flags.
#include "summary_kernels.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#define XXH_INLINE_ALL
#include "simd_avx2.h"
#include "summary_octets.h"
#include "summary_reals.h"
#include "third_party/xxhash.h"

namespace exray {
namespace {

uint64_t hash(const void* data, size_t size_bytes) { return XXH3_64bits(data, size_bytes); }

}  // namespace

const Kernels* avx2_kernels() {
  static constexpr Kernels kernels = {2, add_numbers<Avx2>, add_octets<Avx2>, hash};
  return &kernels;
}

}  // namespace exray

#else

const exray::Kernels* exray::avx2_kernels() { return nullptr; }

#endif
