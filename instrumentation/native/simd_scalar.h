// One lane of everything: the plain kernels, for any processor. Also what a set of lanes
// has to offer; simd_avx2.h and simd_neon.h offer the same with more lanes.
#pragma once

#include <cstdint>
#include <cstring>

namespace exray {
namespace {

template <class T>
inline T load_as(const void* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

struct Scalar {
  using Signs = uint64_t;  // of 64 elements
  static Signs signs(uint64_t word) { return word; }

  // Extremes and zeros of floats or doubles.
  template <class T>
  struct Reals {
    static constexpr int kLanes = 1;
    using Vec = T;
    using Counts = int64_t;
    static Vec splat(T x) { return x; }
    static Vec load(const void* p) { return load_as<T>(p); }
    static void store(T* p, Vec x) { *p = x; }
    static Vec min(Vec a, Vec b) { return b < a ? b : a; }
    static Vec max(Vec a, Vec b) { return b > a ? b : a; }
    // Stays 0 as long as every x is finite, else becomes NaN.
    static Vec poison(Vec sum, Vec x) { return sum + x * T(0); }
    static Counts no_counts() { return 0; }
    static Counts count_zeros(Counts counts, Vec x) { return counts + (x == T(0)); }
    static int64_t total(Counts counts) { return counts; }
  };
  using Floats = Reals<float>;
  using Doubles = Reals<double>;

  // Moments and sketch, in float64.
  struct Sums {
    static constexpr int kLanes = 1;
    using Vec = double;
    static Vec zero() { return 0; }
    static Vec load(const double* p) { return *p; }
    static void store(double* p, Vec x) { *p = x; }
    static Vec widen(const float* p) { return *p; }
    static Vec widen(const double* p) { return *p; }
    static Vec add(Vec a, Vec b) { return a + b; }
    static Vec mul(Vec a, Vec b) { return a * b; }
    static Vec mul_add(Vec a, Vec b, Vec c) { return a * b + c; }
    // Negates lane k where bit j + k of the signs is set.
    static Vec flip(Vec x, Signs signs, int j) {
      const uint64_t bits = load_as<uint64_t>(&x) ^ (signs >> j << 63);
      return load_as<double>(&bits);
    }
  };

  // Extremes and counts of int8; a uint8 becomes one by subtracting 128.
  struct Octets {
    static constexpr int kLanes = 1;
    using Vec = int;
    using Counts = int;
    static Vec splat(int q) { return q; }
    template <bool kUnsigned>
    static Vec load(const unsigned char* p) {
      return static_cast<signed char>(kUnsigned ? *p ^ 0x80 : *p);
    }
    static Vec min(Vec a, Vec b) { return b < a ? b : a; }
    static Vec max(Vec a, Vec b) { return b > a ? b : a; }
    static int least(Vec q) { return q; }
    static int greatest(Vec q) { return q; }
    static Counts no_counts() { return 0; }
    // A lane holds at most 255.
    static Counts count_equal(Counts counts, Vec a, Vec b) { return counts + (a == b); }
    static int64_t total(Counts counts) { return counts; }
  };

  // Moments and sketch of int8, in 16 bits and more.
  struct Words {
    static constexpr int kLanes = 1;
    using Vec = int;
    using Sum32 = int64_t;
    using Sum64 = int64_t;
    static Vec splat(int q) { return q; }
    template <bool kUnsigned>
    static Vec load(const unsigned char* p) {
      return Octets::load<kUnsigned>(p);
    }
    static Vec sub(Vec a, Vec b) { return a - b; }
    static Vec mul(Vec a, Vec b) { return a * b; }
    static Vec flip(Vec q, Signs signs, int j) { return signs >> j & 1 ? -q : q; }
    static void add_to(int16_t* bins, Vec q) { *bins = static_cast<int16_t>(*bins + q); }
    static Sum32 zero32() { return 0; }
    static Sum64 zero64() { return 0; }
    static Sum32 add_up(Sum32 sum, Vec q) { return sum + q; }
    // Adds two products to each lane.
    static Sum32 mul_add(Sum32 sum, Vec a, Vec b) { return sum + a * b; }
    static int64_t total(Sum32 sum) { return sum; }
    // Adds lanes that are unsigned.
    static Sum64 add_wide(Sum64 sum, Sum32 lanes) { return sum + lanes; }
    static int64_t total_wide(Sum64 sum) { return sum; }
  };

  static void widen_float16(const unsigned char* halves, float* floats, int n) {
    for (int i = 0; i < n; ++i) floats[i] = float_from_half(load_as<uint16_t>(halves + 2 * i));
  }

  static float float_from_half(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
    const uint32_t magnitude = static_cast<uint32_t>(half & 0x7FFF) << 13;
    uint32_t bits = magnitude + (112u << 23);  // the exponents' biases differ by 112
    if ((half & 0x7C00) == 0x7C00) {           // infinity, NaN
      bits = magnitude | 0x7F800000;
    } else if ((half & 0x7C00) == 0) {  // zero, denormal
      const float value = static_cast<float>(half & 0x3FF) * 0x1p-24f;
      bits = load_as<uint32_t>(&value);
    }
    bits |= sign;
    return load_as<float>(&bits);
  }
};

}  // namespace
}  // namespace exray
