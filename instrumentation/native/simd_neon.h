// The lanes of 64-bit Arm; see simd_scalar.h for what each function means.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "simd_scalar.h"

namespace exray {
namespace {

struct Neon {
  using Signs = uint64x2_t;
  static Signs signs(uint64_t word) { return vdupq_n_u64(word); }

  struct Floats {
    static constexpr int kLanes = 4;
    using Vec = float32x4_t;
    using Counts = uint32x4_t;
    static Vec splat(float x) { return vdupq_n_f32(x); }
    static Vec load(const float* p) { return vld1q_f32(p); }
    static void store(float* p, Vec x) { vst1q_f32(p, x); }
    static Vec min(Vec a, Vec b) { return vminq_f32(a, b); }
    static Vec max(Vec a, Vec b) { return vmaxq_f32(a, b); }
    static Vec poison(Vec sum, Vec x) { return vfmaq_f32(sum, x, vdupq_n_f32(0)); }
    static Counts no_counts() { return vdupq_n_u32(0); }
    static Counts count_zeros(Counts counts, Vec x) { return vsubq_u32(counts, vceqzq_f32(x)); }
    static int64_t total(Counts counts) { return static_cast<int64_t>(vaddlvq_u32(counts)); }
  };

  struct Doubles {
    static constexpr int kLanes = 2;
    using Vec = float64x2_t;
    using Counts = uint64x2_t;
    static Vec splat(double x) { return vdupq_n_f64(x); }
    static Vec load(const double* p) { return vld1q_f64(p); }
    static void store(double* p, Vec x) { vst1q_f64(p, x); }
    static Vec min(Vec a, Vec b) { return vminq_f64(a, b); }
    static Vec max(Vec a, Vec b) { return vmaxq_f64(a, b); }
    static Vec poison(Vec sum, Vec x) { return vfmaq_f64(sum, x, vdupq_n_f64(0)); }
    static Counts no_counts() { return vdupq_n_u64(0); }
    static Counts count_zeros(Counts counts, Vec x) { return vsubq_u64(counts, vceqzq_f64(x)); }
    static int64_t total(Counts counts) { return static_cast<int64_t>(vaddvq_u64(counts)); }
  };

  struct Sums {
    static constexpr int kLanes = 2;
    using Vec = float64x2_t;
    static Vec zero() { return vdupq_n_f64(0); }
    static Vec load(const double* p) { return vld1q_f64(p); }
    static void store(double* p, Vec x) { vst1q_f64(p, x); }
    static Vec widen(const float* p) { return vcvt_f64_f32(vld1_f32(p)); }
    static Vec widen(const double* p) { return vld1q_f64(p); }
    static Vec add(Vec a, Vec b) { return vaddq_f64(a, b); }
    static Vec mul(Vec a, Vec b) { return vmulq_f64(a, b); }
    static Vec mul_add(Vec a, Vec b, Vec c) { return vfmaq_f64(c, a, b); }
    static Vec flip(Vec x, Signs signs, int j) {
      const int64x2_t to_top = vsubq_s64(vcombine_s64(vcreate_s64(63), vcreate_s64(62)),
                                         vdupq_n_s64(j));
      const uint64x2_t bits = vandq_u64(vshlq_u64(signs, to_top), vdupq_n_u64(uint64_t{1} << 63));
      return vreinterpretq_f64_u64(veorq_u64(vreinterpretq_u64_f64(x), bits));
    }
  };

  struct Octets {
    static constexpr int kLanes = 16;
    using Vec = int8x16_t;
    using Counts = uint8x16_t;
    static Vec splat(int q) { return vdupq_n_s8(static_cast<int8_t>(q)); }
    template <bool kUnsigned>
    static Vec load(const unsigned char* p) {
      const uint8x16_t q = vld1q_u8(p);
      return vreinterpretq_s8_u8(kUnsigned ? veorq_u8(q, vdupq_n_u8(0x80)) : q);
    }
    static Vec min(Vec a, Vec b) { return vminq_s8(a, b); }
    static Vec max(Vec a, Vec b) { return vmaxq_s8(a, b); }
    static int least(Vec q) { return vminvq_s8(q); }
    static int greatest(Vec q) { return vmaxvq_s8(q); }
    static Counts no_counts() { return vdupq_n_u8(0); }
    static Counts count_equal(Counts counts, Vec a, Vec b) {
      return vsubq_u8(counts, vceqq_s8(a, b));
    }
    static int64_t total(Counts counts) { return vaddlvq_u8(counts); }
  };

  struct Words {
    static constexpr int kLanes = 8;
    using Vec = int16x8_t;
    using Sum32 = int32x4_t;
    using Sum64 = uint64x2_t;
    static Vec splat(int q) { return vdupq_n_s16(static_cast<int16_t>(q)); }
    template <bool kUnsigned>
    static Vec load(const unsigned char* p) {
      const uint8x8_t q = vld1_u8(p);
      return kUnsigned ? vreinterpretq_s16_u16(vsubl_u8(q, vdup_n_u8(128)))
                       : vmovl_s8(vreinterpret_s8_u8(q));
    }
    static Vec sub(Vec a, Vec b) { return vsubq_s16(a, b); }
    static Vec mul(Vec a, Vec b) { return vmulq_s16(a, b); }
    static Vec flip(Vec q, Signs signs, int j) {
      // The byte that holds the lanes' bits, in every lane; then each lane's bit alone.
      const uint8x16_t spread =
          vqtbl1q_u8(vreinterpretq_u8_u64(signs), vdupq_n_u8(static_cast<uint8_t>(j / 8)));
      const uint16x8_t bits =
          vcombine_u16(vcreate_u16(0x0008000400020001), vcreate_u16(0x0080004000200010));
      const Vec negative =
          vreinterpretq_s16_u16(vtstq_u16(vreinterpretq_u16_u8(spread), bits));
      return vsubq_s16(veorq_s16(q, negative), negative);
    }
    static void add_to(int16_t* bins, Vec q) { vst1q_s16(bins, vaddq_s16(vld1q_s16(bins), q)); }
    static Sum32 zero32() { return vdupq_n_s32(0); }
    static Sum64 zero64() { return vdupq_n_u64(0); }
    static Sum32 add_up(Sum32 sum, Vec q) { return vpadalq_s16(sum, q); }
    static Sum32 mul_add(Sum32 sum, Vec a, Vec b) {
      return vmlal_high_s16(vmlal_s16(sum, vget_low_s16(a), vget_low_s16(b)), a, b);
    }
    static int64_t total(Sum32 sum) { return vaddlvq_s32(sum); }
    static Sum64 add_wide(Sum64 sum, Sum32 lanes) {
      return vpadalq_u32(sum, vreinterpretq_u32_s32(lanes));
    }
    static int64_t total_wide(Sum64 sum) { return static_cast<int64_t>(vaddvq_u64(sum)); }
  };

  static void widen_float16(const unsigned char* halves, float* floats, int n) {
    int i = 0;
    for (; i + 4 <= n; i += 4) {
      vst1q_f32(floats + i, vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(halves + 2 * i))));
    }
    Scalar::widen_float16(halves + 2 * i, floats + i, n - i);
  }
};

}  // namespace
}  // namespace exray
