// Protobuf's wire format, read with bounds: what is not just as expected is not read.
#pragma once

#include <cstdint>
#include <cstring>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as they lie in memory");

namespace exray {

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

inline uint64_t word_at(const uint8_t* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

inline uint32_t half_at(const uint8_t* at) {
  uint32_t half;
  std::memcpy(&half, at, sizeof(half));
  return half;
}

// A message's bytes from `at` to `end`, of which nothing is read beyond `end`.
struct Reader {
  const uint8_t* at;
  const uint8_t* end;

  bool is_done() const { return at == end; }
  uint64_t left() const { return static_cast<uint64_t>(end - at); }

  // Reads a field's tag of one or two bytes: numbers up to 2047.
  bool tag(uint32_t* value) {
    if (at == end) return false;
    uint32_t first = *at++;
    if (first < 0x80) {
      *value = first;
      return true;
    }
    if (at == end || *at >= 0x80) return false;
    *value = (first & 0x7F) | static_cast<uint32_t>(*at++) << 7;
    return true;
  }

  // Reads a tag of one byte if it is this one.
  bool follows(uint32_t tag) {
    if (at == end || *at != tag || tag >= 0x80) return false;
    ++at;
    return true;
  }

  // Reads a varint of up to ten bytes.
  bool varint(uint64_t* value) {
    uint64_t found = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      if (at == end) return false;
      const uint64_t byte = *at++;
      if (shift == 63 && byte > 1) return false;
      found |= (byte & 0x7F) << shift;
      if (byte < 0x80) {
        *value = found;
        return true;
      }
    }
    return false;
  }

  // Reads a length, and makes `content` the bytes that it announces.
  bool bytes(Reader* content) {
    uint64_t size;
    if (at != end && *at < 0x80) {
      size = *at++;
    } else if (!varint(&size)) {
      return false;
    }
    if (size > left()) return false;
    content->at = at;
    content->end = at += size;
    return true;
  }

  // Reads a field of bytes of number below 16, at most some 16 kB.
  bool short_field(uint8_t number, Reader* content) {
    if (left() < 2 || at[0] != (number << 3 | kBytes)) return false;
    uint64_t size = at[1];
    const uint8_t* begin = at + 2;
    if (size >= 0x80) {
      if (left() < 3 || at[2] >= 0x80) return false;
      size = (size & 0x7F) | static_cast<uint64_t>(at[2]) << 7;
      begin = at + 3;
    }
    if (size > static_cast<uint64_t>(end - begin)) return false;
    content->at = begin;
    content->end = at = begin + size;
    return true;
  }

  bool skip(uint64_t size) {
    if (size > left()) return false;
    at += size;
    return true;
  }
};

// Tells whether bytes are ASCII. Words that overlap stand for a loop over what is left of the
// last one: most texts are short, and where such a loop ends is what a processor guesses wrong.
inline bool is_ascii(const uint8_t* at, const uint8_t* end) {
  constexpr uint64_t kTops = 0x8080808080808080u;
  const int64_t size = end - at;
  if (size > 16) {
    uint64_t seen = word_at(end - 8) | word_at(end - 16);
    for (; end - at > 32; at += 32) {
      seen |= word_at(at) | word_at(at + 8) | word_at(at + 16) | word_at(at + 24);
    }
    if (end - at > 16) seen |= word_at(at) | word_at(at + 8);
    return !(seen & kTops);
  }
  if (size >= 8) return !((word_at(at) | word_at(end - 8)) & kTops);
  if (size >= 4) return !((half_at(at) | half_at(end - 4)) & 0x80808080u);
  return size == 0 || (at[0] | at[size / 2] | end[-1]) < 0x80;
}

// Tells whether bytes are UTF-8: no surrogates, nothing above U+10FFFF, nothing longer than
// it need be.
inline bool is_utf8(const uint8_t* at, const uint8_t* end) {
  if (is_ascii(at, end)) return true;
  while (at != end) {
    if (end - at >= 8 && !(word_at(at) & 0x8080808080808080u)) {
      at += 8;
      continue;
    }
    const uint8_t first = *at++;
    if (first < 0x80) continue;
    int more;
    uint8_t least = 0x80, most = 0xBF;  // of the second byte
    if (first >= 0xC2 && first <= 0xDF) {
      more = 1;
    } else if (first >= 0xE0 && first <= 0xEF) {
      more = 2;
      if (first == 0xE0) least = 0xA0;
      if (first == 0xED) most = 0x9F;
    } else if (first >= 0xF0 && first <= 0xF4) {
      more = 3;
      if (first == 0xF0) least = 0x90;
      if (first == 0xF4) most = 0x8F;
    } else {
      return false;
    }
    if (end - at < more) return false;
    if (*at < least || *at > most) return false;
    for (int i = 1; i < more; ++i) {
      if ((at[i] & 0xC0) != 0x80) return false;
    }
    at += more;
  }
  return true;
}

}  // namespace exray
