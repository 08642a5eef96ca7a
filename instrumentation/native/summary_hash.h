// XXH3-64 by the instructions that the including file is compiled for.

#ifndef EXRAY_SUMMARY_HASH_H_
#define EXRAY_SUMMARY_HASH_H_

#include "summary_kernels.h"

#define XXH_INLINE_ALL
// A page ahead, for hardware stops fetching at a page's end: what a network has just written goes
// past the caches to memory, and is read again from there a third faster.
#define XXH_PREFETCH_DIST 4096
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Warray-bounds"  // of what is fetched ahead, and never read
#include "third_party/xxhash.h"
#pragma GCC diagnostic pop

namespace exray {
namespace {

uint64_t hash_parts(const Bytes* parts, size_t count) {
  if (count == 1) return XXH3_64bits(parts->data, parts->size);
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  for (size_t i = 0; i < count; ++i) XXH3_64bits_update(&state, parts[i].data, parts[i].size);
  return XXH3_64bits_digest(&state);
}

}  // namespace
}  // namespace exray

#endif  // EXRAY_SUMMARY_HASH_H_
