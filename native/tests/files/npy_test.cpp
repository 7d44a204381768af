// Headers that nobody checked. What files hold is tested where tensors are made of them.
#include "files/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "refusal_of.h"

namespace mlxnx::files {
namespace {

using namespace std::string_literals;
using testing::HasSubstr;
using testing::StartsWith;

std::string with_length(int version, std::uint32_t length, const std::string& rest) {
  std::string bytes = "\x93NUMPY"s + static_cast<char>(version) + '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i)
    bytes += static_cast<char>(length >> (8 * i) & 0xff);
  return bytes + rest;
}

std::string file_of(const std::string& dictionary, const std::string& elements) {
  return with_length(2, static_cast<std::uint32_t>(dictionary.size()), dictionary + elements);
}

std::string of_shape(const std::string& shape, const char* type = "<f4") {
  return "{'descr': '"s + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
}

std::string refusal(const std::string& file) {
  return refusal_of([&] { parse_npy(bytes_of(file)); });
}

TEST(NpyHeader, TellsWhatItSays) {
  const NpyHeader header = parse_npy(bytes_of(
      file_of("{'descr': '>c8', 'fortran_order': True, 'shape': (2, 1), }", std::string(16, 'x'))));
  EXPECT_EQ(header.type, StoredType::kC64);
  EXPECT_EQ(header.shape, (Shape{2, 1}));
  EXPECT_TRUE(header.is_big_endian);
  EXPECT_TRUE(header.is_column_major);
  EXPECT_EQ(header.bytes, 16u);
}

TEST(NpyHeader, CountsNoShapeThatCanNotBe) {
  EXPECT_EQ(refusal(file_of(of_shape("(1,)"), "abcd")), "taken");
  EXPECT_THAT(refusal(file_of(of_shape("(9223372036854775807,)"), "abcd")),
              HasSubstr("more bytes than can be counted"));
  EXPECT_THAT(refusal(file_of(of_shape("(9223372036854775807, 2)"), "abcd")),
              HasSubstr("more elements than can be counted"));
  EXPECT_THAT(refusal(file_of(of_shape("(9223372036854775808,)"), "abcd")),
              HasSubstr("a dimension is not a count of 63 bits"));
  EXPECT_THAT(refusal(file_of(of_shape("(-1, -4)"), "abcd")), HasSubstr("not a count"));
  EXPECT_THAT(refusal(file_of(of_shape("(1000000000000,)"), "abcd")),
              HasSubstr("takes 4000000000000 bytes, it has 4"));
  // Nothing, however long its other dimensions are.
  EXPECT_EQ(refusal(file_of(of_shape("(9223372036854775807, 9223372036854775807, 0)"), "")),
            "taken");
}

TEST(NpyHeader, HasAtMostAsManyDimensionsAsNumpy) {
  std::string ones;
  for (int i = 0; i < 64; ++i) ones += "1,";
  EXPECT_EQ(refusal(file_of(of_shape("(" + ones + ")"), "abcd")), "taken");
  EXPECT_THAT(refusal(file_of(of_shape("(" + ones + "1)"), "abcd")),
              HasSubstr("more than 64 dimensions"));
}

TEST(NpyHeader, IsRefusedWhereverItIsCutShort) {
  const std::string file = npy_header({DType::f32, {1}}) + "abcd";
  ASSERT_EQ(refusal(file), "taken");
  for (std::size_t size = 0; size < file.size(); ++size)
    EXPECT_NE(refusal(file.substr(0, size)), "taken") << size;
}

TEST(NpyHeader, LiesAboutItsLength) {
  const std::string dictionary = of_shape("(1,)");
  const auto length = static_cast<std::uint32_t>(dictionary.size());
  ASSERT_EQ(refusal(with_length(1, length, dictionary + "abcd")), "taken");
  EXPECT_THAT(refusal(with_length(1, length - 1, dictionary + "abcd")),
              HasSubstr("no text where one belongs"));
  EXPECT_THAT(refusal(with_length(1, length + 1, dictionary + "abcd")),
              HasSubstr("goes on after the dictionary"));
  EXPECT_THAT(refusal(with_length(1, 0, dictionary + "abcd")), HasSubstr("lacks a '{'"));
  EXPECT_THAT(refusal(with_length(1, 0xffff, dictionary + "abcd")), HasSubstr("cut off"));
  EXPECT_THAT(refusal(with_length(3, 0xffffffff, dictionary + "abcd")),
              HasSubstr("a header of 4294967295 bytes; 1048576 are the most"));
}

TEST(NpyHeader, NestsNothing) {
  EXPECT_THAT(refusal(file_of(of_shape(std::string(100'000, '(')), "")), HasSubstr("not a count"));
  EXPECT_THAT(refusal(file_of("{" + std::string(100'000, '{'), "")), HasSubstr("no text"));
  EXPECT_THAT(refusal(file_of("{'descr': " + std::string(100'000, '['), "")),
              StartsWith("unsupported: structured"));
  EXPECT_THAT(refusal(file_of("{'descr': {'names': ['a']}", "")), HasSubstr("no text"));
}

TEST(NpyHeader, NamesNoObjectsAndNothingThatMlxLacks) {
  for (const char* type : {"|O", "|O8", "<O", "O"}) {
    EXPECT_THAT(refusal(file_of(of_shape("(1,)", type), "abcd")),
                testing::AnyOf(HasSubstr("Python objects, which are never loaded"),
                               HasSubstr("is no element type")));
  }
  for (const char* type : {"<U1", "|S4", "<M8[ns]", "<c16", "<f16", "<V4"})
    EXPECT_THAT(refusal(file_of(of_shape("(1,)", type), "abcd")), StartsWith("unsupported: "));
  const std::string long_type = "<" + std::string(100'000, 'x');
  EXPECT_LT(refusal(file_of(of_shape("(1,)", long_type.c_str()), "abcd")).size(), 300u);
}

TEST(NpyHeader, IsOfAKnownVersion) {
  const std::string dictionary = of_shape("(1,)");
  for (int version = 0; version < 256; ++version) {
    std::string file = file_of(dictionary, "abcd");
    file[6] = static_cast<char>(version);
    if (version == 2 || version == 3) {
      EXPECT_EQ(refusal(file), "taken");
    } else {
      EXPECT_NE(refusal(file), "taken") << version;
    }
  }
}

TEST(NpyHeader, IsWrittenAsItIsRead) {
  for (const DType type : kDTypes) {
    if (type == DType::bf16) continue;
    const std::string bytes = npy_header({type, {3, 0, 7}});
    EXPECT_EQ(bytes.size() % 64, 0u);
    const NpyHeader header = parse_npy(bytes_of(bytes));
    EXPECT_EQ(row_of(header.type).dtype, type);
    EXPECT_EQ(header.shape, (Shape{3, 0, 7}));
    EXPECT_EQ(header.size, bytes.size());
  }
}

TEST(NpyElements, BecomeThoseOfMemory) {
  std::vector<std::byte> elements(8);
  for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<std::byte>(i);
  const auto native = [&](StoredType type, bool is_big_endian) {
    std::vector<std::byte> changed = elements;
    make_native({.type = type, .is_big_endian = is_big_endian}, changed);
    std::string digits;
    for (const std::byte byte : changed)
      digits += static_cast<char>('0' + std::to_integer<int>(byte));
    return digits;
  };
  EXPECT_EQ(native(StoredType::kU32, false), "01234567");
  EXPECT_EQ(native(StoredType::kU8, true), "01234567");
  EXPECT_EQ(native(StoredType::kU16, true), "10325476");
  EXPECT_EQ(native(StoredType::kF32, true), "32107654");
  EXPECT_EQ(native(StoredType::kC64, true), "32107654");
  EXPECT_EQ(native(StoredType::kS64, true), "76543210");
  EXPECT_EQ(native(StoredType::kBool, true), "01111111");
}

}  // namespace
}  // namespace mlxnx::files
