// Lets the collector's library read sound requests, and the same with bytes changed.
//
//   otlp_check [requests] [seed]
//
// Each request lies in an allocation of its own size, so that the address sanitizer sees a
// read past its end. What a changed request is said to be is compared with protobuf's own
// parser by the tests in Python; here the sound ones must be recognised, and each kind of
// damage that is listed must not.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "abi.h"
#include "wire.h"

namespace {

int failures = 0;

#define CHECK(condition)                                                   \
  do {                                                                     \
    if (!(condition) && ++failures <= 10) {                                \
      std::printf("FAILED %s:%d %s\n", __FILE__, __LINE__, #condition);    \
    }                                                                      \
  } while (0)

using Random = std::mt19937_64;

// ---- writing ------------------------------------------------------------------------

std::string varint(uint64_t value) {
  std::string text;
  for (; value >= 0x80; value >>= 7) text += static_cast<char>(value | 0x80);
  return text + static_cast<char>(value);
}

std::string delimited(int number, const std::string& content) {
  return varint(static_cast<uint64_t>(number) << 3 | 2) + varint(content.size()) + content;
}

std::string word(int number, uint64_t value) {
  std::string text = varint(static_cast<uint64_t>(number) << 3 | 1);
  text.append(reinterpret_cast<const char*>(&value), 8);
  return text;
}

std::string attribute(const std::string& key, const std::string& value) {
  return delimited(9, delimited(1, key) + delimited(2, value));
}

const std::string kSketch = "cs1:" + std::string("AACAPwAAAEA=");  // 1.0, 2.0

std::string span_of(Random& random) {
  std::string text = delimited(1, "0123456789abcdef") + delimited(2, "01234567");
  if (random() % 2) text += delimited(4, "89abcdef");
  text += delimited(5, "conv") + std::string("\x30\x01") + word(7, random()) + word(8, random());
  text += attribute("text", delimited(1, random() % 2 ? "caf\xC3\xA9" : "plain words, rather long"));
  text += attribute("whole", varint(3 << 3) + varint(random() >> (random() % 64)));
  text += attribute("small", varint(3 << 3) + varint(random() % 1000));
  text += attribute("real", word(4, random()));
  text += attribute("id", delimited(1, "00ff00ff00ff00fF"));
  return text + attribute("sketch", delimited(1, kSketch));
}

// ---- a table of these messages --------------------------------------------------------

using exray::Field;
using exray::Message;

Field field(uint8_t kind, uint8_t once = exray::kRepeated, uint8_t role = 0, int32_t message = 0) {
  return {kind, role, once, 0, message};
}

const Field kNone = field(exray::kUnknownField);
const std::vector<Field> kFields = {
    kNone, field(exray::kMessageField, exray::kRepeated, 0, 1),  // 0: request
    kNone, field(exray::kTextField, 0, 0), field(exray::kMessageField, exray::kRepeated, 0, 2),
    // 2: span
    kNone, field(exray::kBytesField, 0, exray::kTraceId), field(exray::kBytesField, 1, exray::kSpanId),
    kNone, field(exray::kBytesField, 2, exray::kParentId), field(exray::kTextField, 3),
    field(exray::kVarintField, 4), field(exray::kFixed64Field, 5), field(exray::kFixed64Field, 6),
    field(exray::kMessageField, exray::kRepeated, exray::kAttribute, 3),
    // 3: attribute
    kNone, field(exray::kTextField, 0), field(exray::kMessageField, 1, 0, 4),
    // 4: value
    kNone, field(exray::kTextField, 0), kNone, field(exray::kVarintField, 0),
    field(exray::kFixed64Field, 0)};
const std::vector<Message> kMessages = {
    {0, 2, 0, 0, 0}, {2, 3, 0, 0, 0}, {5, 10, 1, 1, 0}, {15, 3, 0, 0, 0}, {18, 5, 0, 0, 0}};

// An allocation of just the bytes of a text.
std::unique_ptr<uint8_t[]> alone(const std::string& text) {
  std::unique_ptr<uint8_t[]> bytes(new uint8_t[text.size()]);
  std::memcpy(bytes.get(), text.data(), text.size());
  return bytes;
}

bool is_sound(const std::string& request, uint64_t* records, exray::Limits limits = {100, 8, 1000}) {
  const auto bytes = alone(request);
  return exray_otlp_check(bytes.get(), static_cast<int64_t>(request.size()), kMessages.data(),
                          kFields.data(), &limits, records) != 0;
}

std::string request_of(const std::string& spans) { return delimited(1, delimited(1, "shelf") + spans); }

void check_requests(Random& random) {
  const std::string span = span_of(random), spans = delimited(2, span) + delimited(2, span_of(random));
  uint64_t records = 0;
  CHECK(is_sound(request_of(spans), &records) && records == 2);
  CHECK(is_sound("", &records) && records == 0);
  CHECK(!is_sound(request_of(spans), &records, {1, 8, 1000}));
  CHECK(!is_sound(request_of(spans), &records, {100, 5, 1000}));
  CHECK(!is_sound(request_of(spans), &records, {100, 8, 20}));
  const std::string zero = delimited(1, std::string(16, '\0')) + delimited(2, "01234567");
  CHECK(!is_sound(request_of(delimited(2, zero)), &records));
  CHECK(!is_sound(request_of(delimited(2, delimited(1, "0123456789abcdef"))), &records));
  CHECK(!is_sound(request_of(delimited(2, span + span)), &records));
  CHECK(!is_sound(request_of(delimited(2, span + varint(99 << 3) + "\x01")), &records));
  CHECK(!is_sound(delimited(1, delimited(1, "\xC0\x80")), &records));
  const std::string whole = request_of(spans);
  CHECK(!is_sound(whole.substr(0, whole.size() - 1), &records));
}

// ---- columns -----------------------------------------------------------------------------

const exray::Key kKeys[] = {
    {reinterpret_cast<const uint8_t*>("text"), 4, exray::kText},
    {reinterpret_cast<const uint8_t*>("whole"), 5, exray::kInteger},
    {reinterpret_cast<const uint8_t*>("small"), 5, exray::kSmall},
    {reinterpret_cast<const uint8_t*>("real"), 4, exray::kReal},
    {reinterpret_cast<const uint8_t*>("id"), 2, exray::kText},
    {reinterpret_cast<const uint8_t*>("sketch"), 6, exray::kText}};
constexpr int kKeyCount = 6;

// Reads one span and whatever it says; returns whether it is as exray writes it.
bool read_span(const std::string& span) {
  const auto bytes = alone(span);
  const int64_t begin = 0, end = static_cast<int64_t>(span.size());
  uint8_t odd = 0, has_parent = 0;
  uint64_t trace[2] = {}, id = 0, parent = 0, start = 0, stop = 0;
  int64_t name = 0, name_size = 0, mask = 0, values[kKeyCount] = {};
  int32_t sizes[kKeyCount] = {};
  const exray::SpanColumns columns = {&odd,  trace, &id,        &parent, &has_parent, &start,
                                      &stop, &name, &name_size, &mask,   values,      sizes};
  exray_otlp_spans(bytes.get(), &begin, &end, 1, kKeys, kKeyCount, &columns);
  if (odd) return false;
  for (int key : {0, 4, 5}) {
    std::vector<uint8_t> text(static_cast<size_t>(sizes[key]) + 1);
    int32_t offsets[2];
    exray_otlp_texts(bytes.get(), &values[key], &sizes[key], 1, offsets, text.data());
    CHECK(offsets[1] == sizes[key]);
  }
  uint64_t found;
  float floats[2];
  uint8_t good;
  if (sizes[4] == 16) exray_otlp_hex_ids(bytes.get(), &values[4], 1, &found, &good);
  if (sizes[5] == 16) {
    exray_otlp_floats(bytes.get(), &values[5], 1, reinterpret_cast<const uint8_t*>("cs1:"), 4, 2,
                      floats, &good);
  }
  return mask == 63;
}

std::string changed(Random& random, std::string text) {
  for (uint64_t left = 1 + random() % 3; left > 0 && !text.empty(); --left) {
    const size_t at = random() % text.size();
    switch (random() % 4) {
      case 0: text[at] = static_cast<char>(random()); break;
      case 1: text.resize(at); break;
      case 2: text.erase(at, 1 + random() % 8); break;
      default: text.insert(at, 1 + random() % 4, static_cast<char>(random()));
    }
  }
  return text;
}

// Finds the spans of a list of them, changed or not.
int64_t places_in(const std::string& spans, int64_t capacity, int64_t* count) {
  const auto bytes = alone(spans);
  std::vector<int64_t> begins(static_cast<size_t>(capacity)), ends(begins);
  return exray_otlp_places(bytes.get(), 0, static_cast<int64_t>(spans.size()), capacity,
                           begins.data(), ends.data(), count);
}

void check_places(Random& random) {
  const std::string one = delimited(2, span_of(random)), spans = one + delimited(2, span_of(random));
  const int64_t size = static_cast<int64_t>(spans.size());
  int64_t count = 0;
  CHECK(places_in(spans, 9, &count) == size && count == 2);
  CHECK(places_in(spans, 1, &count) == static_cast<int64_t>(one.size()) && count == 1);
  CHECK(places_in(spans + delimited(3, "https://x"), 9, &count) == size && count == 2);
  CHECK(places_in(spans.substr(0, spans.size() - 1), 9, &count) == -1);
  places_in(changed(random, spans), 9, &count);
}

void check_columns() {
  const uint8_t* text = reinterpret_cast<const uint8_t*>(kSketch.data());
  const int64_t place = 0;
  float floats[2];
  uint8_t good = 0;
  const uint8_t* prefix = reinterpret_cast<const uint8_t*>("cs1:");
  exray_otlp_floats(text, &place, 1, prefix, 4, 2, floats, &good);
  CHECK(good && floats[0] == 1.0f && floats[1] == 2.0f);
  const uint8_t* id = reinterpret_cast<const uint8_t*>("0001020304050eFf");
  uint64_t found = 0;
  exray_otlp_hex_ids(id, &place, 1, &found, &good);
  CHECK(good && found == 0xFF0E050403020100u);
}

}  // namespace

int main(int argc, char** argv) {
  const int requests = argc > 1 ? std::atoi(argv[1]) : 2000;
  Random random(argc > 2 ? static_cast<uint64_t>(std::atoi(argv[2])) : 1);
  check_columns();
  int sound = 0;
  for (int i = 0; i < requests; ++i) {
    check_requests(random);
    check_places(random);
    const std::string span = span_of(random);
    CHECK(read_span(span));
    CHECK(!read_span(span + span));
    read_span(changed(random, span));
    uint64_t records;
    sound += is_sound(changed(random, request_of(delimited(2, span))), &records);
  }
  CHECK(sound > 0 && sound < requests);  // some changes leave a request sound
  std::printf("%d requests, %d of the changed ones sound, %d failures\n", requests, sound, failures);
  return failures ? 1 : 0;
}
