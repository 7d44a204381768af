#include "mlxnx/llm/prompt_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "error_of.h"
#include "llm/tiny_models.h"
#include "llm/tiny_text_model.h"
#include "mlxnx/error.h"
#include "mlxnx/io.h"
#include "mlxnx/llm/generate.h"
#include "mlxnx/llm/text_model.h"
#include "temp_folder.h"

namespace mlxnx {
namespace {

using namespace testing_support;
using testing::HasSubstr;

const Ids kText = {5, 17, 230, 4, 99, 150, 3};

void expect_same_after_file(const llm::Model& model, llm::Cache cache) {
  const TempFolder folder;
  llm::save_prompt_cache(folder / "cache.safetensors", cache, {{"model", "tiny"}});
  llm::SavedCache saved = llm::load_prompt_cache(folder / "cache.safetensors");
  EXPECT_EQ(saved.metadata.at("model"), "tiny");
  EXPECT_EQ(saved.cache.offset, cache.offset);
  // What is computed at once and what by graphs differ in their last digits.
  for (const std::uint32_t token : {8U, 9U, 10U})
    EXPECT_LT(distance(logits_of(model, {token}, saved.cache), logits_of(model, {token}, cache)),
              1e-5);
}

TEST(CacheFiles, HoldAllThatIsNeededToGoOn) {
  const llm::Model model = tiny_llama(R"("head_dim": 32)");
  llm::Cache cache = llm::prefill(model, kText);
  expect_same_after_file(model, cache);
  cache.quantize({.bits = 4, .group_size = 32});
  expect_same_after_file(model, cache);
}

TEST(CacheFiles, HoldWindowsBeforeAndAfterTheyAreFull) {
  const llm::Model model =
      tiny_llama(R"("layer_types": ["sliding_attention", "full_attention"], "sliding_window": 4)");
  llm::Cache cache = model.make_cache();
  for (const std::uint32_t token : kText) {
    logits_of(model, {token}, cache);
    expect_same_after_file(model, cache);
  }
}

TEST(CacheFiles, RefuseWhatTheyAreNot) {
  const TempFolder folder;
  const auto path = folder / "x.safetensors";
  const auto refused = [&](const std::map<std::string, Tensor>& tensors,
                           const std::map<std::string, std::string>& header) {
    save_safetensors(path, tensors, header);
    return error_of<FormatError>([&] { llm::load_prompt_cache(path); });
  };
  const Tensor rows = constant(0.0, DType::f32, {1, 1, 4, 8});
  EXPECT_THAT(refused({{"a", rows}}, {}), HasSubstr("no cache of mlx-lm's"));
  EXPECT_THAT(refused({{"0.0", rows}}, {{"1.0", "KVCache"}}), HasSubstr("there is no \"0.1\""));
  EXPECT_THAT(refused({{"0.0", rows}, {"0.1", rows}, {"0.2", Tensor(9)}}, {{"1.0", "KVCache"}}),
              HasSubstr("9 tokens, and 4 rows"));
  EXPECT_THAT(
      refused({{"0.0", rows}, {"0.1", constant(0.0, DType::f32, {1, 1, 5, 8})}, {"0.2", Tensor(4)}},
              {{"1.0", "KVCache"}}),
      HasSubstr("different lengths"));
  EXPECT_THAT(refused({{"0.0", Tensor(1)}}, {{"1.0", "KVCache"}}), HasSubstr("four axes"));
  save_safetensors(path, {{"0.0", rows}}, {{"1.0", "NewCache"}});
  EXPECT_THAT(error_of<UnsupportedError>([&] { llm::load_prompt_cache(path); }),
              HasSubstr("NewCache"));
  EXPECT_THROW(llm::save_prompt_cache(path, tiny_llama().make_cache()), ArgumentError);
}

TEST(CacheFiles, TellTheirTokens) {
  const TempFolder folder;
  const auto path = folder / "x.safetensors";
  const llm::Cache cache = llm::prefill(tiny_llama(), kText);
  llm::save_prompt_cache(path, cache, {{"model", "tiny"}}, kText);
  const llm::SavedCache saved = llm::load_prompt_cache(path);
  EXPECT_EQ(saved.tokens, kText);
  EXPECT_EQ(saved.metadata, (std::map<std::string, std::string>{{"model", "tiny"}}));
  llm::save_prompt_cache(path, cache);
  EXPECT_TRUE(llm::load_prompt_cache(path).tokens.empty());
  for (const char* text : {"1 2", "1 2 3 4 5 6 x", "5,17,230,4,99,150,3", "1  2 3 4 5 6 7"}) {
    llm::save_prompt_cache(path, cache, {{"tokens", text}});
    EXPECT_THAT(error_of<FormatError>([&] { llm::load_prompt_cache(path); }),
                testing::AnyOf(HasSubstr("2 tokens, and holds 7"), HasSubstr("list of tokens")));
  }
}

std::shared_ptr<llm::PromptCache> memory_of(const llm::Model& model) {
  return std::make_shared<llm::PromptCache>(model);
}

TEST(PromptCache, GivesTheLongestBeginning) {
  const llm::Model model = tiny_llama();
  llm::PromptCache memory(model);
  memory.put(llm::prefill(model, kText), kText);
  EXPECT_EQ(memory.info().tokens, kText.size());
  EXPECT_GT(memory.info().bytes, 0U);
  const auto [same, all] = memory.take(kText);
  EXPECT_EQ(all, kText.size() - 1);
  EXPECT_EQ(same.offset, 6);
  const auto [part, some] = memory.take({5, 17, 1, 1});
  EXPECT_EQ(some, 2U);
  EXPECT_EQ(part.offset, 2);
  const auto [none, nothing] = memory.take({6});
  EXPECT_EQ(nothing, 0U);
  EXPECT_EQ(none.offset, 0);
}

TEST(PromptCache, GoesOnFromAnEarlierOneWhereTokensCantBeTakenBack) {
  const llm::Model model = tiny_llama(
      R"("layer_types": ["sliding_attention", "sliding_attention"], "sliding_window": 2)");
  llm::PromptCache memory(model);
  llm::Cache cache = model.make_cache();
  for (std::size_t i = 0; i < kText.size(); ++i) {
    logits_of(model, {kText[i]}, cache);
    if (i == 3 || i == 6)
      memory.put(cache, {kText.begin(),
                         kText.begin() + std::ssize(kText) - 6 + static_cast<std::ptrdiff_t>(i)});
  }
  Ids other = kText;
  other.back() = 1;
  const auto [earlier, known] = memory.take(other);
  EXPECT_EQ(known, 4U);
  EXPECT_EQ(earlier.offset, 4);
}

TEST(PromptCache, GivesCachesOfTheFormThatIsAskedFor) {
  const llm::Model model = tiny_llama(R"("head_dim": 32)");
  const llm::GenerateOptions plain, window{.max_kv_size = 16},
      packed{.kv_quantization = llm::KvQuantization{.bits = 4, .group_size = 32}};
  llm::GenerateOptions later = packed;
  later.quantized_kv_start = 100;
  const llm::GenerateOptions all[] = {plain, window, packed, later};
  for (const auto& put : all) {
    llm::PromptCache memory(model);
    memory.put(llm::prefill(model, kText, put), kText, put);
    for (const auto& take : all)
      EXPECT_EQ(memory.take(kText, take).known, &put == &take ? kText.size() - 1 : 0);
  }
}

// What a generator that was given all of a prompt answers, whatever is known of it.
TEST(PromptCache, ServesTextsWithoutChangingThem) {
  const llm::Model model = tiny_llama();
  const Ids prompt = {5, 17, 230, 4, 99, 150, 3, 8, 8, 17};
  const auto told = [&](llm::TokenGenerator tokens) {
    while (tokens.next()) continue;
    return tokens.tokens();
  };
  const auto known_of = [&](std::size_t count) {
    return llm::prefill(model, std::span(prompt).first(count));
  };
  for (const llm::GenerateOptions& options :
       {llm::GenerateOptions{.max_tokens = 8},
        llm::GenerateOptions{.max_tokens = 8, .processors = {.repetition_penalty = 3}},
        llm::GenerateOptions{.max_tokens = 8, .speculation = llm::Speculation{}},
        llm::GenerateOptions{.max_tokens = 8,
        .speculation = llm::Speculation{.draft_model = model}}}) {
    const Ids wanted = told({model, prompt, options});
    for (const std::size_t known : {1U, 5U, 9U})
      EXPECT_EQ(told({model, prompt, options, known_of(known), known}), wanted);
  }
  const auto refused = [&](std::size_t held, std::size_t known) {
    return error_of<ArgumentError>(
        [&] { llm::TokenGenerator(model, prompt, {}, known_of(held), known); });
  };
  EXPECT_THAT(refused(10, 10), HasSubstr("all of the prompt"));
  EXPECT_THAT(refused(3, 4), HasSubstr("not what is said"));
  llm::TokenGenerator tokens(model, prompt, {.prefill_step_size = 2}, known_of(5), 5);
  const auto progress = tokens.prefill_part();
  EXPECT_EQ(progress->done, 7U);
  EXPECT_EQ(progress->total, 10U);
}

// Tokens of a text that goes on three times, each time with more of the prompt.
TEST(PromptCache, IsGivenBackByTextsThatEndAndThatAreGivenUp) {
  const TempFolder folder;
  write_text_model(folder);
  const llm::TextModel model = llm::TextModel::load(folder.path());
  const auto memory = memory_of(model.model());
  const llm::TextOptions options{
      .tokens = {.max_tokens = 6, .processors = {.logit_bias = {{262, -1e9}}}}};
  Ids prompt = {5, 6, 7, 8, 9};
  const auto ask = [&](std::size_t pieces) {
    llm::TextGenerator text(model, prompt, options, memory);
    const std::size_t known = text.stats().cached_tokens;
    EXPECT_EQ(memory->info().tokens, 0U);
    for (std::size_t i = 0; i < pieces && text.next(); ++i) continue;
    prompt = text.tokens().tokens();
    prompt.push_back(7);
    EXPECT_EQ(text.stats().prompt_tokens + text.stats().generation_tokens + 1, prompt.size());
    return known;
  };
  EXPECT_EQ(ask(100), 0U);
  EXPECT_EQ(memory->info().tokens, 10U);  // the last one was not given to the model
  EXPECT_EQ(ask(2), 10U);
  EXPECT_EQ(memory->info().tokens, 13U);
  EXPECT_EQ(ask(1), 13U);
  const llm::GeneratedText alone = generate(model, prompt, options);
  llm::TextGenerator last(model, prompt, options, memory);
  std::string text;
  while (const auto piece = last.next()) text += piece->text;
  EXPECT_EQ(text, alone.text);
  EXPECT_EQ(last.stats().cached_tokens + 2, prompt.size());
}

TEST(PromptCache, IsLeftAloneByWhatIsRefusedAndEmptiedByWhatFails) {
  const TempFolder folder;
  write_text_model(folder);
  const llm::TextModel model = llm::TextModel::load(folder.path());
  const auto memory = memory_of(model.model());
  generate(model, model.prompt("x"), {});
  { llm::TextGenerator(model, {5, 6, 7}, {.tokens = {.max_tokens = 2}}, memory).next(); }
  EXPECT_EQ(memory->info().tokens, 3U);
  EXPECT_THROW(llm::TextGenerator(model, {}, {}, memory), ArgumentError);
  EXPECT_EQ(memory->info().tokens, 3U);
  const auto other = memory_of(tiny_llama());
  EXPECT_THAT(error_of<ArgumentError>([&] { llm::TextGenerator(model, {5}, {}, other); }),
              HasSubstr("that of another model"));
  { EXPECT_THROW(llm::TextGenerator(model, {5, 6, 5000, 1}, {}, memory).next(), ValueError); }
  EXPECT_EQ(memory->info().tokens, 0U);
}

// Windows that have lost rows can't go back, but on.
TEST(PromptCache, ServesConversationsWhoseTokensCantBeTakenBack) {
  const TempFolder folder;
  write_text_model(folder);
  const llm::TextModel model(
      tiny_llama(
          R"("layer_types": ["sliding_attention", "sliding_attention"], "sliding_window": 4)"),
      llm::TextModel::load(folder.path()).tokenizer());
  const auto memory = memory_of(model.model());
  Ids prompt = {5, 6, 7, 8, 9, 10};
  std::size_t known = 0;
  for (int turn = 0; turn < 6; ++turn) {
    const llm::TextOptions options{.tokens = {.max_tokens = 5}};
    const llm::GeneratedText alone = generate(model, prompt, options);
    llm::TextGenerator text(model, prompt, options, memory);
    EXPECT_EQ(text.stats().cached_tokens, known);
    Ids told;
    while (const auto piece = text.next()) told.push_back(piece->token->id);
    EXPECT_EQ(told, alone.tokens);
    known = text.tokens().cached_tokens();
    prompt = text.tokens().tokens();
    prompt.insert(prompt.end(), {20, 21});
  }
  EXPECT_EQ(memory->info().tokens, known);
  // Another question at the third turn goes on from the end of the second answer that is
  // remembered.
  prompt.resize(prompt.size() - 12);
  prompt.back() = 30;
  const std::size_t earlier = llm::TextGenerator(model, prompt, {}, memory).stats().cached_tokens;
  EXPECT_GT(earlier, 0U);
  EXPECT_LT(earlier, prompt.size());
}

// Guesses that hold and were not asked for are taken back.
TEST(PromptCache, HoldsNoMoreThanWasTold) {
  const TempFolder folder;
  write_text_model(folder);
  const llm::TextModel model = llm::TextModel::load(folder.path());
  const auto memory = memory_of(model.model());
  const llm::TextOptions options{
      .tokens = {.max_tokens = 20, .speculation = llm::Speculation{.draft_model = model.model()}}};
  Ids told;
  {
    llm::TextGenerator text(model, {5, 6, 7}, options, memory);
    text.next();
    told = text.tokens().tokens();
    EXPECT_GT(text.tokens().cached_tokens(), told.size());
  }
  EXPECT_EQ(memory->info().tokens, told.size());
  told.push_back(9);
  EXPECT_EQ(memory->take(told).cache.offset, 4);
}

}  // namespace
}  // namespace mlxnx
