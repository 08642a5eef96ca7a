// Kernels for everything but int8 and uint8, over the lanes of one instruction set.
#pragma once

#include <cstdint>
#include <cstring>

#include "simd_scalar.h"
#include "sketch_random.h"
#include "summary_kernels.h"

namespace exray {
namespace {

template <class T>
constexpr bool kIsFloat = false;
template <>
constexpr bool kIsFloat<float> = true;

// Adds up rows of floats or doubles (T) that are real values; without moments, which
// integers of 16 bits have of their own.
template <class V, class T, bool kMoments = true>
class RealAdder {
  struct FloatLanes : V::Floats {};
  struct DoubleLanes : V::Doubles {};
  template <bool kFloat, class A, class B>
  struct Choose { using Type = A; };
  template <class A, class B>
  struct Choose<false, A, B> { using Type = B; };
  using Lanes = typename Choose<kIsFloat<T>, FloatLanes, DoubleLanes>::Type;
  using Sums = typename V::Sums;
  static constexpr int kPower = 4;

 public:
  explicit RealAdder(int family) : next_row_(static_cast<uint64_t>(kFamilyStep) * family) {}

  // Adds `n` elements: a whole row, or the last one.
  void add(const T* row, int n) {
    if (n == kRow && scan(row, n)) {
      accumulate(row, kRow / 64);
      return;
    }
    alignas(64) T clean[kRow] = {};
    std::memcpy(clean, row, n * sizeof(T));
    if (n == kRow || !scan(clean, n)) drop_nonfinite(clean, n);
    accumulate(clean, (n + 63) / 64);
  }

  void finish(Totals* totals) {
    T lanes[Lanes::kLanes];
    Lanes::store(lanes, least_);
    for (T x : lanes) note_least(x);
    Lanes::store(lanes, greatest_);
    for (T x : lanes) note_greatest(x);
    totals->least = least_seen_;
    totals->greatest = greatest_seen_;
    totals->nan_count = nan_count_;
    totals->posinf_count = posinf_count_;
    totals->neginf_count = neginf_count_;
    totals->zero_count = zero_count_ + Lanes::total(zeros_);
    for (int power = 0; power < kPower; ++power) {
      for (double sum : sums_[power]) totals->sums[power] += sum;
    }
    for (int b = 0; b < kRow; ++b) {
      totals->sketch[b] = (bins_[0][b] + bins_[0][b + kRow]) + (bins_[1][b] + bins_[1][b + kRow]);
    }
  }

 private:
  using Vec = typename Lanes::Vec;
  using Sum = typename Sums::Vec;
  static constexpr int kSumLanes = Sums::kLanes;
  static constexpr T kInfinity = static_cast<T>(__builtin_inf());

  void note_least(double x) {
    if (x < least_seen_) least_seen_ = x;
  }
  void note_greatest(double x) {
    if (x > greatest_seen_) greatest_seen_ = x;
  }

  // Notes extremes and zeros of a row; notes nothing and returns false where an element is
  // not finite.
  bool scan(const T* row, int n) {
    constexpr int kStep = Lanes::kLanes;
    Vec least = least_, greatest = greatest_, poison = Lanes::splat(0);
    auto zeros = zeros_;
    int j = 0;
    for (; j + kStep <= n; j += kStep) {
      const Vec x = Lanes::load(row + j);
      least = Lanes::min(least, x);
      greatest = Lanes::max(greatest, x);
      poison = Lanes::poison(poison, x);
      zeros = Lanes::count_zeros(zeros, x);
    }
    T lanes[kStep];
    Lanes::store(lanes, poison);
    T sum = 0;
    for (T x : lanes) sum += x;
    for (int i = j; i < n; ++i) sum += row[i] * T(0);
    if (sum != T(0)) return false;
    least_ = least;
    greatest_ = greatest;
    zeros_ = zeros;
    for (; j < n; ++j) note(row[j]);
    return true;
  }

  void note(T x) {
    note_least(x);
    note_greatest(x);
    zero_count_ += x == T(0);
  }

  // Counts what is not finite and makes it 0; notes the rest.
  void drop_nonfinite(T* row, int n) {
    for (int j = 0; j < n; ++j) {
      const T x = row[j];
      if (x - x == T(0)) {
        note(x);
        continue;
      }
      nan_count_ += x != x;
      posinf_count_ += x == kInfinity;
      neginf_count_ += x == -kInfinity;
      row[j] = 0;
    }
  }

