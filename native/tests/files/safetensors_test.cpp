// Headers that nobody checked. What files hold is tested where tensors are made of them.
#include "files/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "refusal_of.h"

namespace mlxnx::files {
namespace {

using namespace std::string_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

std::string with_length(std::uint64_t length, const std::string& rest) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(length >> (8 * i) & 0xff);
  return bytes + rest;
}

// The file with a header and `size` bytes of elements.
std::string file_of(const std::string& header, std::size_t size = 0) {
  return with_length(header.size(), header + std::string(size, 'x'));
}

std::string entry(const std::string& name, const std::string& shape, std::uint64_t first,
                  std::uint64_t last, const std::string& type = "F32") {
  return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":[" +
         std::to_string(first) + "," + std::to_string(last) + "]}";
}

std::string refusal(const std::string& file) {
  return refusal_of([&] { parse_safetensors(bytes_of(file)); });
}

std::vector<std::string> names_of(const std::string& file) {
  std::vector<std::string> names;
  for (const StoredTensor& tensor : parse_safetensors(bytes_of(file)).tensors)
    names.push_back(tensor.name);
  return names;
}

TEST(SafetensorsHeader, TellsWhereTensorsLie) {
  const std::string file = file_of("{" + entry("b", "[2]", 4, 12) + "," + entry("a", "[]", 0, 4) +
                                       ",\"__metadata__\":{\"format\":\"pt\"}," +
                                       entry("c", "[3]", 12, 15, "BOOL") + "}  ",
                                   15);
  const SafetensorsHeader header = parse_safetensors(bytes_of(file));
  EXPECT_THAT(header.metadata, ElementsAre(std::pair("format"s, "pt"s)));
  EXPECT_THAT(names_of(file), ElementsAre("a", "b", "c"));
  EXPECT_EQ(header.tensors[1].shape, (Shape{2}));
  EXPECT_EQ(header.tensors[1].offset, file.size() - 11);
  EXPECT_EQ(header.tensors[2].type, StoredType::kBool);
  EXPECT_EQ(refusal(file_of("{}")), "taken");
  // What the format does not know may stand beside what it does.
  EXPECT_EQ(
      refusal(file_of(R"({"a":{"dtype":"U8","note":"x","shape":[],"data_offsets":[0,1]}})", 1)),
      "taken");
}

TEST(SafetensorsHeader, RefusesTensorsThatOverlap) {
  EXPECT_EQ(
      refusal(file_of("{" + entry("a", "[2]", 0, 8) + "," + entry("b", "[2]", 4, 12) + "}", 12)),
      "tensor \"b\" begins at byte 4, and the tensors before it end at 8");
  EXPECT_THAT(
      refusal(file_of("{" + entry("a", "[2]", 0, 8) + "," + entry("b", "[2]", 0, 8) + "}", 8)),
      HasSubstr("tensor \"b\" begins at byte 0"));
}

TEST(SafetensorsHeader, RefusesGaps) {
  EXPECT_THAT(
      refusal(file_of("{" + entry("a", "[]", 0, 4) + "," + entry("b", "[]", 8, 12) + "}", 12)),
      HasSubstr("tensor \"b\" begins at byte 8, and the tensors before it end at 4"));
  EXPECT_THAT(refusal(file_of("{" + entry("a", "[]", 4, 8) + "}", 8)),
              HasSubstr("begins at byte 4"));
  EXPECT_EQ(refusal(file_of("{" + entry("a", "[]", 0, 4) + "}", 5)),
            "5 bytes of elements, and the tensors end at 4");
  EXPECT_EQ(refusal(file_of("{}", 1)), "1 bytes of elements, and the tensors end at 0");
}

TEST(SafetensorsHeader, RefusesTensorsOutOfTheFile) {
  EXPECT_EQ(refusal(file_of("{" + entry("a", "[]", 0, 4) + "}", 3)),
            "tensor \"a\": f32{} lies at 0 to 4 of 3 bytes");
  const auto at = [](std::uint64_t first, std::uint64_t last) {
    return refusal(file_of("{" + entry("a", "[]", first, last) + "}", 4));
  };
  EXPECT_EQ(at(0, 4), "taken");
  EXPECT_THAT(at(4, 0), HasSubstr("lies at 4 to 0"));
  EXPECT_THAT(at(0, 3), HasSubstr("lies at 0 to 3"));
  EXPECT_THAT(at(~0ull - 3, ~0ull), HasSubstr("lies at"));
  EXPECT_THAT(at(1ull << 63, (1ull << 63) + 4), HasSubstr("lies at"));
  EXPECT_THAT(at(~0ull, 3), HasSubstr("lies at"));
}

TEST(SafetensorsHeader, RefusesLengthsThatLie) {
  const std::string header = "{" + entry("a", "[]", 0, 4) + "}";
  EXPECT_THAT(refusal(with_length(~0ull, header)), StartsWith("a header of 18446744073709551615"));
  EXPECT_THAT(refusal(with_length(1ull << 63, header)),
              StartsWith("a header of 9223372036854775808"));
  EXPECT_THAT(refusal(with_length(header.size() + 5, header + "abcd")), StartsWith("a header of"));
  EXPECT_THAT(refusal(with_length(header.size() - 1, header + "abcd")), HasSubstr("no JSON"));
  EXPECT_THAT(refusal(with_length(header.size() + 1, header + "abcde")), HasSubstr("no JSON"));
  EXPECT_THAT(refusal(with_length(0, header)), HasSubstr("no JSON"));
}

TEST(SafetensorsHeader, RefusesFilesWhereverTheyAreCutShort) {
  const std::string file =
      file_of("{" + entry("a", "[2]", 0, 8) + "," + entry("b", "[]", 8, 12) + "}", 12);
  ASSERT_EQ(refusal(file), "taken");
  for (std::size_t size = 0; size < file.size(); ++size)
    EXPECT_NE(refusal(file.substr(0, size)), "taken") << size;
  for (std::size_t size = 0; size < file.size(); ++size)
    EXPECT_NE(refusal(with_length(size, file.substr(8, size))), "taken") << size;
}

TEST(SafetensorsHeader, FollowsNoNesting) {
  const std::size_t depth = 10'000'000;
  EXPECT_EQ(refusal(file_of(std::string(depth, '['))), "the header is a list");
  std::string objects;
  for (std::size_t i = 0; i < depth / 10; ++i) objects += "{\"a\":";
  EXPECT_EQ(refusal(file_of(objects)), "tensor \"a\": a is an object");
  EXPECT_EQ(refusal(file_of("{\"a\":{\"shape\":" + std::string(depth, '['))),
            "tensor \"a\": shape is a list");
  EXPECT_EQ(refusal(file_of("{\"a\":{\"note\":" + std::string(depth, '['))),
            "tensor \"a\": note is a list");
}

TEST(SafetensorsHeader, RefusesNamesAndKeysThatStandTwice) {
  EXPECT_EQ(refusal(file_of("{" + entry("a", "[]", 0, 4) + "," + entry("b", "[]", 4, 8) + "," +
                                entry("a", "[]", 8, 12) + "}",
                            12)),
            "\"a\" stands twice in the header");
  EXPECT_EQ(
      refusal(file_of("{" + entry("a", "[0]", 0, 0) + "," + entry("\\u0061", "[0]", 0, 0) + "}")),
      "\"a\" stands twice in the header");
  EXPECT_EQ(refusal(file_of(R"({"__metadata__":{},"__metadata__":{}})")),
            "\"__metadata__\" stands twice in the header");
  EXPECT_THROW(safetensors_header(std::vector<StoredTensor>{{.name = "__metadata__"}}, {}),
               UnsupportedError);
  EXPECT_EQ(refusal(file_of(R"({"__metadata__":{"a":"1","a":"2"}})")),
            "__metadata__ has \"a\" twice");
  for (const char* key : {"dtype\":\"U8\"", "shape\":[]", "data_offsets\":[0,1]"}) {
    EXPECT_THAT(refusal(file_of(
                    R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1],")"s + key + "}}", 1)),
                AllOf(StartsWith("tensor \"a\": "), EndsWith(" stands twice")))
        << key;
  }
}

