// The profiler that delegates report their operators to.
//
// Virtual functions in the order of tflite::Profiler (tflite/core/api/profiler.h of LiteRT,
// Apache-2.0), whose object layout under the Itanium C++ ABI is one pointer to them.

#ifndef EXRAY_PROFILER_H_
#define EXRAY_PROFILER_H_

#include <cstdint>

namespace exray {

class Probe;

class Profiler {
 public:
  explicit Profiler(Probe* probe) : probe_(probe) {}
  virtual ~Profiler() = default;
  // Spans of the runtime itself: the probe measures nodes where they run.
  virtual uint32_t BeginEvent(const char*, int, int64_t, int64_t) { return 0; }
  virtual void EndEvent(uint32_t, int64_t, int64_t) {}
  virtual void EndEvent(uint32_t) {}
  virtual void AddEvent(const char* tag, int type, uint64_t metric_us, int64_t metadata,
                        int64_t subgraph);
  virtual void AddEventWithData(const char*, int, const void*) {}

 private:
  Probe* probe_;
};

}  // namespace exray

#endif  // EXRAY_PROFILER_H_
