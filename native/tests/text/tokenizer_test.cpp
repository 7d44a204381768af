#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "error_of.h"
#include "mlxnx/error.h"
#include "mlxnx/text.h"
#include "temp_folder.h"
#include "text/tiny_tokenizers.h"

namespace mlxnx {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using testing_support::byte_level_json;
using testing_support::error_of;
using testing_support::kEnd;
using testing_support::kHello;

class TextTokenizer : public testing::Test {
 protected:
  Tokenizer tokenizer_ = Tokenizer::from_json(byte_level_json().dump());
};

TEST_F(TextTokenizer, EncodesWithAndWithoutSpecialTokens) {
  EXPECT_TRUE(has_text());
  EXPECT_THAT(tokenizer_.encode("hello wo"), ElementsAre(kHello, 261, kEnd));
  EXPECT_THAT(tokenizer_.encode("hello wo", {.add_special = false}), ElementsAre(kHello, 261));
  EXPECT_THAT(tokenizer_.encode("hell<|end|>", {.add_special = false}), ElementsAre(258, kEnd));
  EXPECT_THAT(tokenizer_.encode("", {.add_special = false}), ElementsAre());
}

TEST_F(TextTokenizer, EncodesTheWholeOfATextWhateverTheFileCutsAt) {
  EXPECT_EQ(tokenizer_.encode(std::string(100, 'x')).size(), 101u);
}

TEST_F(TextTokenizer, TellsWhereTokensStandInBytes) {
  const Encoding encoding = tokenizer_.encode_with_offsets("é hello", {.add_special = false});
  EXPECT_THAT(encoding.ids, ElementsAre(0xc3, 0xa9, 0x20, kHello));
  EXPECT_THAT(encoding.offsets, ElementsAre(std::pair(0u, 2u), std::pair(0u, 2u), std::pair(2u, 3u),
                                            std::pair(3u, 8u)));
}

TEST_F(TextTokenizer, EncodesManyTexts) {
  const std::vector<std::string> texts = {"hello", "", "he"};
  EXPECT_THAT(tokenizer_.encode_many(texts, {.add_special = false}),
              ElementsAre(ElementsAre(kHello), ElementsAre(), ElementsAre(256)));
}

TEST_F(TextTokenizer, DecodesWhatItEncodes) {
  for (const std::string text : {"hello world", "Grüße, 漢字 😀\n\t ", "<|end|>", "\x01\x7f", ""}) {
    const auto ids = tokenizer_.encode(text, {.add_special = false});
    EXPECT_EQ(tokenizer_.decode(ids), text);
  }
  EXPECT_EQ(tokenizer_.decode(std::vector<std::uint32_t>{kHello, kEnd}), "hello<|end|>");
  EXPECT_EQ(tokenizer_.decode(std::vector<std::uint32_t>{kHello, kEnd}, {.skip_special = true}),
            "hello");
}

TEST_F(TextTokenizer, LeavesOutNumbersBeyondTheVocabulary) {
  const std::vector<std::uint32_t> ids = {kHello, 263, 70000, 4294967295U};
  EXPECT_EQ(tokenizer_.decode(ids), "hello");
  EXPECT_EQ(testing_support::streamed(tokenizer_, ids), "hello");
}

TEST_F(TextTokenizer, TellsOfItsVocabulary) {
  EXPECT_EQ(tokenizer_.vocabulary_size(), 263u);
  EXPECT_EQ(tokenizer_.id_of("hello"), kHello);
  EXPECT_EQ(tokenizer_.id_of("<|end|>"), kEnd);
  EXPECT_EQ(tokenizer_.id_of("nonsense"), std::nullopt);
  EXPECT_EQ(tokenizer_.token_of(261), "Ġwo");
  EXPECT_EQ(tokenizer_.piece_of(261), " wo");
  EXPECT_EQ(tokenizer_.piece_of(0xc3), "\xc3");
  EXPECT_EQ(tokenizer_.token_of(263), std::nullopt);
  EXPECT_EQ(tokenizer_.piece_of(4294967295U), std::nullopt);
  EXPECT_TRUE(tokenizer_.is_special(kEnd));
  EXPECT_FALSE(tokenizer_.is_special(kHello));
  const auto added = tokenizer_.added_tokens();
  ASSERT_EQ(added.size(), 1u);
  EXPECT_EQ(added[0].id, kEnd);
  EXPECT_EQ(added[0].content, "<|end|>");
  EXPECT_TRUE(added[0].special);
  EXPECT_FALSE(added[0].normalized);
}

TEST_F(TextTokenizer, RefusesTextThatIsNotUtf8) {
  EXPECT_THAT(error_of<ArgumentError>([&] { tokenizer_.encode("ab\xff"); }),
              AllOf(StartsWith("[encode] "), HasSubstr("not UTF-8 from byte 2 on")));
}

TEST_F(TextTokenizer, ServesManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int& count : wrong)
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i)
        if (tokenizer_.encode("hello wo") != std::vector<std::uint32_t>{kHello, 261, kEnd}) ++count;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

