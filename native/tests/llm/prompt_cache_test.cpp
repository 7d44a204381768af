#include "mlxnx/llm/prompt_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "error_of.h"
#include "llm/tiny_models.h"
#include "mlxnx/error.h"
#include "mlxnx/io.h"
#include "mlxnx/llm/generate.h"
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
  folder.write("notes.txt", "mine");
  const auto no_place = [&](const std::filesystem::path& place) {
    return error_of<ArgumentError>([&] { llm::require_prompt_cache_place(place); });
  };
  EXPECT_THAT(no_place(folder / "notes.txt"), HasSubstr("is no prompt cache"));
  EXPECT_THAT(no_place(folder.path()), HasSubstr("it is a folder"));
  EXPECT_THAT(no_place(folder / "nowhere/cache"), HasSubstr("there is no folder"));
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

}  // namespace
}  // namespace mlxnx
