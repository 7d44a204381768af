#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "error_of.h"
#include "mlxnx/error.h"
#include "mlxnx/text.h"
#include "text/tiny_tokenizers.h"

namespace mlxnx {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::byte_fallback_pieces;
using testing_support::error_of;
using testing_support::Pieces;
using testing_support::sentencepiece_model;
using testing_support::streamed;
using Ids = std::vector<std::uint32_t>;

constexpr std::uint32_t kFirstByte = 3;
constexpr std::uint32_t kHi = 260;   // "▁hi"
constexpr std::uint32_t kAbc = 262;  // "abc"

TEST(TextSentencePiece, MergesPairsAndFallsBackToBytes) {
  for (const Tokenizer& tokenizer :
       {Tokenizer::from_parts(byte_fallback_pieces().parts()),
        Tokenizer::from_sentencepiece(sentencepiece_model(byte_fallback_pieces(), 2))}) {
    EXPECT_THAT(tokenizer.encode("hi"), ElementsAre(1, kHi));
    EXPECT_THAT(tokenizer.encode("hi hi", {.add_special = false}), ElementsAre(kHi, kHi));
    EXPECT_THAT(tokenizer.encode("abc", {.add_special = false}), ElementsAre(263, kAbc));
    EXPECT_THAT(tokenizer.encode("hié", {.add_special = false}),
                ElementsAre(kHi, kFirstByte + 0xc3, kFirstByte + 0xa9));
    EXPECT_THAT(tokenizer.encode("hi</s><user>", {.add_special = false}), ElementsAre(kHi, 2, 269));
    for (const std::string text : {"hi abc", "  hi", " 漢字 ", "x😀y", ""})
      EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, {.add_special = false})), text);
    EXPECT_TRUE(tokenizer.is_special(1));
    EXPECT_FALSE(tokenizer.is_special(269));
    EXPECT_EQ(tokenizer.piece_of(kHi), " hi");
    EXPECT_EQ(tokenizer.piece_of(kFirstByte + 0xc3), "\xc3");
  }
}

TEST(TextSentencePiece, PutsTokensAroundTextsAsItIsTold) {
  const std::string model = sentencepiece_model(byte_fallback_pieces(), 2);
  EXPECT_THAT(
      Tokenizer::from_sentencepiece(model, {.add_bos = false, .add_eos = true}).encode("hi"),
      ElementsAre(kHi, 2));
  const Pieces pieces = byte_fallback_pieces();
  TokenizerParts parts = pieces.parts();
  parts.add_bos = false;
  parts.add_space_prefix = false;
  const Tokenizer tokenizer = Tokenizer::from_parts(parts);
  EXPECT_THAT(tokenizer.encode("hi"), ElementsAre(264, 265));
  EXPECT_EQ(tokenizer.decode(Ids{kHi}), " hi");
}

TEST(TextSentencePiece, FindsTheBestPiecesOfAUnigramModel) {
  const Tokenizer tokenizer =
      Tokenizer::from_sentencepiece(sentencepiece_model(byte_fallback_pieces(), 1));
  EXPECT_THAT(tokenizer.encode("hi abc", {.add_special = false}), ElementsAre(kHi, 263, kAbc));
  EXPECT_THAT(tokenizer.encode(" hi", {.add_special = false}), ElementsAre(263, kHi));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("hi 漢", {.add_special = false})), "hi 漢");
}

TEST(TextSentencePiece, RefusesOtherModelsByName) {
  EXPECT_THAT(error_of<UnsupportedError>([] {
                Tokenizer::from_sentencepiece(sentencepiece_model(byte_fallback_pieces(), 4));
              }),
              HasSubstr("character model"));
}

TEST(TextParts, ByteLevelVocabulariesAreCutByTheNamedPreTokenizer) {
  TokenizerParts parts{.model = "gpt2",
                       .pre = "smollm",
                       .tokens = {"<|end|>", "1", "2", "12", "Ġ", "a", "Ġa", "h", "i", "hi"},
                       .types = {3, 1, 1, 1, 1, 1, 1, 1, 1, 4},
                       .merges = {"1 2", "Ġ a", "h i", "x y"},
                       .bos = 0};
  EXPECT_THAT(Tokenizer::from_parts(parts).encode("12 a<|end|>hi"), ElementsAre(1, 2, 6, 0, 9));
  parts.pre = "gpt-2";
  parts.add_bos = true;
  EXPECT_THAT(Tokenizer::from_parts(parts).encode("12 a"), ElementsAre(0, 3, 6));
  parts.pre = "qwen9";
  EXPECT_THAT(error_of<UnsupportedError>([&] { Tokenizer::from_parts(parts); }),
              testing::AllOf(HasSubstr("\"qwen9\""), HasSubstr("qwen2")));
}