  // Adds sums of powers and the sketch of a row's first 64 * `words` elements. Two
  // sketches take turns, lest a row wait for what the one before it has just stored at
  // addresses that overlap its own.
  void accumulate(const T* row, int words) {
    const RowRandom random(next_row_);
    double* bins = bins_[next_row_ % 2] + random.rotation;
    ++next_row_;
    Sum sums[2][kPower];  // the row's own: rounding grows with the rows, not the elements
    for (auto& half : sums) {
      for (Sum& sum : half) sum = Sums::zero();
    }
    for (int word = 0; word < words; ++word, row += 64, bins += 64) {
      const auto signs = V::signs(random.signs[word]);
#pragma GCC unroll 32
      for (int j = 0; j < 64; j += 2 * kSumLanes) {
        add_lanes(row, bins, signs, j, sums[0]);
        add_lanes(row, bins, signs, j + kSumLanes, sums[1]);
      }
    }
    for (int power = 0; power < kPower; ++power) {
      const Sum row_sum = Sums::add(sums[0][power], sums[1][power]);
      Sums::store(sums_[power], Sums::add(Sums::load(sums_[power]), row_sum));
    }
  }

  static void add_lanes(const T* row, double* bins, typename V::Signs signs, int j, Sum* sums) {
    const Sum x = Sums::widen(row + j);
    if (kMoments) {
      const Sum xx = Sums::mul(x, x);
      sums[0] = Sums::add(sums[0], x);
      sums[1] = Sums::add(sums[1], xx);
      sums[2] = Sums::mul_add(xx, x, sums[2]);
      sums[3] = Sums::mul_add(xx, xx, sums[3]);
    }
    Sums::store(bins + j, Sums::add(Sums::load(bins + j), Sums::flip(x, signs, j)));
  }

  uint64_t next_row_;
  Vec least_ = Lanes::splat(kInfinity);
  Vec greatest_ = Lanes::splat(-kInfinity);
  typename Lanes::Counts zeros_ = Lanes::no_counts();
  double least_seen_ = __builtin_inf();
  double greatest_seen_ = -__builtin_inf();
  int64_t nan_count_ = 0, posinf_count_ = 0, neginf_count_ = 0, zero_count_ = 0;
  alignas(64) double sums_[kPower][kSumLanes] = {};
  alignas(64) double bins_[2][2 * kRow] = {};
};

// Calls `add_row(first element, elements)` for each row of a tensor.
template <class AddRow>
void each_row(int64_t count, AddRow add_row) {
  for (int64_t start = 0; start < count; start += kRow) {
    add_row(start, static_cast<int>(count - start < kRow ? count - start : kRow));
  }
}

// Adds elements that `convert` turns into a row of T.
template <class V, class T, bool kMoments = true, class Convert>
void add_converted(const Numbers& numbers, int family, Totals* totals, Convert convert) {
  RealAdder<V, T, kMoments> adder(family);
  alignas(64) T row[kRow];
  each_row(numbers.count, [&](int64_t start, int n) {
    convert(start, n, row);
    adder.add(row, n);
  });
  adder.finish(totals);
}

template <class V>
void add_float32(const Numbers& numbers, int family, Totals* totals) {
  if (reinterpret_cast<uintptr_t>(numbers.data) % alignof(float) == 0) {
    RealAdder<V, float> adder(family);
    const float* values = reinterpret_cast<const float*>(numbers.data);
    each_row(numbers.count, [&](int64_t start, int n) { adder.add(values + start, n); });
    adder.finish(totals);
    return;
  }
  add_converted<V, float>(numbers, family, totals, [&](int64_t start, int n, float* row) {
    std::memcpy(row, numbers.data + 4 * start, 4 * static_cast<size_t>(n));
  });
}

template <class V>
void add_float16(const Numbers& numbers, int family, Totals* totals) {
  add_converted<V, float>(numbers, family, totals, [&](int64_t start, int n, float* row) {
    V::widen_float16(numbers.data + 2 * start, row, n);
  });
}

template <class V>
void add_bfloat16(const Numbers& numbers, int family, Totals* totals) {
  add_converted<V, float>(numbers, family, totals, [&](int64_t start, int n, float* row) {
    const unsigned char* halves = numbers.data + 2 * start;
    for (int i = 0; i < n; ++i) {
      const uint32_t bits = static_cast<uint32_t>(load_as<uint16_t>(halves + 2 * i)) << 16;
      row[i] = load_as<float>(&bits);
    }
  });
}

template <class V>
void add_float64(const Numbers& numbers, int family, Totals* totals) {
  add_converted<V, double>(numbers, family, totals, [&](int64_t start, int n, double* row) {
    std::memcpy(row, numbers.data + 8 * start, 8 * static_cast<size_t>(n));
  });
}

template <class V>
void add_bool(const Numbers& numbers, int family, Totals* totals) {
  add_converted<V, float>(numbers, family, totals, [&](int64_t start, int n, float* row) {
    for (int i = 0; i < n; ++i) row[i] = numbers.data[start + i] != 0;
  });
}

// Scales and zero points of consecutive elements of a tensor that has several of them.
class ChannelWalk {
 public:
  explicit ChannelWalk(const Numbers& numbers) : numbers_(numbers), left_(numbers.inner) {}

  double real(double q) {
    const double zero_point = numbers_.zero_points ? numbers_.zero_points[channel_] : 0;
    const double x = (q - zero_point) * static_cast<double>(numbers_.scales[channel_]);
    if (--left_ == 0) {
      left_ = numbers_.inner;
      if (++channel_ == numbers_.channels) channel_ = 0;
    }
    return x;
  }

