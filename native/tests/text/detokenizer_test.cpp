#include <gtest/gtest.h>

#include "mlxnx/text.h"
#include "text/tiny_tokenizers.h"

namespace mlxnx {
namespace {

using testing_support::byte_fallback_pieces;
using testing_support::byte_level_json;
using testing_support::kEnd;
using testing_support::kHello;
using testing_support::streamed;
using Ids = std::vector<std::uint32_t>;

bool is_whole(const std::string& text) {
  return text.empty() || (static_cast<unsigned char>(text[0]) & 0xc0) != 0x80;
}

TEST(TextDetokenizer, AnswersWholeCharactersOnly) {
  const Tokenizer tokenizer = Tokenizer::from_json(byte_level_json().dump());
  Detokenizer detokenizer(tokenizer);
  EXPECT_EQ(detokenizer.push(kHello), "hello");
  EXPECT_EQ(detokenizer.push(0xf0), "");
  EXPECT_EQ(detokenizer.push(0x9f), "");
  EXPECT_EQ(detokenizer.push(0x98), "");
  EXPECT_EQ(detokenizer.push(0x80), "😀");
  EXPECT_EQ(detokenizer.push(0xc3), "");
  EXPECT_EQ(detokenizer.push(0xa9), "é");
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST(TextDetokenizer, IsWhatDecodeIs) {
  const std::string texts[] = {"hello wo 👩‍👩‍👧‍👦🇩🇪", "  hi abc\n漢字 ",
                               "Grüße…", "\t\n", " "};
  for (const Tokenizer& tokenizer : {Tokenizer::from_json(byte_level_json().dump()),
                                     Tokenizer::from_parts(byte_fallback_pieces().parts())}) {
    for (const std::string& text : texts) {
      const Ids ids = tokenizer.encode(text, {.add_special = false});
      EXPECT_EQ(streamed(tokenizer, ids), text);
      EXPECT_EQ(tokenizer.decode(ids), text);
      Detokenizer detokenizer(tokenizer);
      for (const std::uint32_t id : ids) EXPECT_TRUE(is_whole(detokenizer.push(id)));
    }
  }
}

TEST(TextDetokenizer, ReplacesBytesThatAreNoCharacter) {
  const Tokenizer tokenizer = Tokenizer::from_json(byte_level_json().dump());
  Detokenizer detokenizer(tokenizer);
  EXPECT_EQ(detokenizer.push(0xe6), "");
  EXPECT_EQ(detokenizer.push('a'), "\uFFFDa");
  EXPECT_EQ(detokenizer.push(0x80), "\uFFFD");
  EXPECT_EQ(detokenizer.push(0xe6), "");
  EXPECT_EQ(detokenizer.push(0xbc), "");
  EXPECT_EQ(detokenizer.finish(), "\uFFFD");
  for (const Ids& ids : {Ids{0xe6, 'a', 0x80, 0xe6, 0xbc}, Ids{0xff, 0xfe}, Ids{0xf0, 0x9f, 0xe6}})
    EXPECT_EQ(streamed(tokenizer, ids), tokenizer.decode(ids));
}

TEST(TextDetokenizer, LeavesTheSpaceOutThatOpensAText) {
  const Tokenizer tokenizer = Tokenizer::from_parts(byte_fallback_pieces().parts());
  Detokenizer detokenizer(tokenizer, {.skip_special = true});
  EXPECT_EQ(detokenizer.push(1), "");
  EXPECT_EQ(detokenizer.push(260), "hi");
  EXPECT_EQ(detokenizer.push(260), " hi");
  EXPECT_EQ(detokenizer.push(3 + 0xc3), "");
  EXPECT_EQ(detokenizer.push(3 + 0xa9), "é");
  EXPECT_EQ(detokenizer.push(2), "");
  EXPECT_EQ(detokenizer.finish(), "");
  EXPECT_EQ(detokenizer.push(260), "hi");
}

TEST(TextDetokenizer, ShowsSpecialTokensUnlessToldNotTo) {
  const Tokenizer tokenizer = Tokenizer::from_json(byte_level_json().dump());
  EXPECT_EQ(Detokenizer(tokenizer).push(kEnd), "<|end|>");
  EXPECT_EQ(Detokenizer(tokenizer, {.skip_special = true}).push(kEnd), "");
}

TEST(TextDetokenizer, OutlivesItsTokenizer) {
  auto detokenizer = [] { return Detokenizer(Tokenizer::from_json(byte_level_json().dump())); }();
  EXPECT_EQ(detokenizer.push(kHello), "hello");
}

}  // namespace
}  // namespace mlxnx
