// Kernels for int8 and uint8, exact, over the lanes of one instruction set.
#pragma once

#include <cstdint>
#include <cstring>

#include "sketch_random.h"
#include "summary_kernels.h"

namespace exray {
namespace {

// Adds up rows of int8, or of uint8 less 128.
template <class V, bool kUnsigned>
class OctetAdder {
  using Octets = typename V::Octets;
  using Words = typename V::Words;

  // |q - zero| is at most 255, so 128 rows fit a sum of 16 bits: two sketches of such sums
  // take turns.
  static constexpr int kRowsPerSketch = 2 * 128;
  // In eight rows a lane of 8 bits counts at most 128 elements, and one of 32 bits adds at
  // most 2^9 cubes of 2^21.
  static constexpr int kRowsPerGroup = 8;

 public:
  OctetAdder(int zero, int family, OctetTotals* totals)
      : totals_(*totals), zero_(zero), next_row_(static_cast<uint64_t>(kFamilyStep) * family) {}

  void add(const unsigned char* data, int64_t count) {
    const int64_t rows = count / kRow;
    for (int64_t row = 0; row < rows; row += kRowsPerGroup) {
      const int64_t left = rows - row;
      add_rows(data + row * kRow, static_cast<int>(left < kRowsPerGroup ? left : kRowsPerGroup));
    }
    if (count % kRow) add_rest(data + rows * kRow, static_cast<int>(count % kRow));
    flush_sketch();
  }

 private:
  using Octet = typename Octets::Vec;
  using Counts = typename Octets::Counts;

  struct Group {
    Octet least = Octets::splat(127);
    Octet greatest = Octets::splat(-128);
    Counts zeros = Octets::no_counts();
    Counts lows = Octets::no_counts();
    Counts highs = Octets::no_counts();
    typename Words::Sum32 sum = Words::zero32();
    typename Words::Sum32 sum2 = Words::zero32();
    typename Words::Sum32 sum3 = Words::zero32();
    typename Words::Sum64 sum4 = Words::zero64();
  };

  void add_rows(const unsigned char* data, int rows) {
    Group group;
    for (int row = 0; row < rows; ++row) add_row(data + row * kRow, &group);
    note_least(Octets::least(group.least));
    note_greatest(Octets::greatest(group.greatest));
    totals_.zero_count += Octets::total(group.zeros);
    totals_.sat_low_count += Octets::total(group.lows);
    totals_.sat_high_count += Octets::total(group.highs);
    totals_.sums[0] += Words::total(group.sum);
    totals_.sums[1] += Words::total(group.sum2);
    totals_.sums[2] += Words::total(group.sum3);
    totals_.sums[3] += Words::total_wide(group.sum4);
  }

  // Adds the last `n` elements, filled up to a row with zeros, and takes back what the
  // filling added.
  void add_rest(const unsigned char* data, int n) {
    unsigned char row[kRow];
    std::memset(row, kUnsigned ? zero_ + 128 : zero_, sizeof row);
    std::memcpy(row, data, static_cast<size_t>(n));
    const int least = totals_.least, greatest = totals_.greatest;
    add_rows(row, 1);
    totals_.least = least;
    totals_.greatest = greatest;
    for (int j = 0; j < n; ++j) {
      const int q = static_cast<signed char>(kUnsigned ? row[j] ^ 0x80 : row[j]);
      note_least(q);
      note_greatest(q);
    }
    int64_t filled = kRow - n;
    totals_.zero_count -= filled;
    if (zero_ == -128) totals_.sat_low_count -= filled;
    if (zero_ == 127) totals_.sat_high_count -= filled;
    for (int64_t& sum : totals_.sums) sum -= filled *= zero_;
  }

  void add_row(const unsigned char* row, Group* group) {
    const RowRandom random(next_row_);
    int16_t* bins = bins_[next_row_ % 2] + random.rotation;
    ++next_row_;
    const auto zero = Words::splat(zero_);
    for (int word = 0; word < kRow / 64; ++word, row += 64, bins += 64) {
      scan(row, group);
      const auto signs = V::signs(random.signs[word]);
      add_words(row, bins, signs, zero, group);
    }
    if (++rows_in_sketch_ == kRowsPerSketch) flush_sketch();
  }

  // Notes extremes and counts of 64 elements.
  void scan(const unsigned char* row, Group* group) {
    const Octet zero = Octets::splat(zero_), low = Octets::splat(-128), high = Octets::splat(127);
#pragma GCC unroll 4
    for (int j = 0; j < 64; j += Octets::kLanes) {
      const Octet q = Octets::template load<kUnsigned>(row + j);
      group->least = Octets::min(group->least, q);
      group->greatest = Octets::max(group->greatest, q);
      group->zeros = Octets::count_equal(group->zeros, q, zero);
      group->lows = Octets::count_equal(group->lows, q, low);
      group->highs = Octets::count_equal(group->highs, q, high);
    }
  }

  // Adds sums of powers and sketch of 64 elements.
  static void add_words(const unsigned char* row, int16_t* bins, typename V::Signs signs,
                        typename Words::Vec zero, Group* group) {
    constexpr int kStep = Words::kLanes;
    // A fourth power is at most 2^28 and a step adds two to a lane: four steps fit an
    // unsigned lane of 32 bits.
    constexpr int kSteps = 64 / kStep < 4 ? 64 / kStep : 4;
#pragma GCC unroll 2
    for (int start = 0; start < 64; start += kSteps * kStep) {
      auto sum4 = Words::zero32();
#pragma GCC unroll 4
      for (int j = start; j < start + kSteps * kStep; j += kStep) {
        const auto q = Words::template load<kUnsigned>(row + j);
        const auto qq = Words::mul(q, q);
        group->sum = Words::add_up(group->sum, q);
        group->sum2 = Words::mul_add(group->sum2, q, q);
        group->sum3 = Words::mul_add(group->sum3, qq, q);
        sum4 = Words::mul_add(sum4, qq, qq);
        Words::add_to(bins + j, Words::flip(Words::sub(q, zero), signs, j));
      }
      group->sum4 = Words::add_wide(group->sum4, sum4);
    }
  }

  void note_least(int q) {
    if (q < totals_.least) totals_.least = q;
  }
  void note_greatest(int q) {
    if (q > totals_.greatest) totals_.greatest = q;
  }

  void flush_sketch() {
    for (int b = 0; b < kRow; ++b) {
      totals_.sketch[b] += bins_[0][b] + bins_[0][b + kRow] + bins_[1][b] + bins_[1][b + kRow];
    }
    std::memset(bins_, 0, sizeof bins_);
    rows_in_sketch_ = 0;
  }

  OctetTotals& totals_;
  const int zero_;
  uint64_t next_row_;
  int rows_in_sketch_ = 0;
  alignas(64) int16_t bins_[2][2 * kRow] = {};
};

template <class V>
void add_octets(const unsigned char* data, int64_t count, bool is_unsigned, int zero, int family,
                OctetTotals* totals) {
  if (is_unsigned) {
    OctetAdder<V, true>(zero, family, totals).add(data, count);
  } else {
    OctetAdder<V, false>(zero, family, totals).add(data, count);
  }
}

}  // namespace
}  // namespace exray
