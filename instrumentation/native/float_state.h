// The floating-point state that the definition of a summary assumes.
#pragma once

#include <cstdint>

#if defined(__x86_64__) || defined(__i386__)
#include <xmmintrin.h>
#endif

namespace exray {

// Rounds to nearest, keeps denormals and traps nothing while it lives; a runtime may have
// chosen otherwise for its own operators (TFLite flushes denormals to zero).
class PlainFloats {
 public:
  PlainFloats(const PlainFloats&) = delete;
  PlainFloats& operator=(const PlainFloats&) = delete;

#if defined(__x86_64__) || defined(__i386__)
  PlainFloats() : saved_(_mm_getcsr()) { _mm_setcsr(0x1F80); }
  ~PlainFloats() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#elif defined(__aarch64__)
  PlainFloats() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    if (saved_) write(0);
  }
  ~PlainFloats() {
    if (saved_) write(saved_);
  }

 private:
  static void write(uint64_t fpcr) { asm volatile("msr fpcr, %0" : : "r"(fpcr)); }
  uint64_t saved_;
#else
  PlainFloats() {}
#endif
};

}  // namespace exray
