#include "mlxnx/llm/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "error_of.h"
#include "llm/tiny_models.h"
#include "mlxnx/error.h"
#include "mlxnx/random.h"

namespace mlxnx {
namespace {

using namespace testing_support;
using testing::ElementsAre;
using testing::HasSubstr;

const Ids kPrompt = {5, 17, 230, 4, 99};

Ids generated(llm::TokenGenerator generator) {
  Ids ids;
  while (const auto token = generator.next()) ids.push_back(token->id);
  return ids;
}

Ids generated(const llm::Model& model, const llm::GenerateOptions& options) {
  return generated(llm::TokenGenerator(model, kPrompt, options));
}

// The most probable token each time, from the whole text anew.
Ids greedy(const llm::Model& model, std::size_t count) {
  Ids text = kPrompt;
  while (text.size() < kPrompt.size() + count) {
    const Tensor logits = logits_of(model, text);
    const Tensor last = slice_along_axis(logits, logits.shape()[0] - 1, 1);
    text.push_back(argmax(last, {.axis = -1}).item<std::uint32_t>());
  }
  return {text.begin() + std::ssize(kPrompt), text.end()};
}

TEST(Generate, TakesTheMostProbableTokens) {
  const llm::Model model = tiny_llama();
  const Ids wanted = greedy(model, 12);
  EXPECT_EQ(generated(model, {.max_tokens = 12}), wanted);
  EXPECT_EQ(generated(model, {.max_tokens = 12, .prefill_step_size = 2}), wanted);
}

TEST(Generate, EndsAfterAsManyTokensAsAreWanted) {
  const llm::Model model = tiny_llama();
  EXPECT_TRUE(generated(model, {.max_tokens = 0}).empty());
  llm::TokenGenerator generator(model, kPrompt, {.max_tokens = 2});
  EXPECT_TRUE(generator.next());
  EXPECT_TRUE(generator.next());
  EXPECT_FALSE(generator.next());
  EXPECT_FALSE(generator.next());
  EXPECT_EQ(generator.tokens().size(), 7U);
  EXPECT_EQ(generator.cached_tokens(), 6U);
  EXPECT_EQ(generator.cache().offset, 6);
}

TEST(Generate, SaysThatAModelAnswersNoNumbers) {
  // Beyond f32.
  const llm::Model model = tiny_llama(
      R"("model_type": "granite", "embedding_multiplier": 1e300, "attention_multiplier": 1,
         "residual_multiplier": 1, "logits_scaling": 1)");
  for (const llm::GenerateOptions& options :
       std::vector<llm::GenerateOptions>{{},
                                         {.sampler = {.temp = 0.7F, .top_k = 5}},
                                         {.speculation = llm::Speculation{.ngram_size = 2}}}) {
    EXPECT_THAT(error_of<ArithmeticError>([&] { generated(model, options); }),
                HasSubstr("[generate] the model answers NaN after 5 tokens"));
  }
}

TEST(Generate, SaysAtOnceWhichGroupsHeadsAreNot) {
  const auto refused = [](const char* settings, std::int64_t group) {
    const llm::KvQuantization form{.group_size = group};
    return error_of<ShapeError>([&] {
      generated(tiny_llama(settings), {.kv_quantization = form, .quantized_kv_start = 1000});
    });
  };
  EXPECT_THAT(refused(R"("head_dim": 96)", 64), HasSubstr("96 numbers are no groups of 64"));
  EXPECT_THAT(refused(R"("head_dim": 80)", 32), HasSubstr("80 numbers are no groups of 32"));
}

TEST(Generate, RepeatsDrawsOfASeed) {
  const llm::Model model = tiny_llama();
  llm::GenerateOptions options{.max_tokens = 20, .sampler = {.temp = 1.5}, .seed = 3};
  const Ids first = generated(model, options);
  EXPECT_EQ(generated(model, options), first);
  options.seed = 4;
  EXPECT_NE(generated(model, options), first);
}

TEST(Generate, GoesOnWithACache) {
  const llm::Model model = tiny_llama();
  llm::Cache cache = llm::prefill(model, std::span(kPrompt).first(3));
  EXPECT_EQ(cache.offset, 3);
  EXPECT_EQ(generated(llm::TokenGenerator(model, {kPrompt.begin() + 3, kPrompt.end()},
                                          {.max_tokens = 5}, cache)),
            greedy(model, 5));
}

TEST(Generate, TellsHowFarThePromptIsAndStops) {
  const llm::Model model = tiny_llama();
  std::vector<std::uint64_t> told;
  llm::GenerateOptions options{.max_tokens = 3, .prefill_step_size = 2};
  options.on_prompt = [&](std::uint64_t done, std::uint64_t total) {
    EXPECT_EQ(total, 5U);
    told.push_back(done);
    return true;
  };
  EXPECT_EQ(generated(model, options).size(), 3U);
  EXPECT_THAT(told, ElementsAre(0, 2, 4, 5));
  options.on_prompt = [](std::uint64_t done, std::uint64_t) { return done < 2; };
  llm::TokenGenerator stopped(model, kPrompt, options);
  EXPECT_FALSE(stopped.next());
  EXPECT_FALSE(stopped.next());
  EXPECT_EQ(stopped.cache().offset, 2);
}

TEST(Generate, FollowsPenaltiesAndBiases) {
  const llm::Model model = tiny_llama();
  llm::GenerateOptions options{.max_tokens = 6};
  options.processors.logit_bias = {{42, 1000.0}};
  EXPECT_THAT(generated(model, options), testing::Each(42U));
  options.processors.presence_penalty = 2000;
  const Ids ids = generated(model, options);
  EXPECT_EQ(ids[0], 42U);
  EXPECT_NE(ids[1], 42U);
}

class Guesses : public testing::TestWithParam<bool> {};

// A second layer whose window has lost rows can't be trimmed: the cache is restored then.
TEST_P(Guesses, ChangeNothing) {
  const char* more =
      GetParam() ? R"("layer_types": ["sliding_attention", "full_attention"], "sliding_window": 3)"
                 : "";
  const llm::Model model = tiny_llama(more);
  const Ids wanted = greedy(model, 15);
  for (const bool is_same : {true, false}) {
    llm::GenerateOptions options{.max_tokens = 15};
    options.speculation = llm::Speculation{.draft_model = is_same ? model : tiny_llama(more, 8),
                                           .num_draft_tokens = 4};
    llm::TokenGenerator generator(model, kPrompt, options);
    Ids ids;
    std::size_t guessed = 0;
    while (const auto token = generator.next()) {
      ids.push_back(token->id);
      guessed += token->from_draft ? 1 : 0;
    }
    EXPECT_EQ(ids, wanted);
    EXPECT_GE(guessed, is_same ? 11U : 0U);
  }
  llm::GenerateOptions options{.max_tokens = 15};
  options.speculation = llm::Speculation{.num_draft_tokens = 3, .ngram_size = 2};
  EXPECT_EQ(generated(model, options), wanted);
}

INSTANTIATE_TEST_SUITE_P(Caches, Guesses, testing::Bool());

// A window that keeps its first rows: several tokens at once would see others than one by one.
TEST(Generate, GuessesChangeNothingWhereMemoryIsFull) {
  const llm::Model model = tiny_llama();
  llm::GenerateOptions options{.max_tokens = 30, .seed = 3, .max_kv_size = 12};
  const Ids wanted = generated(model, options);
  EXPECT_NE(wanted, greedy(model, 30)) << "the window forgot nothing";
  for (const llm::Speculation& how :
       {llm::Speculation{.draft_model = model}, llm::Speculation{.ngram_size = 1}}) {
    options.speculation = how;
    EXPECT_EQ(generated(model, options), wanted);
  }
}

// Rows are quantized from one token to the next, and stay so where guesses are taken back. Chances
// tell what the most probable tokens of so small a model don't.
TEST(Generate, GuessesChangeNothingWhereMemoryIsQuantized) {
  const llm::Model model = tiny_llama(R"("head_dim": 32)");
  const auto chances = [&](const llm::GenerateOptions& options) {
    llm::TokenGenerator generator(model, kPrompt, options);
    std::vector<Tensor> rows;
    while (const auto token = generator.next()) rows.push_back(token->logprobs);
    return stack(rows);
  };
  for (std::int64_t start = 5; start < 14; ++start) {
    llm::GenerateOptions options{.max_tokens = 20, .quantized_kv_start = start};
    const Tensor dense = chances(options);
    options.kv_quantization = llm::KvQuantization{.bits = 2, .group_size = 32};
    const Tensor wanted = chances(options);
    ASSERT_GT(distance(dense, wanted), 1e-3) << "quantizing changes nothing";
    for (const llm::Speculation& how :
         {llm::Speculation{.draft_model = model}, llm::Speculation{.ngram_size = 1}}) {
      options.speculation = how;
      EXPECT_LT(distance(chances(options), wanted), 1e-4) << "from " << start;
    }
  }
}

llm::Model of_vocabulary(int size) {
  return llm::Model::random(
      Config::parse(R"({"model_type": "llama", "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5, "tie_word_embeddings": true, "vocab_size": )" +
                    std::to_string(size) + "}"),
      random::key(1));
}

// Its table may have rows more, whose tokens are no guesses.
TEST(Generate, GuessesOfALargerVocabularyChangeNothing) {
  const llm::Model model = tiny_llama();
  const Ids wanted = greedy(model, 20);
  for (const double temp : {0.0, 5.0}) {
    llm::GenerateOptions options{.max_tokens = 20, .sampler = {.temp = temp}, .seed = 2};
    options.speculation = llm::Speculation{.draft_model = of_vocabulary(3000)};
    const Ids ids = generated(model, options);
    EXPECT_EQ(ids.size(), 20U);
    if (temp == 0) {
      EXPECT_EQ(ids, wanted);
    }
  }
}

TEST(Generate, SaysThatADraftModelKnowsOtherTokens) {
  llm::GenerateOptions options{.max_tokens = 5};
  options.speculation = llm::Speculation{.draft_model = of_vocabulary(100)};
  EXPECT_THAT(error_of<ArgumentError>([&] { generated(tiny_llama(), options); }),
              HasSubstr("the draft model has a vocabulary of 100, and the text has the token 230"));
}

TEST(Generate, DraftsTakeTextsThatMemoryForgets) {
  const llm::Model model = tiny_llama(R"("max_position_embeddings": 60)");
  llm::GenerateOptions options{.max_tokens = 5, .max_kv_size = 200};
  const Ids longer(100, 7);
  const Ids wanted = generated(llm::TokenGenerator(model, longer, options));
  options.speculation = llm::Speculation{.draft_model = model};
  EXPECT_EQ(generated(llm::TokenGenerator(model, longer, options)), wanted);
}

// Of the smallest window only what it keeps stays.
TEST(Generate, TheSmallestMemoryTakesPromptsInParts) {
  const llm::Model model = tiny_llama();
  const Ids longer(20, 7);
  for (const std::int64_t step : {1, 2, 3, 5, 7}) {
    const Ids ids = generated(llm::TokenGenerator(
        model, longer, {.max_tokens = 3, .prefill_step_size = step, .max_kv_size = 5}));
    EXPECT_EQ(ids.size(), 3U) << step;
  }
}

TEST(Generate, TheColdestTextIsTheMostProbable) {
  const llm::Model model = tiny_llama();
  for (const double temp : {1e-7, 1e-40, 1e-300})
    EXPECT_EQ(generated(model, {.max_tokens = 9, .sampler = {.temp = temp}}), greedy(model, 9));
}

// GPT-2 has a row for each position.
TEST(Generate, EndsWithTheLastPosition) {
  const llm::Model model = llm::Model::random(
      Config::parse(R"({"model_type": "gpt2", "n_embd": 32, "n_head": 4, "n_layer": 1, "n_ctx": 9,
        "n_positions": 9, "vocab_size": 300, "layer_norm_epsilon": 1e-5})"),
      random::key(7));
  const Ids all = generated(model, {.max_tokens = 30});
  EXPECT_EQ(all.size(), 9 - kPrompt.size() + 1);
  EXPECT_EQ(generated(model, {.max_tokens = 30, .max_kv_size = 20}), all);
  llm::GenerateOptions guessing{.max_tokens = 30};
  guessing.speculation = llm::Speculation{.draft_model = model, .num_draft_tokens = 6};
  EXPECT_EQ(generated(model, guessing), all);
  llm::TokenGenerator generator(model, kPrompt, {.max_tokens = 30});
  EXPECT_FALSE(generator.is_full());
  while (generator.next()) {
  }
  EXPECT_TRUE(generator.is_full());
  const Ids longer(10, 1);
  const auto refused = [&](const auto& call) { return error_of<ArgumentError>(call); };
  EXPECT_THAT(refused([&] { llm::TokenGenerator(model, longer, {.max_kv_size = 8}); }),
              HasSubstr("10 tokens, and the model knows 9 positions: shorten it"));
  EXPECT_THAT(refused([&] { llm::prefill(model, longer); }), HasSubstr("knows 9 positions"));
  EXPECT_THAT(refused([&] { logits_of(model, longer); }), HasSubstr("has learned 9 positions"));
}

