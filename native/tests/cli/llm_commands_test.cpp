// mlxnx generate, chat, cache-prompt, perplexity, benchmark, models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "llm/tiny_text_model.h"
#include "mlxnx/llm/perplexity.h"
#include "mlxnx/llm/text_model.h"
#include "run_program.h"

namespace mlxnx::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using testing_support::Ids;
using testing_support::TempFolder;

class LlmCommands : public testing::Test {
 protected:
  LlmCommands() { testing_support::write_text_model(folder_); }
  Result run(const std::string& command, const std::string& arguments,
             const std::string& redirect = "2>/dev/null") const {
    return run_program(command + " '" + folder_.path().string() + "' " + arguments, redirect);
  }
  llm::TextModel model() const { return llm::TextModel::load(folder_.path()); }
  std::string answer(const json& messages, std::int64_t count) const {
    return shown(
        generate(model(), model().chat_prompt(messages.dump()), {.tokens = {.max_tokens = count}})
            .text);
  }
  // What of a random text JSON can hold.
  static std::string shown(const std::string& text) {
    return json::parse(json(text).dump(-1, ' ', false, json::error_handler_t::replace));
  }
  std::string path(const char* name) const { return "'" + (folder_ / name).string() + "'"; }

  TempFolder folder_;
};

TEST_F(LlmCommands, GenerateAnswersWhatTheLibraryDoes) {
  const json messages = {{{"role", "system"}, {"content", "Be brief."}},
                         {{"role", "user"}, {"content", "hello"}}};
  const json told =
      json::parse(run("generate", "-p hello --system-prompt 'Be brief.' -m 9 --json").text);
  EXPECT_EQ(told["text"], answer(messages, 9));
  EXPECT_EQ(told["finish_reason"], "length");
  EXPECT_EQ(told["generation_tokens"], 9);
  EXPECT_EQ(told["prompt_tokens"], model().chat_prompt(messages.dump()).size());
  folder_.write("prompt.txt", "hello");
  for (const std::string& prompt :
       {"-p '@" + (folder_ / "prompt.txt").string() + "'", std::string("-p - ")}) {
    const Result again = run("generate", prompt + " --system-prompt 'Be brief.' -m 9 --json",
                             "2>/dev/null < " + path("prompt.txt"));
    EXPECT_EQ(json::parse(again.text)["text"], told["text"]) << prompt;
  }
  EXPECT_THAT(run("generate", "-p hello -m 9", "2>&1").text, HasSubstr("Generation: 9 tokens"));
}

TEST_F(LlmCommands, GenerateKeepsToItsOptions) {
  const auto text = [&](const std::string& options) {
    return json::parse(run("generate", "-p hello -m 30 --json " + options).text);
  };
  EXPECT_EQ(text("--temp 2 --seed 5")["text"], text("--temp 2 --seed 5")["text"]);
  EXPECT_NE(text("--temp 2 --seed 5")["text"], text("--temp 2 --seed 6")["text"]);
  EXPECT_EQ(text("--ngram-draft 2")["text"], text("")["text"]);
  EXPECT_EQ(text("--draft-model '" + folder_.path().string() + "'")["text"], text("")["text"]);
  EXPECT_EQ(text("--regex '[0-9]{4}'")["text"].get<std::string>().size(), 4U);
  const Result both = run("generate", "--regex a --grammar b", "2>&1");
  EXPECT_EQ(both.status, 1);
  EXPECT_THAT(both.text, HasSubstr("exclude each other"));
}

