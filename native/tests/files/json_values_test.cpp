// JSON that nobody checked.
#include "files/json_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

#include "refusal_of.h"

namespace mlxnx::files {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string refusal(const std::string& text) {
  return refusal_of([&] { parse_json(text); });
}

TEST(JsonValues, AreNestedSoDeepAndNoDeeper) {
  EXPECT_EQ(refusal(std::string(64, '[') + std::string(64, ']')), "taken");
  EXPECT_EQ(refusal(std::string(65, '[') + std::string(65, ']')), "nested deeper than 64");
  EXPECT_EQ(refusal(std::string(10'000'000, '[')), "nested deeper than 64");
  EXPECT_EQ(refusal("\"" + std::string(1000, '[') + "\\\"" + std::string(1000, '{') + "\""),
            "taken");
  EXPECT_EQ(json_depth("[[]]{}[[[\"]"), 3);
}

TEST(JsonValues, AreRefusedWhereverTheyAreCutShort) {
  const std::string text = R"({"a":[1,-2.5e3,"\u00fc",true,null],"b":{"c":"d"}})";
  ASSERT_EQ(refusal(text), "taken");
  for (std::size_t size = 0; size < text.size(); ++size)
    EXPECT_THAT(refusal(text.substr(0, size)), HasSubstr("no JSON from byte")) << size;
  EXPECT_THAT(refusal("{\"a\":\"\xff\"}"), HasSubstr("no JSON from byte"));
  EXPECT_EQ(refusal("1e999"), "a number in it is larger than any type holds");
}

TEST(JsonValues, AreIntegersOnlyWhereTheyFit) {
  const auto as = [](auto type, const char* text) {
    return refusal_of([&] { EXPECT_EQ(integer<decltype(type)>(json::parse(text)), type); });
  };
  EXPECT_EQ(as(std::int64_t{-7}, "-7"), "taken");
  EXPECT_EQ(as(std::numeric_limits<std::uint64_t>::max(), "18446744073709551615"), "taken");
  EXPECT_EQ(as(std::numeric_limits<std::int64_t>::min(), "-9223372036854775808"), "taken");
  for (const char* text : {"2147483648", "-2147483649", "1.0", "1e0", "\"1\"", "true", "null",
                           "[1]", "18446744073709551616", "1e300"})
    EXPECT_THAT(as(std::int32_t{1}, text), HasSubstr("is not an integer of 32 bits")) << text;
  EXPECT_THAT(as(std::uint64_t{0}, "-1"), HasSubstr("-1 is not an integer of 64 bits"));
}

TEST(JsonValues, AreShownShortAndWhole) {
  EXPECT_EQ(shown(json::parse(R"([1, "\u00fc"])")), "[1,\"\xc3\xbc\"]");
  for (std::size_t before = 90; before < 105; ++before) {
    std::string text(before, 'x');
    for (int i = 0; i < 10; ++i) text += "\xf0\x9f\x98\x80";
    const std::string cut = shown(json(text));
    EXPECT_LE(cut.size(), 103u);
    EXPECT_THAT(cut, testing::EndsWith("…"));
    EXPECT_NO_THROW((void)json(cut).dump()) << "it is no UTF-8";
  }
}

TEST(JsonValues, AreAskedForByName) {
  const json object = json::parse(R"({"text":"x","list":[1],"n":7})");
  EXPECT_EQ(text_member(object, "text"), "x");
  EXPECT_EQ(list_member(object, "list").size(), 1u);
  EXPECT_EQ(refusal_of([&] { text_member(object, "n"); }), "n: 7 is no text");
  EXPECT_EQ(refusal_of([&] { list_member(object, "n"); }), "n: 7 is no list");
  EXPECT_THAT(refusal_of([&] { member(object, "none"); }), HasSubstr("has no none"));
  EXPECT_EQ(refusal_of([&] { member(json(7), "x"); }), "7 is no object");
  EXPECT_TRUE(optional_list(object, "none").empty());
  EXPECT_EQ(refusal_of([&] { optional_list(json(7), "x"); }), "7 is no object");
}

}  // namespace
}  // namespace mlxnx::files
