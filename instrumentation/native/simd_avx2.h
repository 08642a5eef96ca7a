// The lanes of AVX2, FMA and F16C; see simd_scalar.h for what each function means.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "simd_scalar.h"

namespace exray {
namespace {

struct Avx2 {
  using Signs = __m256i;
  static Signs signs(uint64_t word) { return _mm256_set1_epi64x(static_cast<long long>(word)); }

  struct Floats {
    static constexpr int kLanes = 8;
    using Vec = __m256;
    using Counts = __m256i;
    static Vec splat(float x) { return _mm256_set1_ps(x); }
    static Vec load(const float* p) { return _mm256_loadu_ps(p); }
    static void store(float* p, Vec x) { _mm256_storeu_ps(p, x); }
    static Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
    static Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
    static Vec poison(Vec sum, Vec x) { return _mm256_fmadd_ps(x, _mm256_setzero_ps(), sum); }
    static Counts no_counts() { return _mm256_setzero_si256(); }
    static Counts count_zeros(Counts counts, Vec x) {
      const Vec equal = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_EQ_OQ);
      return _mm256_sub_epi32(counts, _mm256_castps_si256(equal));
    }
    static int64_t total(Counts counts) {
      uint32_t lanes[kLanes];
      std::memcpy(lanes, &counts, sizeof lanes);
      int64_t sum = 0;
      for (uint32_t lane : lanes) sum += lane;
      return sum;
    }
  };

  struct Doubles {
    static constexpr int kLanes = 4;
    using Vec = __m256d;
    using Counts = __m256i;
    static Vec splat(double x) { return _mm256_set1_pd(x); }
    static Vec load(const double* p) { return _mm256_loadu_pd(p); }
    static void store(double* p, Vec x) { _mm256_storeu_pd(p, x); }
    static Vec min(Vec a, Vec b) { return _mm256_min_pd(a, b); }
    static Vec max(Vec a, Vec b) { return _mm256_max_pd(a, b); }
    static Vec poison(Vec sum, Vec x) { return _mm256_fmadd_pd(x, _mm256_setzero_pd(), sum); }
    static Counts no_counts() { return _mm256_setzero_si256(); }
    static Counts count_zeros(Counts counts, Vec x) {
      const Vec equal = _mm256_cmp_pd(x, _mm256_setzero_pd(), _CMP_EQ_OQ);
      return _mm256_sub_epi64(counts, _mm256_castpd_si256(equal));
    }
    static int64_t total(Counts counts) { return sum64(counts); }
  };

  struct Sums {
    static constexpr int kLanes = 4;
    using Vec = __m256d;
    static Vec zero() { return _mm256_setzero_pd(); }
    static Vec load(const double* p) { return _mm256_loadu_pd(p); }
    static void store(double* p, Vec x) { _mm256_storeu_pd(p, x); }
    static Vec widen(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
    static Vec widen(const double* p) { return _mm256_loadu_pd(p); }
    static Vec add(Vec a, Vec b) { return _mm256_add_pd(a, b); }
    static Vec mul(Vec a, Vec b) { return _mm256_mul_pd(a, b); }
    static Vec mul_add(Vec a, Vec b, Vec c) { return _mm256_fmadd_pd(a, b, c); }
    static Vec flip(Vec x, Signs signs, int j) {
      const __m256i to_top = _mm256_setr_epi64x(63 - j, 62 - j, 61 - j, 60 - j);
      const Vec bits = _mm256_castsi256_pd(_mm256_sllv_epi64(signs, to_top));
      return _mm256_xor_pd(x, _mm256_and_pd(bits, _mm256_set1_pd(-0.0)));
    }
  };