TEST(SafetensorsHeader, RefusesNumbersThatCountNothing) {
  for (const char* shape : {"[-1]", "[1.0]", "[1e0]", "[0.5]", "[true]", "[null]", "[\"1\"]",
                            "[[1]]", "[{}]", "1", "{}", "\"[1]\"", "null", "[-0]"}) {
    EXPECT_THAT(refusal(file_of("{" + entry("a", shape, 0, 4) + "}", 4)),
                StartsWith("tensor \"a\": shape "))
        << shape;
  }
  const auto offsets = [](const std::string& pair) {
    return refusal(file_of(R"({"a":{"dtype":"F32","shape":[],"data_offsets":)" + pair + "}}", 4));
  };
  EXPECT_EQ(offsets("[0,4]"), "taken");
  for (const char* pair : {"[]", "[0]", "[0,4,4]"})
    EXPECT_EQ(offsets(pair), "tensor \"a\": data_offsets are no pair");
  for (const char* pair : {"[-4,0]", "[0,4.0]", "[0,\"4\"]", "[0,[4]]", "4", "null"})
    EXPECT_THAT(offsets(pair), StartsWith("tensor \"a\": data_offsets is ")) << pair;
  EXPECT_THAT(offsets("[0,99999999999999999999]"), StartsWith("tensor \"a\": data_offsets is "));
  EXPECT_THAT(offsets("[0,1e999]"), HasSubstr("larger than any type holds"));
}

