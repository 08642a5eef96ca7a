// The random numbers behind the sketch `cs1`; see schema/sketch.py.
//
// Everything is in an unnamed namespace: files compiled for different instruction sets
// include this, and the linker must not take one's code for another's.
#pragma once

#include <cstdint>

namespace exray {
namespace {

constexpr uint64_t kGamma = 0x9E3779B97F4A7C15u;  // splitmix64's, and the sketch's seed

inline uint64_t random_word(uint64_t i) {
  uint64_t z = (kGamma + i) * kGamma;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// Where row `q` of the table puts its elements, and with which signs: bit j % 64 of
// signs[j / 64] says that element j is subtracted.
struct RowRandom {
  explicit RowRandom(uint64_t q) : rotation(static_cast<int>(random_word(5 * q) >> 56)) {
    for (int i = 0; i < 4; ++i) signs[i] = random_word(5 * q + 1 + i);
  }
  int rotation;
  uint64_t signs[4];
};

}  // namespace
}  // namespace exray