 private:
  const Numbers& numbers_;
  int64_t channel_ = 0;
  int64_t left_;
};

// Counts integers of type I at their type's ends.
template <class I>
void count_saturated(const unsigned char* values, int n, Totals* totals) {
  constexpr bool kSigned = static_cast<I>(-1) < static_cast<I>(0);
  constexpr uint64_t kTop = uint64_t{1} << (8 * sizeof(I) - 1);
  constexpr I kHigh = static_cast<I>(kSigned ? kTop - 1 : ~uint64_t{0});
  constexpr I kLow = static_cast<I>(~kHigh);
  int low = 0, high = 0;
  for (int i = 0; i < n; ++i) {
    const I q = load_as<I>(values + sizeof(I) * i);
    low += q == kLow;
    high += q == kHigh;
  }
  totals->sat_low_count += low;
  totals->sat_high_count += high;
}

template <class V, class I>
void add_integers(const Numbers& numbers, int family, Totals* totals) {
  ChannelWalk channels(numbers);
  const double zero_point = numbers.zero_point;
  add_converted<V, double>(numbers, family, totals, [&](int64_t start, int n, double* row) {
    const unsigned char* values = numbers.data + sizeof(I) * start;
    count_saturated<I>(values, n, totals);
    for (int i = 0; i < n; ++i) row[i] = static_cast<double>(load_as<I>(values + sizeof(I) * i));
    if (numbers.scales) {
      for (int i = 0; i < n; ++i) row[i] = channels.real(row[i]);
    } else {
      for (int i = 0; i < n; ++i) row[i] -= zero_point;
    }
  });
}

// Sums of powers of integers below 2^18, exact.
struct ExactMoments {
  // Adds at most a row.
  template <class I>
  void add(const unsigned char* values, int n, int64_t zero_point) {
    int64_t row1 = 0, row2 = 0, row3 = 0;
    Int128 row4 = 0;
    for (int i = 0; i < n; ++i) {
      const int64_t d = load_as<I>(values + sizeof(I) * i) - zero_point;
      const int64_t dd = d * d;
      row1 += d;
      row2 += dd;
      row3 += dd * d;
      row4 += static_cast<Int128>(dd) * dd;
    }
    sums[0] += row1;
    sums[1] += row2;
    sums[2] += row3;
    sums[3] += row4;
  }

  Int128 sums[4] = {0, 0, 0, 0};
};

// Adds integers of 16 bits, less a zero point below 2^17.
template <class V, class I>
void add_words(const Numbers& numbers, int family, Totals* totals) {
  const int64_t zero_point = static_cast<int64_t>(numbers.zero_point);
  ExactMoments moments;
  add_converted<V, float, false>(
      numbers, family, totals, [&](int64_t start, int n, float* row) {
        const unsigned char* values = numbers.data + sizeof(I) * start;
        count_saturated<I>(values, n, totals);
        moments.add<I>(values, n, zero_point);
        for (int i = 0; i < n; ++i) {
          row[i] = static_cast<float>(load_as<I>(values + sizeof(I) * i) - zero_point);
        }
      });
  for (int power = 0; power < 4; ++power) {
    totals->sums[power] = static_cast<double>(moments.sums[power]);
  }
}

template <class V, class I>
void add_words_or_integers(const Numbers& numbers, int family, Totals* totals) {
  constexpr double kLimit = 1 << 17;
  const double zero_point = numbers.zero_point;
  const bool is_exact = !numbers.scales && zero_point < kLimit && zero_point > -kLimit;
  return is_exact ? add_words<V, I>(numbers, family, totals)
                  : add_integers<V, I>(numbers, family, totals);
}

template <class V>
void add_numbers(const Numbers& numbers, int family, Totals* totals) {
  switch (numbers.type) {
    case kFloat32: return add_float32<V>(numbers, family, totals);
    case kFloat16: return add_float16<V>(numbers, family, totals);
    case kBFloat16: return add_bfloat16<V>(numbers, family, totals);
    case kFloat64: return add_float64<V>(numbers, family, totals);
    case kBool: return add_bool<V>(numbers, family, totals);
    case kInt8: return add_integers<V, int8_t>(numbers, family, totals);
    case kUInt8: return add_integers<V, uint8_t>(numbers, family, totals);
    case kInt16: return add_words_or_integers<V, int16_t>(numbers, family, totals);
    case kUInt16: return add_words_or_integers<V, uint16_t>(numbers, family, totals);
    case kInt32: return add_integers<V, int32_t>(numbers, family, totals);
    case kUInt32: return add_integers<V, uint32_t>(numbers, family, totals);
    case kInt64: return add_integers<V, int64_t>(numbers, family, totals);
    case kUInt64: return add_integers<V, uint64_t>(numbers, family, totals);
  }
}

}  // namespace
}  // namespace exray
