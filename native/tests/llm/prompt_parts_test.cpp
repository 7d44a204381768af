// Tokens from a model, and how its prompt goes in part by part.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "error_of.h"
#include "mlxnx/device.h"
#include "mlxnx/error.h"
#include "mlxnx/llm/generate.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/random.h"

namespace mlxnx::llm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing_support::error_of;
using Ids = std::vector<std::uint32_t>;

Model small_model(int vocabulary = 40) {
  return Model::random(Config::parse(R"({
    "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0, "tie_word_embeddings": true, "vocab_size": )" +
                                     std::to_string(vocabulary) + "}"),
                       random::key(3));
}

Ids prompt_of(std::size_t length) {
  Ids ids;
  for (std::size_t i = 0; i < length; ++i) ids.push_back(static_cast<std::uint32_t>(i * 7 % 40));
  return ids;
}

Ids all_of(TokenGenerator& tokens) {
  Ids ids;
  while (const auto token = tokens.next()) ids.push_back(token->id);
  return ids;
}

std::vector<std::pair<std::size_t, std::size_t>> parts_of(TokenGenerator& tokens) {
  std::vector<std::pair<std::size_t, std::size_t>> parts;
  while (const auto progress = tokens.prefill_part())
    parts.emplace_back(progress->done, progress->total);
  return parts;
}

TEST(TokenGenerator, TakesThePromptPartByPart) {
  const Model model = small_model();
  const GenerateOptions options{.max_tokens = 6, .prefill_step_size = 4};
  TokenGenerator at_once(model, prompt_of(10), options);
  const Ids expected = all_of(at_once);
  EXPECT_EQ(expected.size(), 6u);

  TokenGenerator by_parts(model, prompt_of(10), options);
  EXPECT_THAT(parts_of(by_parts), ElementsAre(Pair(4, 10), Pair(8, 10), Pair(9, 10)));
  EXPECT_EQ(by_parts.cached_tokens(), 9u);
  EXPECT_EQ(all_of(by_parts), expected);
  EXPECT_THAT(parts_of(by_parts), ElementsAre());

  // Whoever asks for one part gets the rest with the first token.
  TokenGenerator mixed(model, prompt_of(10), options);
  EXPECT_EQ(mixed.prefill_part()->done, 4u);
  EXPECT_EQ(all_of(mixed), expected);
}

TEST(TokenGenerator, HasNoPartsWhereNothingIsToBeGiven) {
  const Model model = small_model();
  TokenGenerator one(model, prompt_of(1), {.max_tokens = 2});
  EXPECT_THAT(parts_of(one), ElementsAre());
  TokenGenerator none(model, prompt_of(5), {.max_tokens = 0});
  EXPECT_THAT(parts_of(none), ElementsAre());
  EXPECT_THAT(all_of(none), ElementsAre());
}

TEST(TokenGenerator, TellsOfThePromptAndStops) {
  const Model model = small_model();
  Ids told;
  GenerateOptions options{.max_tokens = 2, .prefill_step_size = 4};
  options.on_prompt = [&](std::uint64_t done, std::uint64_t) {
    told.push_back(static_cast<std::uint32_t>(done));
    return true;
  };
  TokenGenerator tokens(model, prompt_of(10), options);
  EXPECT_EQ(all_of(tokens).size(), 2u);
  EXPECT_THAT(told, ElementsAre(0, 4, 8, 9, 10));

  options.on_prompt = [](std::uint64_t done, std::uint64_t) { return done < 8; };
  TokenGenerator stopped(model, prompt_of(10), options);
  EXPECT_THAT(all_of(stopped), ElementsAre());
  EXPECT_EQ(stopped.cached_tokens(), 8u);
  EXPECT_THAT(parts_of(stopped), ElementsAre());

  EXPECT_EQ(prefill(model, prompt_of(10), options).offset, 8);
  options.on_prompt = {};
  EXPECT_EQ(prefill(model, prompt_of(10), options).offset, 10);
}

TEST(TokenGenerator, KeepsNoLogitsOfAPrompt) {
  const Model model = small_model(20'000);
  for (const bool has_draft : {false, true}) {
    GenerateOptions options{.max_tokens = 6, .prefill_step_size = 64};
    if (has_draft) options.speculation = Speculation{.draft_model = model};
    TokenGenerator tokens(model, prompt_of(1500), options);
    reset_peak_memory();
    EXPECT_EQ(all_of(tokens).size(), 6u);
    // Those of all tokens would be 120 MB.
    EXPECT_LT(memory_info().peak_bytes, 40'000'000u) << has_draft;
  }
}

TEST(TokenGenerator, RefusesOptionsThatAreNone) {
  const Model model = small_model();
  const auto refusal = [&](const GenerateOptions& options) {
    return error_of<ArgumentError>([&] { TokenGenerator(model, {1}, options); });
  };
  EXPECT_THAT(refusal({.max_tokens = -2}), HasSubstr("max_tokens is negative"));
  EXPECT_THAT(refusal({.prefill_step_size = 0}), HasSubstr("prefill_step_size is less than 1"));
  EXPECT_THAT(refusal({.speculation = Speculation{.num_draft_tokens = 0}}),
              HasSubstr("num_draft_tokens has to be from 1"));
  EXPECT_THAT(refusal({.speculation = Speculation{.ngram_size = 0}}),
              HasSubstr("ngram_size is less than 1"));
  EXPECT_THAT(refusal({.thinking = ThinkingBudget{.max_tokens = -1}}),
              HasSubstr("thinking budget is negative"));
}

TEST(TokenGenerator, RefusesPromptsThatAreNone) {
  const Model model = small_model();
  EXPECT_THAT(error_of<ArgumentError>([&] { TokenGenerator(model, {}); }),
              HasSubstr("the prompt is empty"));
  EXPECT_THAT(error_of<ValueError>([&] {
                TokenGenerator(model, {1, 40});
              }),
              HasSubstr("there is no token 40 in a vocabulary of 40"));
  const std::vector<std::uint32_t> tokens{40, 1};
  EXPECT_THAT(error_of<ValueError>([&] { prefill(model, tokens); }), HasSubstr("no token 40"));
}

}  // namespace
}  // namespace mlxnx::llm
