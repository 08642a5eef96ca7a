// exray's own spans, read into columns.
//
// A span that is not just as exray writes it is odd, and left to protobuf's own parser.

#include "abi.h"
#include "wire.h"

namespace exray {
namespace {

constexpr uint32_t kTraceIdTag = 1 << 3 | kBytes, kSpanIdTag = 2 << 3 | kBytes;
constexpr uint32_t kParentTag = 4 << 3 | kBytes, kNameTag = 5 << 3 | kBytes;
constexpr uint32_t kKindTag = 6 << 3 | kVarint;
constexpr uint32_t kStartTag = 7 << 3 | kFixed64, kEndTag = 8 << 3 | kFixed64;
constexpr uint32_t kAttributeTag = 9 << 3 | kBytes, kFlagsTag = 16 << 3 | kFixed32;
constexpr uint8_t kKeyTag = 1 << 3 | kBytes, kValueTag = 2 << 3 | kBytes;
constexpr uint8_t kValueTags[] = {1 << 3 | kBytes, 3 << 3, 3 << 3, 4 << 3 | kFixed64};
constexpr uint8_t kInternal = 1;
constexpr int kMostAttributes = 64;  // of one span: there are fewer known keys

class SpanReader {
 public:
  SpanReader(const uint8_t* data, int64_t count, const Key* keys, int32_t key_count,
             const SpanColumns& columns)
      : data_(data), count_(count), keys_(keys), key_count_(key_count), columns_(columns) {
    for (int32_t& guess : guesses_) guess = 0;
  }

  bool read(int64_t row, Reader in) {
    uint32_t seen = 0;
    int position = 0;
    while (!in.is_done()) {
      uint32_t tag;
      if (!in.tag(&tag)) return false;
      if (tag == kAttributeTag) {
        if (position == kMostAttributes || !read_attribute(row, position++, &in)) return false;
        continue;
      }
      const uint32_t number = tag >> 3;
      if (number > 16 || seen & 1u << number || !read_field(row, tag, &in)) return false;
      seen |= 1u << number;
    }
    constexpr uint32_t kNeeded = 1u << 1 | 1u << 2 | 1u << 6;
    return (seen & kNeeded) == kNeeded;
  }

 private:
  bool read_field(int64_t row, uint32_t tag, Reader* in) {
    Reader content;
    switch (tag) {
      case kTraceIdTag:
        if (!in->bytes(&content) || content.left() != 16) return false;
        columns_.trace_ids[2 * row] = word_at(content.at);
        columns_.trace_ids[2 * row + 1] = word_at(content.at + 8);
        return true;
      case kSpanIdTag:
        if (!in->bytes(&content) || content.left() != 8) return false;
        columns_.span_ids[row] = word_at(content.at);
        return true;
      case kParentTag:
        if (!in->bytes(&content) || content.left() != 8) return false;
        columns_.parents[row] = word_at(content.at);
        columns_.has_parent[row] = 1;
        return true;
      case kNameTag:
        if (!in->bytes(&content)) return false;
        columns_.names[row] = content.at - data_;
        columns_.name_sizes[row] = static_cast<int64_t>(content.left());
        return true;
      case kKindTag:
        return !in->is_done() && *in->at++ == kInternal;
      case kStartTag:
        return read_word(in, &columns_.starts[row]);
      case kEndTag:
        return read_word(in, &columns_.ends[row]);
      case kFlagsTag:
        return in->skip(4);
      default:
        return false;
    }
  }

  static bool read_word(Reader* in, uint64_t* word) {
    if (in->left() < 8) return false;
    *word = word_at(in->at);
    in->at += 8;
    return true;
  }

  // Reads the attribute at `position` among those of its span.
  bool read_attribute(int64_t row, int position, Reader* in) {
    Reader pair, name, value;
    if (!in->bytes(&pair)) return false;
    if (pair.is_done() || *pair.at++ != kKeyTag || !pair.bytes(&name)) return false;
    if (pair.is_done() || *pair.at++ != kValueTag || !pair.bytes(&value)) return false;
    if (!pair.is_done() || value.is_done()) return false;
    const int32_t key = find(name, position);
    if (key < 0) return false;
    const int64_t bit = static_cast<int64_t>(uint64_t{1} << key);
    if (columns_.masks[row] & bit) return false;
    columns_.masks[row] |= bit;
    const uint8_t kind = keys_[key].kind;
    if (*value.at++ != kValueTags[kind]) return false;
    return read_value(kind, key * count_ + row, value);
  }

  bool read_value(uint8_t kind, int64_t cell, Reader value) {
    if (kind == kText) {
      Reader text;
      if (!value.bytes(&text) || !value.is_done() || text.left() > INT32_MAX) return false;
      columns_.values[cell] = text.at - data_;
      columns_.sizes[cell] = static_cast<int32_t>(text.left());
      return true;
    }
    uint64_t number;
    const bool found = kind == kReal ? read_word(&value, &number) : value.varint(&number);
    if (!found || !value.is_done()) return false;
    const int64_t signed_number = static_cast<int64_t>(number);
    if (kind == kSmall && (signed_number < INT32_MIN || signed_number > INT32_MAX)) return false;
    columns_.values[cell] = signed_number;
    return true;
  }

  // Returns the number of a key, -1 for one that there is not. Spans of a model's layers have
  // their attributes in one order: the key after this position's last one is tried first.
  int32_t find(Reader name, int position) {
    if (is_key(guesses_[position], name)) return guesses_[position];
    for (int32_t key = 0; key < key_count_; ++key) {
      if (is_key(key, name)) return guesses_[position] = key;
    }
    return -1;
  }

  bool is_key(int32_t key, Reader name) const {
    const uint64_t size = static_cast<uint64_t>(keys_[key].size);
    return size == name.left() && std::memcmp(keys_[key].name, name.at, size) == 0;
  }

  const uint8_t* data_;
  int64_t count_;
  const Key* keys_;
  int32_t key_count_;
  const SpanColumns& columns_;
  int32_t guesses_[kMostAttributes];
};

constexpr uint8_t kSpanTag = 2 << 3 | kBytes;

}  // namespace
}  // namespace exray

int64_t exray_otlp_places(const uint8_t* data, int64_t begin, int64_t end, int64_t capacity,
                          int64_t* begins, int64_t* ends, int64_t* count) {
  exray::Reader in{data + begin, data + end};
  *count = 0;
  while (*count < capacity && in.left() > 1 && *in.at == exray::kSpanTag) {
    ++in.at;
    exray::Reader span;
    if (!in.bytes(&span)) return -1;
    begins[*count] = span.at - data;
    ends[(*count)++] = span.end - data;
  }
  return in.at - data;
}

void exray_otlp_spans(const uint8_t* data, const int64_t* begins, const int64_t* ends,
                      int64_t count, const exray::Key* keys, int32_t key_count,
                      const exray::SpanColumns* columns) {
  exray::SpanReader reader(data, count, keys, key_count, *columns);
  for (int64_t row = 0; row < count; ++row) {
    const exray::Reader span{data + begins[row], data + ends[row]};
    if (!reader.read(row, span)) columns->odd[row] = 1;
  }
}
