// Texts that go on from a conversation's cache.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "error_of.h"
#include "llm/tiny_models.h"
#include "llm/tiny_text_model.h"
#include "mlxnx/error.h"
#include "mlxnx/llm/prompt_cache.h"
#include "mlxnx/llm/text_model.h"
#include "temp_folder.h"

namespace mlxnx {
namespace {

using namespace testing_support;
using testing::HasSubstr;

std::shared_ptr<llm::PromptCache> memory_of(const llm::Model& model) {
  return std::make_shared<llm::PromptCache>(model);
}

// Tokens of a text that goes on three times, each time with more of the prompt.
TEST(Conversation, IsGivenBackByTextsThatEndAndThatAreGivenUp) {
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

TEST(Conversation, IsLeftAloneByWhatIsRefusedAndEmptiedByWhatFails) {
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
  EXPECT_THROW(llm::TextGenerator(model, {5, 6, 5000, 1}, {}, memory), ValueError);
  EXPECT_EQ(memory->info().tokens, 3U);
  const auto fail = [](std::size_t, std::size_t) -> bool { throw BackendError("no memory left"); };
  {
    llm::TextGenerator failing(model, {5, 6, 8, 1}, {.tokens = {.on_prompt = fail}}, memory);
    EXPECT_THROW(failing.next(), BackendError);
  }
  EXPECT_EQ(memory->info().tokens, 0U);
}

// Windows that have lost rows can't go back, but on.
TEST(Conversation, ServesConversationsWhoseTokensCantBeTakenBack) {
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
TEST(Conversation, HoldsNoMoreThanWasTold) {
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