TEST(SafetensorsHeader, RefusesShapesThatCanNotBe) {
  const auto shape = [](const std::string& dimensions, const char* type = "U8") {
    return refusal(file_of("{" + entry("a", dimensions, 0, 0, type) + "}"));
  };
  EXPECT_THAT(shape("[4294967296,4294967296]"), HasSubstr("more elements than can be counted"));
  EXPECT_THAT(shape("[9223372036854775807]", "F64"), HasSubstr("more bytes than can be counted"));
  EXPECT_THAT(shape("[9223372036854775808]"), HasSubstr("a dimension of 9223372036854775808"));
  EXPECT_THAT(shape("[2305843009213693952]", "F64"), HasSubstr("more bytes than can be counted"));
  EXPECT_THAT(shape("[9223372036854775807]"), HasSubstr("lies at 0 to 0"));
  EXPECT_EQ(shape("[0,9223372036854775807,9223372036854775807]"), "taken");
  std::string many = "[0";
  for (int i = 0; i < 254; ++i) many += ",1";
  EXPECT_EQ(shape(many + "]"), "taken");
  EXPECT_EQ(shape(many + ",1]"), "tensor \"a\": shape has more than 255 numbers");
  EXPECT_THROW(
      safetensors_header(std::vector<StoredTensor>{{.name = "a", .shape = Shape(256, 0)}}, {}),
      UnsupportedError);
}

TEST(SafetensorsHeader, RefusesTypesThatItDoesNotKnow) {
  for (const char* type : {"F128", "f32", "", "F32 ", "I128"}) {
    EXPECT_THAT(refusal(file_of("{" + entry("a", "[]", 0, 4, type) + "}", 4)),
                StartsWith("unsupported: tensor \"a\": element type"));
  }
  EXPECT_THAT(refusal(file_of("{" + entry("a", "[]", 0, 4, "F64") + "}", 4)),
              HasSubstr("lies at 0 to 4"));
  for (const char* header : {R"({"a":{"dtype":7,"shape":[],"data_offsets":[0,4]}})",
                             R"({"a":{"dtype":["F32"],"shape":[],"data_offsets":[0,4]}})",
                             R"({"a":{"shape":[],"data_offsets":[0,4]}})",
                             R"({"a":{"dtype":"F32","data_offsets":[0,4]}})",
                             R"({"a":{"dtype":"F32","shape":[]}})", R"({"a":{}})"}) {
    EXPECT_THAT(refusal(file_of(header, 4)), StartsWith("tensor \"a\": ")) << header;
  }
  for (const char* header : {"[]", "7", "\"x\"", "null", "true", "", "nonsense", "{\"a\":1}",
                             "{\"a\":[]}", "{\"__metadata__\":1}", "{\"__metadata__\":{\"a\":1}}",
                             "{\"__metadata__\":{\"a\":{}}}", "{}{}", "{},"}) {
    EXPECT_NE(refusal(file_of(header)), "taken") << header;
  }
}

TEST(SafetensorsHeader, TakesAnyNameForANameAndNothingElse) {
  const auto named = [](const std::string& name) {
    return names_of(file_of("{" + entry(name, "[]", 0, 4) + "}", 4));
  };
  EXPECT_THAT(named("../../etc/passwd"), ElementsAre("../../etc/passwd"));
  EXPECT_THAT(named("/a"), ElementsAre("/a"));
  EXPECT_THAT(named("%s%n%x"), ElementsAre("%s%n%x"));
  EXPECT_THAT(named(""), ElementsAre(""));
  EXPECT_THAT(named("\\u0000a\\u0000"), ElementsAre("\0a\0"s));
  EXPECT_THAT(named("\\ud83d\\ude00"), ElementsAre("\xf0\x9f\x98\x80"));
  EXPECT_THAT(named("__metadata"), ElementsAre("__metadata"));
  // Errors show them as what they are.
  EXPECT_THAT(refusal(file_of("{" + entry("%s\\u001b[31m\\u0000", "[]", 0, 4) + "}", 3)),
              StartsWith("tensor \"%s\\x1b[31m\\x00\": "));
}