// The second prompt goes on from the cache of the first.
TEST_F(LlmCommands, ChatGoesOnWithWhatWasSaid) {
  folder_.write("input.txt", "hello\n/foo\n\nhow \\\nso\n/exit\nnot said\n");
  const Result result = run("chat", "-m 6", "2>" + path("errors.txt") + " < " + path("input.txt"));
  EXPECT_EQ(result.status, 0);
  json messages = {{{"role", "user"}, {"content", "hello"}}};
  std::string wanted;
  for (const char* next : {"how \nso", ""}) {
    const std::string text = answer(messages, 6);
    wanted += text + "\n";
    messages.push_back({{"role", "assistant"}, {"content", text}});
    messages.push_back({{"role", "user"}, {"content", next}});
  }
  EXPECT_EQ(shown(result.text), wanted);
  const Result errors = run_shell("cat " + path("errors.txt"));
  EXPECT_THAT(errors.text, HasSubstr("no command \"/foo\""));
}

TEST_F(LlmCommands, CachedPromptsAreGoneOnWith) {
  const Result cached =
      run("cache-prompt", "-p 'Once upon' --ignore-chat-template -o " + path("cache.safetensors"));
  EXPECT_EQ(cached.status, 0) << cached.text;
  const llm::TextModel whole = model();
  Ids prompt = whole.prompt("Once upon");
  EXPECT_THAT(cached.text, HasSubstr(std::to_string(prompt.size()) + " tokens"));
  const Ids rest = whole.tokenizer().encode(" a time", {.add_special = false});
  prompt.insert(prompt.end(), rest.begin(), rest.end());
  const json told = json::parse(run("generate",
                                    "-p ' a time' --ignore-chat-template -m 7 --json "
                                    "--prompt-cache-file " +
                                        path("cache.safetensors"))
                                    .text);
  EXPECT_EQ(told["text"], shown(generate(whole, prompt, {.tokens = {.max_tokens = 7}}).text));
  EXPECT_EQ(told["prompt_tokens"], rest.size());
}

TEST_F(LlmCommands, PerplexityIsThatOfPieces) {
  folder_.write("text.txt", "The quick brown fox jumps over the lazy dog, and so on.");
  const json told = json::parse(
      run("perplexity", "--json --sequence-length 8 --num-samples 3 --batch-size 2 --text '@" +
                            (folder_ / "text.txt").string() + "'")
          .text);
  auto pieces =
      llm::in_pieces(model().prompt("The quick brown fox jumps over the lazy dog, and so on."), 8);
  pieces.resize(3);
  // Each piece by itself, from the logits.
  double sum = 0;
  for (const Ids& piece : pieces) {
    const Tensor logits = testing_support::logits_of(model().model(), piece);
    const std::vector<float> chances = llm::logprobs(logits).to_vector<float>();
    for (std::size_t i = 0; i + 1 < piece.size(); ++i) sum -= chances[i * 300 + piece[i + 1]];
  }
  EXPECT_NEAR(told["perplexity"].get<double>(), std::exp(sum / 21), 1e-2);
  EXPECT_EQ(told["tokens"], 21);
  EXPECT_THAT(run("perplexity", "--text short", "2>&1").text, HasSubstr("fewer than 512 tokens"));
}

TEST_F(LlmCommands, BenchmarkTellsBothSpeeds) {
  for (const std::string batch : {"", "-b 3 --prefill-step-size 2"}) {
    const json told = json::parse(run("benchmark", "-p 5 -g 3 -n 1 --json " + batch).text);
    EXPECT_GT(told["prompt_tps"], 0);
    EXPECT_GT(told["generation_tps"], 0);
    EXPECT_GT(told["peak_memory"], 0);
  }
  const std::string config = "'" + (folder_ / "config.json").string() + "'";
  EXPECT_EQ(run_program("benchmark " + config + " --random -p 5 -g 3 -n 1").status, 0);
}

TEST_F(LlmCommands, ModelsAreListedWithTheirOtherNames) {
  const Result list = run_program("models");
  EXPECT_THAT(list.text, HasSubstr("qwen3 "));
  EXPECT_THAT(list.text, HasSubstr("mistral              the same as llama\n"));
  const Result page = run_program("models --format md");
  EXPECT_THAT(page.text, HasSubstr("| `llama`, `iquestcoder`, `mistral`, `xverse` |"));
}

}  // namespace
}  // namespace mlxnx::cli
