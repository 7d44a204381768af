#include "files/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "error_of.h"
#include "files/ggml_types.h"
#include "files/gguf_bytes.h"
#include "mlxnx/error.h"

namespace mlxnx::files {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using mlxnx::testing_support::error_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing_support::bytes_of;
using testing_support::GgufBytes;
using testing_support::key;
using testing_support::list;
using testing_support::tensor;
using testing_support::text;

constexpr std::uint32_t kF32 = 0, kQ4_0 = 2;

GgufFile parsed(const std::string& file) { return parse_gguf(std::as_bytes(std::span(file))); }

template <typename Error = FormatError>
std::string refusal(const std::string& file) {
  return error_of<Error>([&] { parsed(file); });
}

template <typename Error = FormatError>
std::string refusal(const GgufBytes& bytes) {
  return refusal<Error>(bytes.file());
}

std::string u32_key(std::string_view name, std::uint32_t value) {
  return key(name, GgufType::kU32, bytes_of(value));
}

std::string text_key(std::string_view name, std::string_view value) {
  return key(name, GgufType::kText, text(value));
}

// A file with one of everything.
GgufBytes rich_file() {
  return {.keys = {text_key("general.architecture", "llama"), u32_key("llama.block_count", 30),
                   key("tokens", GgufType::kList,
                       list(GgufType::kText, 3, text("a") + text("") + text("\xe2\x96\x81\xff"))),
                   key("scores", GgufType::kList,
                       list(GgufType::kF32, 2, bytes_of(0.5f) + bytes_of(-1.0f)))},
          .tensors = {tensor("second", {32, 2}, kQ4_0, 32), tensor("first", {3}, kF32, 0)},
          .elements = std::string(32 + 36, '\x01')};
}

TEST(Gguf, TellsTypeShapeAndPlaceOfTensors) {
  const std::string file = rich_file().file();
  const GgufFile gguf = parsed(file);
  ASSERT_EQ(gguf.tensors.size(), 2u);
  const StoredTensor &second = gguf.tensors[0], &first = gguf.tensors[1];
  EXPECT_EQ(second.name, "second");
  EXPECT_EQ(second.type, StoredType::kQ4_0);
  EXPECT_THAT(second.shape, ElementsAre(2, 32));
  EXPECT_EQ(second.bytes, 36u);
  EXPECT_EQ(second.offset, file.size() - 36);
  EXPECT_EQ(first.name, "first");
  EXPECT_EQ(first.type, StoredType::kF32);
  EXPECT_THAT(first.shape, ElementsAre(3));
  EXPECT_EQ(first.bytes, 12u);
  EXPECT_EQ(first.offset, file.size() - 68);
}

TEST(Gguf, ReadsVersionTwoAndThree) {
  for (const std::uint32_t version : {2u, 3u}) {
    GgufBytes bytes = rich_file();
    bytes.version = version;
    const std::string file = bytes.file();
    EXPECT_EQ(parsed(file).version, version);
    EXPECT_EQ(parsed(file).tensors.size(), 2u);
  }
}

TEST(Gguf, ReadsEveryTypeOfValues) {
  const std::string file = GgufBytes{
      .keys = {
          key("u8", GgufType::kU8, bytes_of<std::uint8_t>(255)),
          key("s8", GgufType::kS8, bytes_of<std::int8_t>(-128)),
          key("u16", GgufType::kU16, bytes_of<std::uint16_t>(65535)),
          key("s16", GgufType::kS16, bytes_of<std::int16_t>(-32768)),
          u32_key("u32", 4294967295u),
          key("s32", GgufType::kS32, bytes_of(std::numeric_limits<std::int32_t>::min())),
          key("u64", GgufType::kU64, bytes_of<std::uint64_t>(9223372036854775807u)),
          key("s64", GgufType::kS64, bytes_of(std::numeric_limits<std::int64_t>::min())),
          key("f32", GgufType::kF32, bytes_of(0.1f)),
          key("f64", GgufType::kF64, bytes_of(0.1)),
          key("yes", GgufType::kBool, "\x01"),
          key("no", GgufType::kBool, "\0"s),
          text_key("text", "Ol\u00e1\0x"s),
      }}.file();
  const GgufFile gguf = parsed(file);
  EXPECT_EQ(gguf.at("u8").as_integer(), 255);
  EXPECT_EQ(gguf.at("s8").as_integer(), -128);
  EXPECT_EQ(gguf.at("u16").as_integer(), 65535);
  EXPECT_EQ(gguf.at("s16").as_integer(), -32768);
  EXPECT_EQ(gguf.at("u32").as_integer(), 4294967295);
  EXPECT_EQ(gguf.at("s32").as_integer(), std::numeric_limits<std::int32_t>::min());
  EXPECT_EQ(gguf.at("u64").as_integer(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(gguf.at("s64").as_integer(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(gguf.at("f32").as_number(), 0.1f);
  EXPECT_EQ(gguf.at("f64").as_number(), 0.1);
  EXPECT_EQ(gguf.at("s8").as_number(), -128);
  EXPECT_TRUE(gguf.at("yes").as_boolean());
  EXPECT_FALSE(gguf.at("no").as_boolean());
  EXPECT_EQ(gguf.at("text").as_text(), "Ol\u00e1\0x"s);
}

TEST(Gguf, ReadsListsOfEveryType) {
  const std::string inner = list(GgufType::kU8, 2, "\x01\x02");
  const std::string file = GgufBytes{
      .keys = {
          key("texts", GgufType::kList,
              list(GgufType::kText, 3, text("a") + text("") + text("bc"))),
          key("s16", GgufType::kList,
              list(GgufType::kS16, 2, bytes_of<std::int16_t>(-1) + bytes_of<std::int16_t>(7))),
          key("f32", GgufType::kList, list(GgufType::kF32, 1, bytes_of(0.25f))),
          key("booleans", GgufType::kList, list(GgufType::kBool, 3, "\x01\0\x01"s)),
          key("lists", GgufType::kList,
              list(GgufType::kList, 2, inner + list(GgufType::kText, 1, text("x")))),
          key("none", GgufType::kList, list(GgufType::kF64, 0, "")),
      }}.file();
  const GgufFile gguf = parsed(file);
  EXPECT_THAT(gguf.at("texts").as_texts(), ElementsAre("a", "", "bc"));
  EXPECT_EQ(gguf.at("texts").size(), 3u);
  EXPECT_EQ(gguf.at("texts").item_type(), GgufType::kText);
  EXPECT_THAT(gguf.at("s16").as_integers(), ElementsAre(-1, 7));
  EXPECT_THAT(gguf.at("s16").as_numbers(), ElementsAre(-1.0, 7.0));
  EXPECT_EQ(gguf.at("s16").as_bytes().size(), 4u);
  EXPECT_THAT(gguf.at("f32").as_numbers(), ElementsAre(0.25));
  EXPECT_THAT(gguf.at("booleans").as_booleans(), ElementsAre(true, false, true));
  EXPECT_THAT(gguf.at("none").as_numbers(), IsEmpty());
  const auto lists = gguf.at("lists").as_lists();
  ASSERT_EQ(lists.size(), 2u);
  EXPECT_THAT(lists[0].as_integers(), ElementsAre(1, 2));
  EXPECT_THAT(lists[1].as_texts(), ElementsAre("x"));
  EXPECT_EQ(lists[0].key(), "lists");
}

TEST(Gguf, KeepsKeysInTheirOrder) {
  const std::string file = GgufBytes{.keys = {u32_key("z", 1), u32_key("a", 2)}}.file();
  const GgufFile gguf = parsed(file);
  ASSERT_EQ(gguf.size(), 2u);
  EXPECT_EQ(gguf.value(0).key(), "z");
  EXPECT_EQ(gguf.value(1).key(), "a");
  EXPECT_EQ(gguf.find("a")->as_integer(), 2);
  EXPECT_FALSE(gguf.find("b").has_value());
  EXPECT_FALSE(gguf.find("zz").has_value());
  EXPECT_EQ(error_of<FormatError>([&] { gguf.at("b"); }), R"(the file has no key "b")");
}

TEST(Gguf, GivesTextsOfTheFileAndNoCopies) {
  const std::string file = rich_file().file();
  const GgufFile gguf = parsed(file);
  const std::string_view token = gguf.at("tokens").as_texts()[2];
  EXPECT_EQ(token, "\xe2\x96\x81\xff");
  EXPECT_GE(token.data(), file.data());
  EXPECT_LT(token.data(), file.data() + file.size());
}

TEST(Gguf, GivesValuesAsTheyAreEncoded) {
  const std::string items = list(GgufType::kList, 1, list(GgufType::kText, 1, text("x")));
  const std::string file =
      GgufBytes{.keys = {key("x", GgufType::kList, items), u32_key("y", 7)}}.file();
  const auto encoded = parsed(file).at("x").encoded();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(encoded.data()), encoded.size()), items);
  EXPECT_EQ(parsed(file).at("y").encoded().size(), 4u);
}

TEST(Gguf, NamesTheKeyWhoseValueIsOfAnotherType) {
  const std::string file = GgufBytes{
      .keys = {text_key("t", std::string(200, 'x')), u32_key("u", 5),
               key("big", GgufType::kU64, bytes_of(1ull << 63)),
               key("f", GgufType::kF32, bytes_of(0.5f)),
               key("l", GgufType::kList, list(GgufType::kF32, 1, bytes_of(0.5f))),
               key("b", GgufType::kBool,
                   "\x01")}}.file();
  const GgufFile gguf = parsed(file);
  const auto says = [&](const char* key, auto read) {
    return error_of<FormatError>([&] { read(gguf.at(key)); });
  };
  EXPECT_EQ(says("u", [](auto value) { value.as_text(); }), R"(key "u" is u32 5, not a text)");
  EXPECT_EQ(says("u", [](auto value) { value.as_texts(); }),
            R"(key "u" is u32 5, not a list of texts)");
  EXPECT_EQ(says("u", [](auto value) { value.size(); }), R"(key "u" is u32 5, not a list)");
  EXPECT_EQ(says("u", [](auto value) { value.as_boolean(); }),
            R"(key "u" is u32 5, not a boolean)");
  EXPECT_EQ(says("b", [](auto value) { value.as_number(); }), R"(key "b" is true, not a number)");
  EXPECT_EQ(says("f", [](auto value) { value.as_integer(); }),
            R"(key "f" is f32 0.5, not an integer of 64 bits)");
  EXPECT_EQ(says("big", [](auto value) { value.as_integer(); }),
            R"(key "big" is u64 9223372036854775808, not an integer of 64 bits)");
  EXPECT_EQ(says("l", [](auto value) { value.as_integers(); }),
            R"(key "l" is a list of 1 f32, not a list of integers of 64 bits)");
  EXPECT_EQ(says("l", [](auto value) { value.as_texts(); }),
            R"(key "l" is a list of 1 f32, not a list of texts)");
  EXPECT_EQ(says("l", [](auto value) { value.as_lists(); }),
            R"(key "l" is a list of 1 f32, not a list of lists)");
  EXPECT_THAT(says("t", [](auto value) { value.as_integer(); }), HasSubstr("xxx\"…, not"));
}

TEST(Gguf, AlignsTensorsAsTheFileSays) {
  for (const std::uint32_t alignment : {1u, 8u, 4096u}) {
    const GgufBytes bytes{.keys = {u32_key("general.alignment", alignment)},
                          .tensors = {tensor("x", {2}, kF32, 0)},
                          .elements = std::string(8, '\0'),
                          .alignment = alignment};
    const std::string file = bytes.file();
    EXPECT_EQ(parsed(file).alignment, alignment);
    EXPECT_EQ(parsed(file).tensors.at(0).offset, file.size() - 8);
  }
}

TEST(Gguf, KnowsEveryTypeOfGgml) {
  std::uint32_t stored = 0;
  for (std::uint32_t number = 0; number < 64; ++number) {
    const GgufBytes bytes{.tensors = {tensor("x", {256}, number, 0)},
                          .elements = std::string(2048, '\0')};
    const auto* type =
        std::ranges::find(kGgmlTypes, number, [](const GgmlType& row) { return row.number; });
    if (type == kGgmlTypes.end()) {
      EXPECT_EQ(refusal<UnsupportedError>(bytes),
                "tensor \"x\": ggml's type of number " + std::to_string(number) + " is not known");
    } else if (!type->stored) {
      EXPECT_EQ(refusal<UnsupportedError>(bytes), "tensor \"x\": elements of ggml's type " +
                                                      std::string(type->name) +
                                                      " are not supported");
    } else {
      ++stored;
      EXPECT_EQ(parsed(bytes.file()).tensors.at(0).type, *type->stored);
    }
  }
  EXPECT_EQ(stored, 22u);
}

TEST(Gguf, TakesTensorsWithoutDimensionsForScalars) {
  const GgufBytes bytes{.tensors = {tensor("x", {}, kF32, 0)}, .elements = std::string(4, '\0')};
  const StoredTensor scalar = parsed(bytes.file()).tensors.at(0);
  EXPECT_EQ(scalar.bytes, 4u);
  EXPECT_TRUE(scalar.shape.empty());
}

TEST(Gguf, RefusesOtherFiles) {
  EXPECT_EQ(refusal(""s), "the mark of GGUF files of 4 bytes at byte 0 of 0");
  EXPECT_EQ(refusal("PK\x03\x04 and more"s), "the file does not begin with GGUF");
}

TEST(Gguf, RefusesOtherVersions) {
  for (const std::uint32_t version : {0u, 1u, 4u, 70000u}) {
    EXPECT_EQ(
        refusal<UnsupportedError>(GgufBytes{.version = version}),
        "version " + std::to_string(version) + " of GGUF is not supported, versions 2 and 3 are");
  }
}

TEST(Gguf, RefusesBigEndianFiles) {
  EXPECT_EQ(refusal<UnsupportedError>(GgufBytes{.version = 0x03000000}),
            "the file is big-endian; only little-endian ones are supported");
}

TEST(Gguf, RefusesFilesCutShortAtAnyByte) {
  const std::string file = rich_file().file();
  ASSERT_EQ(parsed(file).tensors.size(), 2u);
  for (std::size_t length = 0; length < file.size(); ++length)
    EXPECT_THROW(parsed(file.substr(0, length)), FormatError) << length;
}

TEST(Gguf, RefusesMoreTensorsOrKeysThanTheFileHolds) {
  const std::string start = "GGUF" + bytes_of<std::uint32_t>(3);
  EXPECT_EQ(refusal(start + bytes_of(1ull << 60) + bytes_of(0ull)),
            "1152921504606846976 tensors in a file of 24 bytes");
  EXPECT_EQ(refusal(start + bytes_of(0ull) + bytes_of(~0ull)),
            "18446744073709551615 keys in a file of 24 bytes");
  EXPECT_EQ(refusal(start + bytes_of(1ull) + bytes_of(0ull) + std::string(24, '\0')),
            "1 tensors in a file of 48 bytes");
}

TEST(Gguf, RefusesMoreTensorsThanAnyModelHas) {
  const std::string file = "GGUF" + bytes_of<std::uint32_t>(3) + bytes_of(65537ull) +
                           bytes_of(0ull) + std::string(65537 * 25, '\0');
  EXPECT_EQ(refusal<UnsupportedError>(file),
            "65537 tensors; files of more than 65536 are not supported");
}

TEST(Gguf, RefusesTextsLongerThanTheFile) {
  EXPECT_EQ(refusal(GgufBytes{.keys = {bytes_of(1ull << 60) + std::string(14, 'x')}}),
            "key 0: its name of 1152921504606846976 bytes at byte 32 of 46");
  EXPECT_EQ(refusal(GgufBytes{.keys = {key("x", GgufType::kText, bytes_of(~0ull) + "abc")}}),
            "key \"x\": a text of 18446744073709551615 bytes at byte 45 of 48");
  EXPECT_EQ(refusal(GgufBytes{.tensors = {bytes_of(99ull) + std::string(40, 'x')}}),
            "tensor 0: its name of 99 bytes at byte 32 of 72");
}

TEST(Gguf, RefusesListsLongerThanTheFile) {
  const auto says = [](GgufType item, std::uint64_t count, const std::string& items) {
    return refusal(GgufBytes{.keys = {key("x", GgufType::kList, list(item, count, items))}});
  };
  EXPECT_EQ(says(GgufType::kF32, 1ull << 62, "1234"),
            "key \"x\": a list of 4611686018427387904 f32 at byte 49 of 53");
  EXPECT_EQ(says(GgufType::kU8, 5, "1234"), "key \"x\": a list of 5 u8 at byte 49 of 53");
  EXPECT_EQ(says(GgufType::kText, 1ull << 40, text("a")),
            "key \"x\": a list of 1099511627776 text at byte 49 of 58");
  EXPECT_EQ(says(GgufType::kText, 2, text("12345678")),
            "key \"x\": a text of 8 bytes at byte 65 of 65");
  EXPECT_EQ(says(GgufType::kList, 1ull << 60, list(GgufType::kU8, 0, "")),
            "key \"x\": a list of 1152921504606846976 list at byte 49 of 61");
}

TEST(Gguf, RefusesListsNestedDeep) {
  const auto nested = [](int depth) {
    std::string value = list(GgufType::kU8, 1, "\x07");
    for (int i = 1; i < depth; ++i) value = list(GgufType::kList, 1, value);
    return GgufBytes{.keys = {key("x", GgufType::kList, value)}};
  };
  EXPECT_EQ(parsed(nested(4).file()).size(), 1u);
  EXPECT_EQ(refusal(nested(5)), "key \"x\": lists are nested deeper than 4");
  EXPECT_EQ(refusal(nested(2'000)), "key \"x\": lists are nested deeper than 4");
}

TEST(Gguf, RefusesUnknownTypesOfValues) {
  EXPECT_EQ(refusal(GgufBytes{.keys = {key("x", GgufType{13}, "12345678")}}),
            "key \"x\": type 13 of values is none of the format");
  EXPECT_EQ(refusal(GgufBytes{.keys = {key("x", GgufType::kList, list(GgufType{99}, 1, "1"))}}),
            "key \"x\": type 99 of values is none of the format");
}

TEST(Gguf, RefusesBooleansOtherThanZeroAndOne) {
  EXPECT_EQ(refusal(GgufBytes{.keys = {key("x", GgufType::kBool, "\x02")}}),
            "key \"x\": 2 is no boolean");
  EXPECT_EQ(
      refusal(GgufBytes{.keys = {key("x", GgufType::kList, list(GgufType::kBool, 2, "\x01\xff"))}}),
      "key \"x\": 255 is no boolean");
}

TEST(Gguf, RefusesKeysThatStandTwice) {
  EXPECT_EQ(refusal(GgufBytes{.keys = {u32_key("x", 1), u32_key("y", 1), u32_key("x", 2)}}),
            "key \"x\" stands twice");
}

TEST(Gguf, RefusesTensorsThatStandTwice) {
  EXPECT_EQ(refusal(GgufBytes{.tensors = {tensor("x", {1}, kF32, 0), tensor("y", {1}, kF32, 32),
                                          tensor("x", {1}, kF32, 64)},
                              .elements = std::string(68, '\0')}),
            "tensor \"x\" stands twice");
}

TEST(Gguf, RefusesNamesThatAreNoText) {
  const auto key_says = [](std::string_view name) {
    return refusal(GgufBytes{.keys = {u32_key(name, 1)}});
  };
  const auto tensor_says = [](std::string_view name) {
    return refusal(GgufBytes{.tensors = {tensor(name, {1}, kF32, 0)}, .elements = "1234"});
  };
  EXPECT_EQ(key_says("a\xff"), R"(key "a\xff": the name is not UTF-8)");
  EXPECT_EQ(tensor_says("a\xc0\x80"), R"(tensor "a\xc0\x80": the name is not UTF-8)");
  EXPECT_THAT(key_says("a\0b"sv), HasSubstr("a NUL in the name"));
  EXPECT_THAT(tensor_says("a\0b"sv), HasSubstr("a NUL in the name"));
  EXPECT_EQ(key_says(""), "key \"\": an empty name");
  EXPECT_EQ(tensor_says(""), "tensor \"\": an empty name");
}

TEST(Gguf, CutsLongNamesInErrors) {
  EXPECT_THAT(refusal(GgufBytes{.keys = {u32_key(std::string(5000, 'x') + "\xff", 1)}}).size(),
              testing::Lt(200u));
}

TEST(Gguf, RefusesTooManyDimensions) {
  EXPECT_EQ(
      refusal(GgufBytes{.tensors = {tensor("x", {1, 1, 1, 1, 1}, kF32, 0)}, .elements = "1234"}),
      "tensor \"x\": 5 dimensions; there are at most 4");
  EXPECT_EQ(refusal(GgufBytes{
                .tensors = {text("x") + bytes_of(1'000'000'000u) + std::string(100, '\x01')}}),
            "tensor \"x\": 1000000000 dimensions; there are at most 4");
}

TEST(Gguf, RefusesDimensionsThatAreNone) {
  const auto says = [](const std::vector<std::uint64_t>& dimensions, std::uint32_t type = kF32) {
    return refusal(GgufBytes{.tensors = {tensor("x", dimensions, type, 0)},
                             .elements = std::string(64, '\0')});
  };
  EXPECT_EQ(says({2, 0}), "tensor \"x\": a dimension of 0");
  EXPECT_EQ(says({~0ull}), "tensor \"x\": a dimension of 18446744073709551615");
  EXPECT_THAT(says({1ull << 40, 1ull << 40}), HasSubstr("more elements than can be counted"));
  EXPECT_THAT(says({1ull << 62}), HasSubstr("more bytes than can be counted"));
  EXPECT_THAT(says({33}, kQ4_0), HasSubstr("tensor \"x\": Q4_0 of shape"));
  EXPECT_THAT(says({16, 2}, kQ4_0), HasSubstr("rows are no multiple of its blocks of 32"));
}

TEST(Gguf, RefusesTensorsOutsideOfTheFile) {
  const auto says = [](std::uint64_t count, std::uint64_t offset) {
    return refusal(GgufBytes{.tensors = {tensor("x", {count}, kF32, offset)},
                             .elements = std::string(64, '\0')});
  };
  EXPECT_EQ(says(17, 0),
            "tensor \"x\": f32{17} has 68 bytes from byte 0 of 64 bytes of elements on");
  EXPECT_THAT(says(9, 32), HasSubstr("36 bytes from byte 32 of 64"));
  EXPECT_THAT(says(1, 96), HasSubstr("4 bytes from byte 96 of 64"));
  EXPECT_THAT(says(1, ~0ull - 31), HasSubstr("4 bytes from byte 18446744073709551584 of 64"));
}

TEST(Gguf, RefusesTensorsThatAreNotAligned) {
  EXPECT_EQ(
      refusal(GgufBytes{.tensors = {tensor("x", {1}, kF32, 4)}, .elements = std::string(64, '\0')}),
      "tensor \"x\" begins at byte 4 of the elements, no multiple of 32");
}

TEST(Gguf, RefusesTensorsThatOverlap) {
  EXPECT_EQ(refusal(GgufBytes{.tensors = {tensor("b", {1}, kF32, 32), tensor("a", {9}, kF32, 0)},
                              .elements = std::string(64, '\0')}),
            "tensor \"a\" has 36 bytes from byte 96 of the file on, tensor \"b\" begins at 128");
  EXPECT_THAT(refusal(GgufBytes{.tensors = {tensor("b", {1}, kF32, 0), tensor("a", {1}, kF32, 0)},
                                .elements = std::string(64, '\0')}),
              HasSubstr("has 4 bytes from byte 96"));
}

TEST(Gguf, RefusesAlignmentsThatAreNone) {
  EXPECT_EQ(refusal(GgufBytes{.keys = {u32_key("general.alignment", 0)}}),
            "general.alignment 0 is no power of two");
  EXPECT_EQ(refusal(GgufBytes{.keys = {u32_key("general.alignment", 24)}}),
            "general.alignment 24 is no power of two");
  EXPECT_EQ(refusal(GgufBytes{.keys = {text_key("general.alignment", "32")}}),
            "general.alignment is \"32\", not a u32");
}

TEST(Gguf, RefusesAlignmentsBeyondTheFile) {
  EXPECT_EQ(refusal(GgufBytes{.keys = {u32_key("general.alignment", 1u << 31)},
                              .tensors = {tensor("x", {1}, kF32, 0)},
                              .elements = "1234",
                              .alignment = 32}),
            "tensor \"x\": f32{1} has 4 bytes from byte 0 of 0 bytes of elements on");
}

}  // namespace
}  // namespace mlxnx::files