TEST(SafetensorsHeader, RefusesNamesThatAreNotUtf8) {
  for (const char* name : {"\xff", "\xc3", "\xc3(", "\xed\xa0\x80", "\xf8\x88\x80\x80\x80",
                           "\\ud800", "\\udc00", "\x01", "\n"}) {
    EXPECT_THAT(refusal(file_of("{" + entry(name, "[]", 0, 4) + "}", 4)), HasSubstr("no JSON"))
        << name;
  }
  EXPECT_THAT(refusal(file_of("{" + entry("a\0b"s, "[]", 0, 4) + "}", 4)), HasSubstr("no JSON"));
  EXPECT_THROW(safetensors_header(std::vector<StoredTensor>{{.name = "\xff"}}, {}), ArgumentError);
  EXPECT_THROW(safetensors_header({}, {{"a", "\xff"}}), ArgumentError);
}

TEST(SafetensorsHeader, HasRoomForTensorsWithoutElements) {
  const std::string file =
      file_of("{" + entry("b", "[0]", 4, 4) + "," + entry("a", "[]", 0, 4) + "," +
                  entry("c", "[2,0]", 0, 0) + "," + entry("d", "[0,7]", 4, 4) + "}",
              4);
  EXPECT_THAT(names_of(file), ElementsAre("c", "a", "b", "d"));
  EXPECT_THAT(
      refusal(file_of("{" + entry("a", "[0]", 2, 2) + "," + entry("b", "[]", 0, 4) + "}", 4)),
      HasSubstr("begins at byte"));
}

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

std::size_t status_bytes(const std::string& what) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(what)) return std::stoull(line.substr(what.size() + 1)) * 1024;
  return 0;
}

// By how much the process grows while it reads so many bytes, in multiples of these.
double growth_of(const std::string& bytes, const char* why) {
  std::ofstream("/proc/self/clear_refs") << 5;  // the peak begins anew
  const std::size_t before = status_bytes("VmRSS");
  const std::clock_t start = std::clock();
  EXPECT_THAT(refusal(bytes), HasSubstr(why));
  EXPECT_LT(std::clock() - start, 10 * CLOCKS_PER_SEC);
  const std::size_t peak = status_bytes("VmHWM");
  EXPECT_GT(peak, bytes.size());
  return static_cast<double>(peak - std::min(peak, before)) / static_cast<double>(bytes.size());
}

TEST(SafetensorsHeader, TakesLittleMoreMemoryThanTheFile) {
  constexpr std::size_t kSize = 33'000'000;
  EXPECT_THAT(refusal(with_length(100'000'001, std::string(100'000'001, ' '))),
              StartsWith("a header of 100000001 bytes"));
  const std::string rest = entry("last", "[]", 0, 4) + "}";
  EXPECT_LT(growth_of(file_of("{" + rest + std::string(kSize, '['), 4), "no JSON"), 0.1);
  EXPECT_LT(growth_of(file_of("{\"a\":" + std::string(kSize, '[')), "is a list"), 0.1);
  std::string shape = "{\"a\":{\"shape\":[1";
  while (shape.size() < kSize) shape += ",1";
  EXPECT_LT(growth_of(file_of(shape), "more than 255 numbers"), 0.1);
  // The JSON library keeps the text that it is in the midst of, and what it made of it.
  const auto text_of = [](const std::string& text) {
    return file_of("{\"__metadata__\":{\"a\":\"" + text + "\"}}");
  };
  EXPECT_LT(growth_of(text_of(std::string(kSize, 'x')), "taken"), 4.0);
  EXPECT_LT(growth_of(text_of(std::string(kSize + kSize / 10, 'x')), "a text or space of"), 0.1);
  std::string quotes;
  while (quotes.size() < kSize + kSize / 10) quotes += "\\\"\\\\";
  EXPECT_LT(growth_of(text_of(quotes), "a text or space of"), 0.1);
  EXPECT_THROW(safetensors_header({}, {{"a", quotes}}), UnsupportedError);
  const std::string space(kSize + kSize / 10, ' ');
  EXPECT_LT(growth_of(file_of("{" + rest + space, 4), "a text or space of"), 0.1);
}

TEST(SafetensorsHeader, TakesLittleMoreMemoryThanAHundredMegabytes) {
  constexpr std::uint64_t kSize = 99'999'999;
  const std::string other = "{\"00000000\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}";
  std::string file = with_length(kSize, other);
  file.reserve(8 + kSize);
  for (int number = 1; file.size() + other.size() < 8 + kSize; ++number) {
    const std::size_t at = file.size();
    file += other;
    file[at] = ',';
    for (int digit = 9, rest = number; rest > 0; rest /= 10, --digit)
      file[at + static_cast<std::size_t>(digit)] = static_cast<char>('0' + rest % 10);
  }
  file.resize(8 + kSize, ' ');
  EXPECT_LT(growth_of(file, "more than 1048576 tensors"), 2.0);
}

#endif

}  // namespace
}  // namespace mlxnx::files
