// Whether a request is sound, by a table of its messages.
//
// Whatever is unusual (a field of an unknown number or another wire type, one given twice, a
// group, deep nesting) is left to protobuf's own parser: to say no here costs time, to say
// yes to what it refuses would put a request into the log that cannot be read.

#include "abi.h"
#include "wire.h"

namespace exray {
namespace {

constexpr int kMostDepth = 32;

class Checker {
 public:
  Checker(const Message* messages, const Field* fields, const Limits& limits)
      : messages_(messages), fields_(fields), limits_(limits) {}

  uint64_t records() const { return records_; }

  bool check(int32_t type, Reader in, int depth) {
    if (depth > kMostDepth) return false;
    const Message& message = messages_[type];
    if (message.is_record && ++records_ > limits_.records) return false;
    uint64_t seen = 0, attributes = 0;
    uint32_t roles = 0;
    while (!in.is_done()) {
      uint32_t tag;
      if (!in.tag(&tag)) return false;
      const uint32_t number = tag >> 3, wire = tag & 7;
      if (number >= static_cast<uint32_t>(message.count)) return false;
      const Field& field = fields_[message.first + number];
      if (field.once != kRepeated) {
        const uint64_t bit = uint64_t{1} << field.once;
        if (seen & bit) return false;
        seen |= bit;
      }
      roles |= 1u << field.role;
      if (field.role == kAttribute && wire == kBytes) {
        if (!check_attributes(field, tag, &in, &attributes, depth)) return false;
      } else if (wire == kBytes) {
        Reader content;
        if (!in.bytes(&content) || !check_bytes(field, content, depth)) return false;
      } else if (!skip_number(field.kind, wire, &in)) {
        return false;
      }
    }
    constexpr uint32_t kNeeded = 1u << kTraceId | 1u << kSpanId;
    return !message.needs_ids || (roles & kNeeded) == kNeeded;
  }

 private:
  // What an attribute may hold for its soundness to be told at a glance: a text as its field 1
  // and a message of one simple field as its field 2. None where its message is another.
  struct Values {
    const Field* fields = nullptr;
    uint32_t count = 0;
  };

  Values values_of(int32_t type) const {
    const Message& pair = messages_[type];
    if (pair.is_record || pair.count < 3) return {};
    const Field *key = &fields_[pair.first + 1], *value = key + 1;
    if (key->kind != kTextField || value->kind != kMessageField) return {};
    const Message& message = messages_[value->message];
    if (message.is_record) return {};
    return {&fields_[message.first], static_cast<uint32_t>(message.count)};
  }

  // Checks the attributes that follow one another: they are nearly all of a request.
  bool check_attributes(const Field& field, uint32_t tag, Reader* in, uint64_t* attributes,
                        int depth) {
    if (field.kind != kMessageField) return false;
    const Values values = values_of(field.message);
    do {
      Reader content;
      if (!in->bytes(&content) || ++*attributes > limits_.attributes) return false;
      if (content.left() > limits_.attribute_bytes) return false;
      if (!is_simple_pair(values, content) && !check(field.message, content, depth + 1)) {
        return false;
      }
    } while (field.once == kRepeated && in->follows(tag));
    return true;
  }

  // Tells at a glance that an attribute is sound. False says nothing.
  static bool is_simple_pair(const Values& values, Reader in) {
    Reader key, value;
    return in.short_field(1, &key) && in.short_field(2, &value) && in.is_done() &&
           is_ascii(key.at, key.end) && is_simple_value(values, value);
  }

  static bool is_simple_value(const Values& values, Reader in) {
    if (in.is_done()) return false;
    const uint32_t tag = *in.at++, number = tag >> 3;
    if (tag >= 0x80 || number >= values.count) return false;
    const uint8_t kind = values.fields[number].kind;
    if ((tag & 7) != kBytes) return skip_number(kind, tag & 7, &in) && in.is_done();
    Reader text;
    return kind == kTextField && in.bytes(&text) && in.is_done() && is_ascii(text.at, text.end);
  }

  bool check_bytes(const Field& field, Reader content, int depth) {
    switch (field.kind) {
      case kTextField:
        return is_utf8(content.at, content.end);
      case kBytesField:
        return fits(field.role, content);
      case kMessageField:
        if (field.role != kNoRole && content.left() > limits_.attribute_bytes) return false;
        return check(field.message, content, depth + 1);
      case kVarintList: {
        uint64_t value;
        while (!content.is_done()) {
          if (!content.varint(&value)) return false;
        }
        return true;
      }
      case kFixed64List:
        return content.left() % 8 == 0;
      default:
        return false;
    }
  }

  static bool skip_number(uint8_t kind, uint32_t wire, Reader* in) {
    uint64_t value;
    switch (wire) {
      case kVarint:
        return (kind == kVarintField || kind == kVarintList) && in->varint(&value);
      case kFixed64:
        return (kind == kFixed64Field || kind == kFixed64List) && in->skip(8);
      case kFixed32:
        return kind == kFixed32Field && in->skip(4);
      default:
        return false;
    }
  }

  static bool fits(uint8_t role, Reader content) {
    switch (role) {
      case kTraceId:
        return content.left() == 16 && (word_at(content.at) | word_at(content.at + 8)) != 0;
      case kSpanId:
        return content.left() == 8 && word_at(content.at) != 0;
      case kParentId:
        return content.left() == 0 || content.left() == 8;
      default:
        return true;
    }
  }

  const Message* messages_;
  const Field* fields_;
  const Limits& limits_;
  uint64_t records_ = 0;
};

}  // namespace
}  // namespace exray

int exray_otlp_check(const uint8_t* data, int64_t size, const exray::Message* messages,
                     const exray::Field* fields, const exray::Limits* limits, uint64_t* records) {
  exray::Checker checker(messages, fields, *limits);
  if (!checker.check(0, {data, data + size}, 0)) return 0;
  *records = checker.records();
  return 1;
}