TEST_F(TextTokenizer, ReadsFilesByTheEndsOfTheirNames) {
  const testing_support::TempFolder folder;
  std::ofstream(folder / "tokenizer.json") << byte_level_json().dump();
  std::ofstream(folder / "broken.json") << byte_level_json().dump().substr(0, 1000);
  std::ofstream(folder / "tokenizer.txt") << "x";
  EXPECT_EQ(Tokenizer::from_file(folder / "tokenizer.json").vocabulary_size(), 263u);
  std::ofstream(folder / "tokenizer.model")
      << testing_support::sentencepiece_model(testing_support::byte_fallback_pieces(), 2);
  EXPECT_EQ(Tokenizer::from_file(folder / "tokenizer.model").vocabulary_size(), 270u);
  std::ofstream(folder / "ranks.model") << "YQ== 0\nYg== 1\n";
  std::ofstream(folder / "ranks.tiktoken") << "YQ== 0\nYg== 1\n";
  EXPECT_EQ(Tokenizer::from_file(folder / "ranks.model").vocabulary_size(), 2u);
  EXPECT_EQ(Tokenizer::from_file(folder / "ranks.tiktoken").vocabulary_size(), 2u);
  EXPECT_THAT(error_of<FormatError>([&] { Tokenizer::from_file(folder / "broken.json"); }),
              AllOf(StartsWith("[tokenizer] "), HasSubstr("broken.json: EOF")));
  EXPECT_THAT(error_of<ArgumentError>([&] { Tokenizer::from_file(folder / "tokenizer.txt"); }),
              HasSubstr("tokenizer.txt"));
  EXPECT_THAT(error_of<ArgumentError>([&] { Tokenizer::from_file(folder / "absent.json"); }),
              HasSubstr("absent.json"));
}

TEST_F(TextTokenizer, TheHeadersExamplesAreTrue) {
  const auto ids = tokenizer_.encode("Hello!");
  EXPECT_EQ(tokenizer_.decode(ids, {.skip_special = true}), "Hello!");

  Detokenizer detokenizer(tokenizer_, {.skip_special = true});
  std::string text;
  for (std::uint32_t id : ids) text += detokenizer.push(id);
  EXPECT_EQ(text + detokenizer.finish(), "Hello!");

  ChatTemplate chat("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}");
  EXPECT_EQ(chat.render(R"({"messages": [{"role": "user", "content": "Hi"}]})").text, "<user>Hi");

  const std::vector<std::uint32_t> ends = {kEnd};
  auto grammar = Grammar::json_schema(tokenizer_, ends, R"({"type": "boolean"})");
  GrammarMatcher matcher(grammar);
  const auto sample = [](const TokenMask& mask) {
    std::uint32_t id = 0;
    while (!mask.allows(id)) ++id;
    return id;
  };
  std::vector<std::uint32_t> sampled;
  while (!matcher.is_stopped()) {
    sampled.push_back(sample(matcher.mask()));
    matcher.accept(sampled.back());
  }
  EXPECT_EQ(tokenizer_.decode(sampled), "false");
}

}  // namespace
}  // namespace mlxnx