TEST(Thinking, EndsWhenItsBudgetIsSpent) {
  const llm::Model model = tiny_llama();
  llm::GenerateOptions options{.max_tokens = 12};
  options.thinking = llm::ThinkingBudget{.max_tokens = 4, .start = {4, 99}, .end = {200, 201}};
  const Ids ids = generated(model, options);
  EXPECT_EQ(ids[4], 200U);
  EXPECT_EQ(ids[5], 201U);
  EXPECT_EQ(std::ranges::count(ids, 201U), 1);
  // Nothing is put in where no thought began.
  options.thinking->start = {298, 297};
  EXPECT_EQ(generated(model, options), greedy(model, 12));
}

TEST(Generate, RefusesWhatItCantDo) {
  const llm::Model model = tiny_llama();
  const auto refused = [&](Ids prompt, const llm::GenerateOptions& options) {
    return error_of<ArgumentError>([&] { llm::TokenGenerator(model, prompt, options); });
  };
  EXPECT_THAT(refused({}, {}), HasSubstr("the prompt is empty"));
  EXPECT_THAT(refused({1}, {.max_tokens = -2}), HasSubstr("max_tokens"));
  EXPECT_THAT(refused({1}, {.prefill_step_size = 0}), HasSubstr("prefill_step_size"));
  EXPECT_THAT(refused({1}, {.max_kv_size = 8, .kv_quantization = llm::KvQuantization{}}),
              HasSubstr("can't be quantized"));
  EXPECT_THAT(refused({1}, {.kv_quantization = llm::KvQuantization{.group_size = 0}}),
              HasSubstr("groups are of 32, 64 or 128 weights, got group_size 0"));
  EXPECT_THAT(refused({1}, {.kv_quantization = llm::KvQuantization{.bits = 7}}),
              HasSubstr("2, 3, 4, 5, 6 or 8 bits, got 7"));
  EXPECT_THROW(generated(llm::TokenGenerator(model, {1, 300, 2})), ValueError);
  const llm::Model short_one = tiny_llama(R"("max_position_embeddings": 4)");
  EXPECT_THAT(error_of<ArgumentError>([&] { llm::TokenGenerator(short_one, kPrompt); }),
              HasSubstr("5 tokens, and the model knows 4 positions"));
  EXPECT_THROW(generated(tiny_llama(R"("max_position_embeddings": -1)"), {}), FormatError);
  const llm::Model endless = tiny_llama(
      R"("max_position_embeddings": 4, "rope_scaling": {"rope_type": "linear", "factor": 1e300})");
  EXPECT_EQ(generated(endless, {.max_tokens = 2}).size(), 2U);
  EXPECT_EQ(generated(llm::TokenGenerator(short_one, kPrompt, {.max_tokens = 2, .max_kv_size = 8}))
                .size(),
            2U);
  EXPECT_THROW(generated(model, {.sampler = {.temp = -1}}), ArgumentError);
  for (const std::int64_t count : {0, 257}) {
    llm::GenerateOptions guessing;
    guessing.speculation = llm::Speculation{.num_draft_tokens = count};
    EXPECT_THAT(refused({1}, guessing), HasSubstr("num_draft_tokens has to be from 1 to 256"));
  }
  const double nan = std::nan(""), none = -std::numeric_limits<double>::infinity();
  EXPECT_THAT(error_of<ArgumentError>([&] {
                generated(model, {.processors = {.logit_bias = {{3, nan}}}});
              }),
              HasSubstr("the bias of the token 3 has to be a number"));
  EXPECT_NO_THROW(generated(model, {.max_tokens = 1, .processors = {.logit_bias = {{3, none}}}}));
  llm::Cache other = model.make_cache();
  other.layers.pop_back();
  EXPECT_THAT(error_of<ArgumentError>([&] { llm::TokenGenerator(model, kPrompt, {}, other); }),
              HasSubstr("the cache is that of another model"));
  EXPECT_THAT(error_of<ArgumentError>(
                  [&] { generated(model, {.processors = {.presence_penalty = std::nan("")}}); }),
              HasSubstr("a penalty has to be a finite number"));
}

}  // namespace
}  // namespace mlxnx
