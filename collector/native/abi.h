// What the library exports, for Python's ctypes.
//
// Nothing here allocates, locks or calls the system, and no function keeps anything.
#pragma once

#include <cstdint>

#define EXRAY_EXPORT __attribute__((visibility("default")))

namespace exray {

// Raised with every change of an exported function or structure, here and in
// native_library.py.
constexpr int kOtlpAbiVersion = 2;

enum FieldKind : uint8_t {
  kUnknownField = 0,
  kVarintField = 1,
  kFixed32Field = 2,
  kFixed64Field = 3,
  kTextField = 4,
  kBytesField = 5,
  kMessageField = 6,
  kVarintList = 7,   // packed or not
  kFixed64List = 8,  // packed or not
};

enum FieldRole : uint8_t {
  kNoRole = 0,
  kTraceId = 1,
  kSpanId = 2,
  kParentId = 3,
  kAttribute = 4,  // counted, and of limited size
  kBody = 5,       // of limited size
};

constexpr uint8_t kRepeated = 0xFF;

// A field of a message, by its number.
struct Field {
  uint8_t kind;
  uint8_t role;
  uint8_t once;  // fields of one message with the same number here exclude each other
  uint8_t reserved;
  int32_t message;  // of a message: its number in the table
};

// A type of message: its fields stand at `first`, in order of their numbers from 0.
struct Message {
  int32_t first;
  int32_t count;
  uint8_t is_record;  // a span, a data point or a log record
  uint8_t needs_ids;  // a span
  uint16_t reserved;
};

struct Limits {
  uint64_t records;
  uint64_t attributes;
  uint64_t attribute_bytes;
};

// An attribute that exray's own spans have.
struct Key {
  const uint8_t* name;
  int32_t size;
  uint8_t kind;  // KeyKind
};

enum KeyKind : uint8_t { kText = 0, kInteger = 1, kSmall = 2, kReal = 3 };

// What spans say, a row for each. Tables of attributes have a column for each key, one
// behind the other: attribute `key` of span `row` stands at `key * count + row`.
struct SpanColumns {
  uint8_t* odd;         // nothing else of the span may be believed
  uint64_t* trace_ids;  // two words each
  uint64_t* span_ids;
  uint64_t* parents;
  uint8_t* has_parent;
  uint64_t* starts;
  uint64_t* ends;
  int64_t* names;  // places in the buffer
  int64_t* name_sizes;
  int64_t* masks;   // bit `key`: the span has it
  int64_t* values;  // numbers, bits of reals, places of texts
  int32_t* sizes;   // bytes of texts
};

}  // namespace exray

extern "C" {

EXRAY_EXPORT int exray_otlp_abi_version();

// Tells whether `data` is a message of type 0 of the table that protobuf's own parser would
// take whole, with every record within the limits and its ids in order. False says nothing:
// such a request is to be parsed. `records` gets their number.
EXRAY_EXPORT int exray_otlp_check(const uint8_t* data, int64_t size, const exray::Message* messages,
                                  const exray::Field* fields, const exray::Limits* limits,
                                  uint64_t* records);

// Finds the spans that follow one another from `begin` on, at most `capacity` of them; `begin`
// and `end` bound them within `data`. Returns where they end, -1 where one is cut short.
EXRAY_EXPORT int64_t exray_otlp_places(const uint8_t* data, int64_t begin, int64_t end,
                                       int64_t capacity, int64_t* begins, int64_t* ends,
                                       int64_t* count);

// Reads spans of a buffer into columns that hold zeros. Every span lies within the buffer.
EXRAY_EXPORT void exray_otlp_spans(const uint8_t* data, const int64_t* begins, const int64_t* ends,
                                   int64_t count, const exray::Key* keys, int32_t key_count,
                                   const exray::SpanColumns* columns);

// Copies texts one behind the other, where the first `used` bytes of `out` are taken; writes
// the place behind each. Returns the first that is not UTF-8, -1 for none.
EXRAY_EXPORT int64_t exray_otlp_texts(const uint8_t* data, const int64_t* places,
                                      const int32_t* sizes, int64_t count, int32_t* offsets,
                                      uint8_t* out);

// Decodes base64 of `size` floats each, behind a prefix; writes whether each is one.
EXRAY_EXPORT void exray_otlp_floats(const uint8_t* data, const int64_t* places, int64_t count,
                                    const uint8_t* prefix, int32_t prefix_size, int32_t size,
                                    float* out, uint8_t* good);

// Reads ids of 16 hex digits; writes whether each is one.
EXRAY_EXPORT void exray_otlp_hex_ids(const uint8_t* data, const int64_t* places, int64_t count,
                                     uint64_t* out, uint8_t* good);
}