  struct Octets {
    static constexpr int kLanes = 32;
    using Vec = __m256i;
    using Counts = __m256i;
    static Vec splat(int q) { return _mm256_set1_epi8(static_cast<char>(q)); }
    template <bool kUnsigned>
    static Vec load(const unsigned char* p) {
      const Vec q = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
      return kUnsigned ? _mm256_xor_si256(q, splat(-128)) : q;
    }
    static Vec min(Vec a, Vec b) { return _mm256_min_epi8(a, b); }
    static Vec max(Vec a, Vec b) { return _mm256_max_epi8(a, b); }
    static int least(Vec q) {
      signed char lanes[kLanes];
      std::memcpy(lanes, &q, sizeof lanes);
      int least = lanes[0];
      for (int lane : lanes) least = lane < least ? lane : least;
      return least;
    }
    static int greatest(Vec q) { return -1 - least(_mm256_xor_si256(q, splat(-1))); }
    static Counts no_counts() { return _mm256_setzero_si256(); }
    static Counts count_equal(Counts counts, Vec a, Vec b) {
      return _mm256_sub_epi8(counts, _mm256_cmpeq_epi8(a, b));
    }
    static int64_t total(Counts counts) {
      return sum64(_mm256_sad_epu8(counts, _mm256_setzero_si256()));
    }
  };

  struct Words {
    static constexpr int kLanes = 16;
    using Vec = __m256i;
    using Sum32 = __m256i;
    using Sum64 = __m256i;
    static Vec splat(int q) { return _mm256_set1_epi16(static_cast<short>(q)); }
    template <bool kUnsigned>
    static Vec load(const unsigned char* p) {
      const __m128i q = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
      return kUnsigned ? _mm256_sub_epi16(_mm256_cvtepu8_epi16(q), splat(128))
                       : _mm256_cvtepi8_epi16(q);
    }
    static Vec sub(Vec a, Vec b) { return _mm256_sub_epi16(a, b); }
    static Vec mul(Vec a, Vec b) { return _mm256_mullo_epi16(a, b); }
    static Vec flip(Vec q, Signs signs, int j) {
      // The two bytes that hold a lane's bit, in every lane; then the bit alone.
      const __m256i spread = _mm256_shuffle_epi8(
          signs, _mm256_set1_epi16(static_cast<short>((j / 8) | (j / 8 + 1) << 8)));
      const __m256i bits =
          _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384,
                            static_cast<short>(0x8000));
      const __m256i negative = _mm256_cmpeq_epi16(_mm256_and_si256(spread, bits), bits);
      return _mm256_sub_epi16(_mm256_xor_si256(q, negative), negative);
    }
    static void add_to(int16_t* bins, Vec q) {
      __m256i* p = reinterpret_cast<__m256i*>(bins);
      _mm256_storeu_si256(p, _mm256_add_epi16(_mm256_loadu_si256(p), q));
    }
    static Sum32 zero32() { return _mm256_setzero_si256(); }
    static Sum64 zero64() { return _mm256_setzero_si256(); }
    static Sum32 add_up(Sum32 sum, Vec q) { return mul_add(sum, q, splat(1)); }
    static Sum32 mul_add(Sum32 sum, Vec a, Vec b) {
      return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
    }
    static int64_t total(Sum32 sum) {
      int32_t lanes[8];
      std::memcpy(lanes, &sum, sizeof lanes);
      int64_t total = 0;
      for (int32_t lane : lanes) total += lane;
      return total;
    }
    static Sum64 add_wide(Sum64 sum, Sum32 lanes) {
      const __m256i low = _mm256_and_si256(lanes, _mm256_set1_epi64x(0xFFFFFFFF));
      return _mm256_add_epi64(_mm256_add_epi64(sum, low), _mm256_srli_epi64(lanes, 32));
    }
    static int64_t total_wide(Sum64 sum) { return sum64(sum); }
  };

  static void widen_float16(const unsigned char* halves, float* floats, int n) {
    int i = 0;
    for (; i + 8 <= n; i += 8) {
      const __m128i* p = reinterpret_cast<const __m128i*>(halves + 2 * i);
      _mm256_storeu_ps(floats + i, _mm256_cvtph_ps(_mm_loadu_si128(p)));
    }
    Scalar::widen_float16(halves + 2 * i, floats + i, n - i);
  }

 private:
  static int64_t sum64(__m256i sum) {
    int64_t lanes[4];
    std::memcpy(lanes, &sum, sizeof lanes);
    return lanes[0] + lanes[1] + lanes[2] + lanes[3];
  }
};

}  // namespace
}  // namespace exray
