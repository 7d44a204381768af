#include "mlxnx/llm/cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "error_of.h"
#include "llm/tiny_models.h"
#include "mlxnx/error.h"

namespace mlxnx {
namespace {

using namespace testing_support;
using testing::HasSubstr;

constexpr double kNear = 1e-5;
const Ids kText = {5, 17, 230, 4, 4, 99, 150, 3, 77, 21, 8, 250};

constexpr const char* kWindow =
    R"("layer_types": ["sliding_attention", "full_attention"], "sliding_window": 4)";
constexpr const char* kNoWider =
    R"("layer_types": ["sliding_attention", "full_attention"], "sliding_window": 1)";

// The same text in pieces of these lengths.
Tensor in_pieces(const llm::Model& model, const std::vector<std::size_t>& lengths,
                 llm::Cache cache) {
  std::vector<Tensor> parts;
  auto at = kText.begin();
  for (const std::size_t length : lengths) {
    const auto end = at + static_cast<std::ptrdiff_t>(length);
    parts.push_back(logits_of(model, Ids(at, end), cache));
    at = end;
  }
  return concatenate(parts);
}

class Pieces : public testing::TestWithParam<const char*> {};

TEST_P(Pieces, GiveWhatTheWholeTextGives) {
  const llm::Model model = tiny_llama(GetParam());
  const Tensor whole = logits_of(model, kText);
  const std::vector<std::vector<std::size_t>> cuts = {
      {5, 7}, {3, 3, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, {6, 1, 1, 3, 1}, {1, 6, 5}};
  for (const auto& lengths : cuts)
    EXPECT_LT(distance(in_pieces(model, lengths, model.make_cache()), whole), kNear);
}

TEST_P(Pieces, GoOnFromASnapshot) {
  const llm::Model model = tiny_llama(GetParam());
  llm::Cache cache = model.make_cache();
  logits_of(model, {kText.begin(), kText.begin() + 6}, cache);
  const llm::Cache before = cache;
  logits_of(model, {1, 2, 3}, cache);
  llm::Cache again = before;
  const Tensor rest = logits_of(model, {kText.begin() + 6, kText.end()}, again);
  EXPECT_LT(distance(rest, slice_along_axis(logits_of(model, kText), 6, 6)), kNear);
  EXPECT_EQ(before.offset, 6);
}

INSTANTIATE_TEST_SUITE_P(Windows, Pieces, testing::Values("", kWindow, kNoWider));

TEST(Batches, OfPaddedTextsGiveWhatEachGivesAlone) {
  for (const char* more : {"", kWindow}) {
    const llm::Model model = tiny_llama(more);
    const std::vector<Ids> texts = {{4, 8, 15, 16, 23, 42}, {7, 9}, {100, 200, 30, 40}};
    llm::Cache cache = model.make_cache({.left_padding = {0, 4, 2}});
    const Tensor logits =
        model.forward(tokens_of({texts[0], {0, 0, 0, 0, 7, 9}, {0, 0, 100, 200, 30, 40}}), cache);
    const Tensor next = model.forward(tokens_of({{1}, {2}, {3}}), cache);
    for (std::size_t row = 0; row < texts.size(); ++row) {
      llm::Cache own = model.make_cache();
      const std::int64_t length = std::ssize(texts[row]);
      const Tensor alone = logits_of(model, texts[row], own);
      const Tensor padded = take(logits, Tensor(static_cast<int>(row)));
      EXPECT_LT(distance(slice_along_axis(padded, 6 - length, length), alone), kNear);
      const Tensor one = logits_of(model, {static_cast<std::uint32_t>(row + 1)}, own);
      EXPECT_LT(distance(take(next, Tensor(static_cast<int>(row))), one), kNear);
    }
  }
}

TEST(Trimming, ForgetsTheLastTokens) {
  const llm::Model model = tiny_llama();
  llm::Cache cache = model.make_cache();
  logits_of(model, kText, cache);
  EXPECT_EQ(cache.trim(4), 4);
  EXPECT_EQ(cache.offset, 8);
  const Tensor rest = logits_of(model, {kText.end() - 4, kText.end()}, cache);
  EXPECT_LT(distance(rest, slice_along_axis(logits_of(model, kText), 8, 4)), kNear);
  EXPECT_EQ(cache.trim(100), 12);
  EXPECT_EQ(cache.offset, 0);
}

TEST(Trimming, IsRefusedWhereAWindowHasLostTokens) {
  const llm::Model model = tiny_llama(kWindow);
  llm::Cache cache = model.make_cache();
  for (const std::uint32_t token : kText) logits_of(model, {token}, cache);
  EXPECT_FALSE(cache.can_trim());
  EXPECT_THAT(error_of<ArgumentError>([&] { cache.trim(1); }), HasSubstr("copy of the cache"));
}

TEST(KeptTokens, AreThoseThatAWindowDoesNotLose) {
  const llm::Model model = tiny_llama();
  llm::Cache cache = model.make_cache({.max_kv_size = 8});
  for (const std::uint32_t token : kText) logits_of(model, {token}, cache);
  const auto& rows = std::get<llm::KeyValues>(cache.layers[0]);
  EXPECT_EQ(rows.length, 8);
  EXPECT_EQ(rows.lost, 4);
  EXPECT_EQ(rows.keep, 4);
  EXPECT_THROW(model.make_cache({.max_kv_size = 4}), ArgumentError);
}

TEST(QuantizedRows, AnswerNearlyTheSameInAQuarterOfTheMemory) {
  const llm::Model model = tiny_llama(R"("head_dim": 64)");
  llm::Cache dense = model.make_cache(), packed = model.make_cache();
  Ids text;
  for (std::uint32_t i = 0; i < 250; ++i) text.push_back(i * 7 % 300);
  logits_of(model, text, dense);
  logits_of(model, text, packed);
  packed.quantize({.bits = 8, .group_size = 64});
  EXPECT_LT(packed.byte_size(), dense.byte_size() * 3 / 10);
  const Tensor a = logits_of(model, {5, 6, 7}, dense), b = logits_of(model, {5, 6, 7}, packed);
  EXPECT_LT(distance(a, b), 0.05);
  EXPECT_GT(distance(a, b), 0);
}

TEST(Caches, OfAnotherModelAreRefused) {
  const llm::Model model = tiny_llama(), other = tiny_llama(R"("num_hidden_layers": 3)");
  llm::Cache cache = other.make_cache();
  EXPECT_THAT(error_of<ArgumentError>([&] { logits_of(model, {1}, cache); }),
              HasSubstr("3 layers, and the model has 2"));
  llm::Cache padded = model.make_cache({.left_padding = {0, 1}});
  EXPECT_THROW(logits_of(model, {1}, padded), ShapeError);
}

}  // namespace
}  // namespace mlxnx