TEST(TextParts, QwensTextsAreComposedFirst) {
  const auto ids = [](const char* pre) {
    const TokenizerParts parts{
        .model = "gpt2", .pre = pre, .tokens = {"e", "Ã", "©", "Ì", "ģ", "Ã©"}, .merges = {"Ã ©"}};
    return Tokenizer::from_parts(parts).encode("e\u0301");
  };
  EXPECT_THAT(ids("qwen2"), ElementsAre(5));
  EXPECT_THAT(ids("gpt-2"), ElementsAre(0, 3, 4));
}

TEST(TextParts, EveryPreTokenizerCutsAnyText) {
  for (const char* pre :
       {"default", "gpt-2", "llama-bpe", "dbrx", "qwen2", "qwen35", "gpt-4o", "tekken", "smollm",
        "falcon", "deepseek-llm", "deepseek-coder", "deepseek-v3", "bloom", "viking"}) {
    TokenizerParts parts{.model = "gpt2", .pre = pre, .tokens = {"a", "Ġ", "1", "Ċ", "!"}};
    const Tokenizer tokenizer = Tokenizer::from_parts(parts);
    for (const std::string text : {"a a1\n!", "aaa111   \n\n a", "!!! a!1", " "})
      EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, {.add_special = false})), text) << pre;
  }
}

TEST(TextParts, WordsAreSplitIntoTheirParts) {
  const TokenizerParts parts{.model = "bert",
                             .tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁play", "ing", "▁!"},
                             .types = {3, 2, 3, 3, 1, 1, 1},
                             .bos = 2,
                             .unknown = 1,
                             .separator = 3};
  const Tokenizer tokenizer = Tokenizer::from_parts(parts);
  EXPECT_THAT(tokenizer.encode("Playing! xyz"), ElementsAre(2, 4, 5, 6, 1, 3));
  EXPECT_EQ(tokenizer.decode(Ids{4, 5, 6, 4}), "playing! play");
  EXPECT_EQ(streamed(tokenizer, {4, 5, 6, 4}), "playing! play");
}

TEST(TextParts, RefusesWhatDoesNotFitTogether) {
  const auto with = [](auto change) {
    TokenizerParts parts{.model = "llama", .tokens = {"<unk>", "a"}};
    change(parts);
    return [parts] { Tokenizer::from_parts(parts); };
  };
  EXPECT_THAT(error_of<FormatError>(with([](auto& p) { p.scores = {1}; })),
              HasSubstr("1 scores of 2 tokens"));
  EXPECT_THAT(error_of<FormatError>(with([](auto& p) {
                p.types = {1, 1, 1};
              })),
              HasSubstr("3 types of 2 tokens"));
  EXPECT_THAT(error_of<FormatError>(with([](auto& p) { p.bos = 2; })),
              HasSubstr("the bos token is number 2 of 2"));
  EXPECT_THAT(error_of<FormatError>(with([](auto& p) { p.tokens = {}; })), HasSubstr("empty"));
  EXPECT_THAT(error_of<FormatError>(with([](auto& p) {
                p.tokens = {"\xff", "a"};
              })),
              HasSubstr("token 0 is not UTF-8"));
  EXPECT_THAT(error_of<FormatError>(with([](auto& p) {
                p.model = "gpt2";
                p.merges = {"ab"};
              })),
              HasSubstr("\"ab\""));
  EXPECT_THAT(error_of<UnsupportedError>(with([](auto& p) { p.model = "rwkv"; })),
              HasSubstr("rwkv"));
}

TEST(TextTiktoken, ReadsRanks) {
  // a, b, " ", ab, " ab", 0xff
  const std::string ranks = "YQ== 0\nYg== 1\nIA== 2\nYWI= 3\nIGFi 4\n/w== 5\n";
  const Tokenizer tokenizer =
      Tokenizer::from_tiktoken(ranks, {.pattern = "cl100k", .special_tokens = {{"<|end|>", 7}}});
  EXPECT_THAT(tokenizer.encode("ab ab<|end|>ba"), ElementsAre(3, 4, 7, 1, 0));
  EXPECT_EQ(tokenizer.decode(Ids{3, 4, 7}), "ab ab<|end|>");
  EXPECT_EQ(tokenizer.piece_of(5), "\xff");
  EXPECT_EQ(tokenizer.vocabulary_size(), 8u);
  EXPECT_THAT(Tokenizer::from_tiktoken(ranks, {.pattern = "."}).encode("ab"), ElementsAre(0, 1));
  EXPECT_THAT(error_of<FormatError>([&] { Tokenizer::from_tiktoken("YQ== 0\n!! 1\n"); }),
              HasSubstr("line 2"));
}

}  // namespace
}  // namespace mlxnx
