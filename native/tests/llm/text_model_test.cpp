#include "mlxnx/llm/text_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "error_of.h"
#include "llm/tiny_text_model.h"
#include "mlxnx/error.h"

namespace mlxnx {
namespace {

using namespace testing_support;
using testing::HasSubstr;

llm::TextModel tiny_text_model() {
  return {tiny_llama(),
          Tokenizer::from_json(byte_level_json().dump()),
          kChatTemplate,
          {kEnd},
          R"({"eos_token": "<|end|>"})"};
}

TEST(TextModel, IsLoadedWithAllThatLiesInItsFolder) {
  const TempFolder folder;
  write_text_model(folder);
  const llm::TextModel loaded = llm::TextModel::load(folder.path());
  EXPECT_THAT(loaded.eos_tokens(), testing::ElementsAre(kEnd));
  EXPECT_EQ(loaded.chat_text(R"([{"role": "user", "content": "Hi"}])"),
            "<user>Hi<|end|><assistant>");
  EXPECT_EQ(
      generate(loaded, loaded.prompt("hello"), {.tokens = {.max_tokens = 5}}).tokens,
      generate(tiny_text_model(), loaded.prompt("hello"), {.tokens = {.max_tokens = 5}}).tokens);
}

TEST(TextModel, WritesMessagesAsItsTemplateSays) {
  const llm::TextModel model = tiny_text_model();
  const auto refused = [&](const char* messages, const llm::ChatOptions& options = {}) {
    return error_of<ArgumentError>([&] { model.chat_text(messages, options); });
  };
  EXPECT_EQ(
      model.chat_text(R"([{"role": "user", "content": "a"}])", {.add_generation_prompt = false}),
      "<user>a<|end|>");
  EXPECT_EQ(model.chat_text(R"([{"role": "assistant", "content": "It is"}])",
                            {.continue_final_message = true}),
            "<assistant>It is");
  EXPECT_EQ(model.chat_text("[]", {.variables = R"({"x": 1})", .chat_template = "{{ x + 1 }}"}),
            "2");
  EXPECT_THAT(refused("{}"), HasSubstr("no JSON list"));
  EXPECT_THAT(refused("[", {}), HasSubstr("messages"));
  EXPECT_THAT(refused("[]", {.chat_template = "{{ raise_exception('no user') }}"}),
              HasSubstr("no user"));
  const llm::TextModel plain(tiny_llama(), model.tokenizer());
  EXPECT_THAT(error_of<ArgumentError>([&] { plain.chat_prompt("[]"); }),
              HasSubstr("no chat template"));
}

TEST(TextGenerator, PutsTogetherWhatItsPiecesAre) {
  const llm::TextModel model = tiny_text_model();
  llm::TextGenerator generator(model, model.prompt("hello"), {.tokens = {.max_tokens = 30}});
  std::string text;
  Ids ids;
  llm::FinishReason reason = llm::FinishReason::kNone;
  while (const auto piece = generator.next()) {
    EXPECT_EQ(reason, llm::FinishReason::kNone);
    text += piece->text;
    ids.push_back(piece->token->id);
    reason = piece->finish_reason;
  }
  EXPECT_FALSE(generator.next());
  if (ids.back() == kEnd) ids.pop_back();
  EXPECT_EQ(text, model.tokenizer().decode(ids));
  EXPECT_EQ(generator.stats().prompt_tokens, model.prompt("hello").size());
  EXPECT_GT(generator.stats().generation_tokens, 0U);
}

// The bias makes the model write one token for ever.
llm::TextOptions always(std::uint32_t token, std::int64_t count) {
  llm::TextOptions options{.tokens = {.max_tokens = count}};
  options.tokens.processors.logit_bias = {{token, 1000.0}};
  return options;
}

TEST(TextGenerator, EndsWhereItIsToEnd) {
  const llm::TextModel model = tiny_text_model();
  const Ids prompt = model.prompt("x");
  const llm::GeneratedText full = generate(model, prompt, always(kHello, 3));
  EXPECT_EQ(full.text, "hellohellohello");
  EXPECT_EQ(full.finish_reason, llm::FinishReason::kLength);
  const llm::GeneratedText ended = generate(model, prompt, always(kEnd, 3));
  EXPECT_EQ(ended.text, "");
  EXPECT_EQ(ended.finish_reason, llm::FinishReason::kStop);
  llm::TextOptions stopped = always(kHello, 9);
  stopped.stop = {"loh"};
  EXPECT_EQ(generate(model, prompt, stopped).text, "hel");
  llm::TextOptions other_end = always(kHello, 9);
  other_end.extra_eos_tokens = {"hello"};
  EXPECT_EQ(generate(model, prompt, other_end).finish_reason, llm::FinishReason::kStop);
  other_end.extra_eos_tokens = {"nothing of that kind"};
  EXPECT_THAT(error_of<ArgumentError>([&] { generate(model, prompt, other_end); }),
              HasSubstr("nothing of that kind"));
}

TEST(TextGenerator, WritesWhatAGrammarAllows) {
  const llm::TextModel model = tiny_text_model();
  for (const bool is_guessed : {false, true}) {
    llm::TextOptions options{.tokens = {.max_tokens = 60, .sampler = {.temp = 1}, .seed = 5}};
    options.tokens.grammar = Grammar::json_schema(
        model.tokenizer(), model.eos_tokens(),
        R"({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"],
            "additionalProperties": false})");
    if (is_guessed) options.tokens.speculation = llm::Speculation{.num_draft_tokens = 2};
    const llm::GeneratedText text = generate(model, model.prompt("hello"), options);
    EXPECT_TRUE(Config::parse(text.text).contains("ok")) << text.text;
    EXPECT_EQ(text.finish_reason, llm::FinishReason::kStop);
  }
}

}  // namespace
}  // namespace mlxnx
