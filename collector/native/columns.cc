// What stands at many places of a buffer, as columns.

#include "abi.h"
#include "wire.h"

namespace exray {
namespace {

constexpr uint8_t kNoDigit = 0xFF;

struct Digits {
  uint8_t base64[256];
  uint8_t hex[256];

  constexpr Digits() : base64(), hex() {
    for (int i = 0; i < 256; ++i) base64[i] = hex[i] = kNoDigit;
    for (int i = 0; i < 26; ++i) {
      base64['A' + i] = static_cast<uint8_t>(i);
      base64['a' + i] = static_cast<uint8_t>(26 + i);
    }
    for (int i = 0; i < 10; ++i) {
      base64['0' + i] = static_cast<uint8_t>(52 + i);
      hex['0' + i] = static_cast<uint8_t>(i);
    }
    base64['+'] = 62;
    base64['/'] = 63;
    for (int i = 0; i < 6; ++i) {
      hex['a' + i] = hex['A' + i] = static_cast<uint8_t>(10 + i);
    }
  }
};

constexpr Digits kDigits;

// Decodes base64 of `size` bytes, padded as RFC 4648 has it.
bool decode_base64(const uint8_t* in, int32_t size, uint8_t* out) {
  const uint8_t* const digit = kDigits.base64;
  uint8_t bad = 0;
  int32_t done = 0;
  for (; done + 3 <= size; done += 3, in += 4) {
    const uint8_t a = digit[in[0]], b = digit[in[1]], c = digit[in[2]], d = digit[in[3]];
    bad |= a | b | c | d;
    out[done] = static_cast<uint8_t>(a << 2 | b >> 4);
    out[done + 1] = static_cast<uint8_t>(b << 4 | c >> 2);
    out[done + 2] = static_cast<uint8_t>(c << 6 | d);
  }
  if (done < size) {
    const bool has_two = size - done == 2;
    const uint8_t a = digit[in[0]], b = digit[in[1]], c = has_two ? digit[in[2]] : 0;
    bad |= a | b | c;
    out[done] = static_cast<uint8_t>(a << 2 | b >> 4);
    if (has_two) out[done + 1] = static_cast<uint8_t>(b << 4 | c >> 2);
    if (in[3] != '=' || (!has_two && in[2] != '=')) return false;
  }
  return bad < 64;
}

}  // namespace
}  // namespace exray

int64_t exray_otlp_texts(const uint8_t* data, const int64_t* places, const int32_t* sizes,
                         int64_t count, int32_t* offsets, uint8_t* out) {
  int64_t bad = -1;
  int32_t used = 0;
  offsets[0] = 0;
  for (int64_t row = 0; row < count; ++row) {
    const int32_t size = sizes[row];
    if (size > 0) {
      const uint8_t* text = data + places[row];
      if (bad < 0 && !exray::is_utf8(text, text + size)) bad = row;
      std::memcpy(out + used, text, static_cast<size_t>(size));
      used += size;
    }
    offsets[row + 1] = used;
  }
  return bad;
}

void exray_otlp_floats(const uint8_t* data, const int64_t* places, int64_t count,
                       const uint8_t* prefix, int32_t prefix_size, int32_t size, float* out,
                       uint8_t* good) {
  for (int64_t row = 0; row < count; ++row) {
    const uint8_t* text = data + places[row];
    uint8_t* bytes = reinterpret_cast<uint8_t*>(out + row * size);
    good[row] = std::memcmp(text, prefix, static_cast<size_t>(prefix_size)) == 0 &&
                exray::decode_base64(text + prefix_size, 4 * size, bytes);
  }
}

void exray_otlp_hex_ids(const uint8_t* data, const int64_t* places, int64_t count, uint64_t* out,
                        uint8_t* good) {
  const uint8_t* const digit = exray::kDigits.hex;
  for (int64_t row = 0; row < count; ++row) {
    const uint8_t* text = data + places[row];
    uint8_t bytes[8], bad = 0;
    for (int i = 0; i < 8; ++i) {
      const uint8_t high = digit[text[2 * i]], low = digit[text[2 * i + 1]];
      bad |= high | low;
      bytes[i] = static_cast<uint8_t>(high << 4 | (low & 15));
    }
    std::memcpy(&out[row], bytes, sizeof(bytes));
    good[row] = bad < 16;
  }
}
