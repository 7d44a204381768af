// mlxnx generate, chat, cache-prompt, perplexity, benchmark, models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

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
  EXPECT_EQ(result.status, 1) << "there is no /foo";
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

// A question that is refused is forgotten: the next one is answered as if nobody had asked it.
TEST_F(LlmCommands, ChatForgetsWhatItRefuses) {
  folder_.write("input.txt", "hello\n\xff\nhow so\n");
  folder_.write("plain.txt", "hello\nhow so\n");
  const Result refused = run("chat", "-m 6", "2>&1 < " + path("input.txt"));
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.text, HasSubstr("the question is no UTF-8 text"));
  const Result plain = run("chat", "-m 6", "2>/dev/null < " + path("plain.txt"));
  EXPECT_EQ(plain.status, 0);
  EXPECT_EQ(run("chat", "-m 6", "2>/dev/null < " + path("input.txt")).text, plain.text);
}

TEST_F(LlmCommands, OptionsThatWouldDoNothingAreRefused) {
  folder_.write("empty", "");
  const std::pair<const char*, const char*> all[] = {
      {"--json-schema ''", "it is empty"},
      {"--regex ''", "it is empty"},
      {"--system-prompt x --ignore-chat-template", "--system-prompt is for chat templates"},
      {"--prompt-cache-file x --system-prompt y", "leave --system-prompt out"},
      {"--prompt-cache-file x --max-kv-size 20", "give --max-kv-size to cache-prompt"},
      {"--chat-template-config x", "x is no JSON object"},
      {"--top-p 1.5", "1.5 is no number from 0 to 1"},
      {"--top-p nan", "nan is no number from 0 to 1"},
      {"--top-k -5", "-5 is no number of at least 0"},
      {"--xtc-probability -1", "-1 is no number from 0 to 1"},
      {"--seed -1", "-1 is no whole number from 0 to 2^64 - 1"},
      {"--seed 18446744073709551616", "no whole number from 0 to 2^64 - 1"},
      {"--stop a b", "not expected: b"}};
  for (const auto& [options, why] : all) {
    const Result result = run("generate", std::string("-p hello -m 3 ") + options, "2>&1");
    EXPECT_NE(result.status, 0) << options;
    EXPECT_THAT(result.text, HasSubstr(why)) << options;
  }
  EXPECT_THAT(run("generate", "-p @", "2>&1").text, HasSubstr("@ names no file"));
  const Result empty = run("generate", "-p hello -m 3 --grammar @" + path("empty"), "2>&1");
  EXPECT_THAT(empty.text, HasSubstr("--grammar is empty"));
  EXPECT_EQ(run("generate", "-p hello -m 3 --seed 18446744073709551615").status, 0);
}

TEST_F(LlmCommands, TextsOfOtherBytesThanUtf8AreRefused) {
  folder_.write("bytes", "\xff");
  for (const char* command : {"generate", "cache-prompt", "perplexity"}) {
    const std::string option = command == std::string("perplexity") ? "--text" : "-p";
    const std::string out = command == std::string("cache-prompt") ? " -o " + path("c") : "";
    const Result result = run(command, option + " @" + path("bytes") + out, "2>&1");
    EXPECT_EQ(result.status, 1) << command;
    EXPECT_THAT(result.text, HasSubstr("bytes is no UTF-8 text")) << command;
  }
}

TEST_F(LlmCommands, CachePromptWritesOverNothingElse) {
  const auto refused = [&](const std::string& place) {
    const Result result = run("cache-prompt", "-p hello -o " + place, "2>&1");
    EXPECT_EQ(result.status, 1) << place;
    return result.text;
  };
  EXPECT_THAT(refused(path("model.safetensors")), HasSubstr("is no prompt cache"));
  EXPECT_THAT(refused(path("config.json")), HasSubstr("is no prompt cache"));
  EXPECT_THAT(refused(path("nowhere/cache")), HasSubstr("there is no folder"));
  EXPECT_THAT(refused("'" + folder_.path().string() + "'"), HasSubstr("it is a folder"));
  model();  // all of it is there
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(run("cache-prompt", "-p hello -o " + path("cache.safetensors")).status, 0);
}

TEST_F(LlmCommands, CachesOfOtherModelsAreRefused) {
  EXPECT_EQ(run("cache-prompt", "-p hello -o " + path("cache.safetensors")).status, 0);
  const TempFolder other;
  testing_support::write_text_model(other);
  const std::string options = "' -p hello -m 3 --prompt-cache-file " + path("cache.safetensors");
  const Result refused = run_program("generate '" + other.path().string() + options, "2>&1");
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.text, HasSubstr("make another one by cache-prompt"));
  // By another way to the same folder.
  EXPECT_EQ(run_program("generate '" + folder_.path().string() + "/." + options, "2>&1").status, 0);
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

TEST_F(LlmCommands, NumbersThatAreNoneAreTold) {
  nn::Parameters weights;
  for (const auto& [name, tensor] : model().model().named_tensors())
    weights.emplace(name, name == "model.norm.weight" ? tensor * std::nanf("") : tensor);
  save_safetensors(folder_ / "model.safetensors", {weights.begin(), weights.end()});
  folder_.write("text.txt", "The quick brown fox jumps over the lazy dog, and so on.");
  for (const auto& [command, arguments] :
       {std::pair<std::string, std::string>("generate", "-p hello"),
        {"perplexity", "--sequence-length 8 --text @" + path("text.txt")},
        {"embed", "hello"}}) {
    const Result result = run(command, arguments, "2>&1");
    EXPECT_EQ(result.status, 1) << command;
    EXPECT_THAT(result.text, HasSubstr("[" + command + "] the model answers NaN")) << command;
  }
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
