#include "files/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace mlxnx::files {
namespace {

// A character in the shortest form of UTF-8 that holds it, or in a form of `length` bytes.
std::string encoded(std::uint32_t character, int length = 0) {
  if (length == 0)
    length = character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
  if (length == 1) return {static_cast<char>(character)};
  std::string bytes(length, '\0');
  for (int i = length - 1; i > 0; --i, character >>= 6)
    bytes[i] = static_cast<char>(0x80 | (character & 0x3f));
  bytes[0] = static_cast<char>((0xf00 >> length) | character);
  return bytes;
}

TEST(Utf8, IsEveryCharacterInItsShortestForm) {
  for (std::uint32_t character = 0; character < 0x110000; ++character) {
    const bool is_surrogate = character >= 0xd800 && character < 0xe000;
    ASSERT_EQ(is_utf8(encoded(character)), !is_surrogate) << std::hex << character;
  }
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("a\u00e9\u20ac\U0001f600z"));
}

TEST(Utf8, IsNoLongerForm) {
  for (const std::uint32_t character : {0u, 0x2fu, 0x7fu}) {
    EXPECT_FALSE(is_utf8(encoded(character, 2)));
    EXPECT_FALSE(is_utf8(encoded(character, 3)));
    EXPECT_FALSE(is_utf8(encoded(character, 4)));
  }
  EXPECT_FALSE(is_utf8(encoded(0x7ff, 3)));
  EXPECT_FALSE(is_utf8(encoded(0xffff, 4)));
}

TEST(Utf8, EndsWhereAllCharactersAre) {
  EXPECT_FALSE(is_utf8(encoded(0x110000, 4)));
  EXPECT_FALSE(is_utf8("\xf5\x80\x80\x80"));
  EXPECT_FALSE(is_utf8("\xff"));
}

TEST(Utf8, IsNoPieceOfACharacter) {
  for (const std::uint32_t character : {0x80u, 0x800u, 0xffffu, 0x10ffffu}) {
    const std::string whole = encoded(character);
    for (std::size_t length = 1; length < whole.size(); ++length) {
      EXPECT_FALSE(is_utf8(std::string_view(whole).substr(0, length)));  // the rest lies behind it
      EXPECT_FALSE(is_utf8(whole.substr(0, length) + "abc"));
      EXPECT_FALSE(is_utf8("a" + whole.substr(length)));
    }
  }
}

}  // namespace
}  // namespace mlxnx::files
