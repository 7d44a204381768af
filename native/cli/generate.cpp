// mlxnx generate: one answer of a language model.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <utility>

#include "command.h"
#include "generation.h"
#include "interrupt.h"
#include "mlxnx/error.h"
#include "mlxnx/llm/prompt_cache.h"
#include "output.h"
#include "progress.h"

namespace mlxnx::cli {
namespace {

struct GenerateArguments {
  ModelArguments model;
  GenerationArguments generation;
  std::string prompt = "hello", system_prompt, prefill_response, chat_template_config;
  std::string chat_template, cache_file;
  bool ignore_chat_template = false, is_quiet = false, is_json = false;
};

std::string messages_of(const GenerateArguments& options, const std::string& prompt) {
  nlohmann::json messages = nlohmann::json::array();
  if (!options.system_prompt.empty())
    messages.push_back({{"role", "system"}, {"content", options.system_prompt}});
  messages.push_back({{"role", "user"}, {"content", prompt}});
  if (!options.prefill_response.empty())
    messages.push_back({{"role", "assistant"}, {"content", options.prefill_response}});
  return messages.dump();
}

// With a cache the prompt goes on with the message that it holds, whose end is cut off by where the
// template puts a message.
std::string cut(const GenerateArguments& options, const llm::TextModel& model,
                const llm::ChatOptions& chat, const std::string& prompt) {
  constexpr std::string_view kMark = "<query>";
  const std::string text = model.chat_text(messages_of(options, prompt), chat);
  if (options.cache_file.empty()) return text;
  return text.substr(model.chat_text(messages_of(options, std::string(kMark)), chat).find(kMark));
}

// What only a template has a place for.
void require_no_template_options(const GenerateArguments& options) {
  const std::pair<const char*, const std::string*> all[] = {
      {"--system-prompt", &options.system_prompt},
      {"--prefill-response", &options.prefill_response},
      {"--chat-template", &options.chat_template},
      {"--chat-template-config", &options.chat_template_config}};
  for (const auto& [name, value] : all) {
    if (value->empty()) continue;
    throw ArgumentError(fmt::format(
        "[generate] {} is for chat templates, and {}: leave it out", name,
        options.ignore_chat_template ? "--ignore-chat-template takes the prompt as it is"
                                     : "the model has none"));
  }
}

std::vector<std::uint32_t> prompt_of(const GenerateArguments& options,
                                     const llm::TextModel& model) {
  const std::string prompt = prompt_text(options.prompt);
  require_utf8(options.system_prompt, "[generate] --system-prompt");
  require_utf8(options.prefill_response, "[generate] --prefill-response");
  if (options.ignore_chat_template ||
      (!model.has_chat_template() && options.chat_template.empty())) {
    require_no_template_options(options);
    if (options.cache_file.empty()) return model.prompt(prompt);
    return model.tokenizer().encode(prompt, {.add_special = false});
  }
  llm::ChatOptions chat;
  chat.continue_final_message = !options.prefill_response.empty();
  chat.variables = options.chat_template_config;
  if (!options.chat_template.empty()) chat.chat_template = text_or_file(options.chat_template);
  return model.tokenizer().encode(cut(options, model, chat, prompt), {.add_special = false});
}

// One model may have several paths; where one of them is gone, names have to do.
bool may_be_same_model(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code error;
  if (std::filesystem::exists(a, error) && std::filesystem::exists(b, error))
    return std::filesystem::equivalent(a, b, error);
  return a.filename() == b.filename();
}

std::optional<llm::Cache> cache_of(const GenerateArguments& options) {
  if (options.cache_file.empty()) return std::nullopt;
  if (!options.system_prompt.empty()) {
    throw ArgumentError(
        "[generate] the conversation begins in the file of --prompt-cache-file: leave "
        "--system-prompt out");
  }
  if (options.generation.cache.max_kv_size) {
    throw ArgumentError(
        "[generate] what is in the file of --prompt-cache-file keeps its size: give --max-kv-size "
        "to cache-prompt");
  }
  llm::SavedCache saved = llm::load_prompt_cache(options.cache_file);
  const auto made_by = saved.metadata.find("model");
  if (made_by != saved.metadata.end() && !may_be_same_model(made_by->second, options.model.model)) {
    throw ArgumentError(
        fmt::format("[generate] {} holds what {} has made of a prompt, and the model is {}: make "
                    "another one by cache-prompt",
                    options.cache_file, made_by->second, options.model.model));
  }
  return std::move(saved.cache);
}

nlohmann::json summary(const std::string& text, llm::FinishReason reason,
                       const llm::GenerationStats& stats) {
  return {{"text", text},
          {"finish_reason", llm::name(reason)},
          {"prompt_tokens", stats.prompt_tokens},
          {"generation_tokens", stats.generation_tokens},
          {"prompt_tps", stats.prompt_tps()},
          {"generation_tps", stats.generation_tps()},
          {"peak_memory", stats.peak_memory}};
}

int generate(const GenerateArguments& options) {
  const llm::TextModel model = options.model.load();
  llm::TextOptions asked = options.generation.options(model);
  const std::vector<std::uint32_t> prompt = prompt_of(options, model);
  const InterruptNote interrupt;
  // Prompts of several parts take their time.
  const bool is_short = std::cmp_less_equal(prompt.size(), asked.tokens.prefill_step_size);
  ProgressLine line("reading", is_short || options.is_quiet, ProgressLine::Unit::kNumber);
  asked.tokens.on_prompt = [&](std::uint64_t done, std::uint64_t total) {
    line.show(done, total);
    if (done == total) line.clear();
    return !interrupt.is_interrupted();
  };
  llm::TextGenerator generator(model, prompt, asked, cache_of(options));
  std::string text = options.prefill_response;
  llm::FinishReason reason = llm::FinishReason::kNone;
  if (!options.is_json) print(text);
  while (!interrupt.is_interrupted()) {
    const auto piece = generator.next();
    if (!piece) break;
    text += piece->text;
    reason = piece->finish_reason;
    if (options.is_json) continue;
    print(piece->text);
    flush_output();
  }
  if (options.is_json) {
    // What a model writes may be no UTF-8.
    print(summary(text, reason, generator.stats())
              .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
          "\n");
  } else {
    print("\n");
    flush_output();
    if (!options.is_quiet) fmt::print(stderr, "==========\n{}\n", statistics(generator.stats()));
  }
  interrupt.end_if_interrupted();
  return 0;
}

}  // namespace

Action add_generate(CLI::App& app) {
  const auto options = std::make_shared<GenerateArguments>();
  app.footer(
      "Examples: mlxnx generate SmolLM2-135M-Instruct.Q4_1.gguf -p \"What is MLX?\"\n"
      "          mlxnx generate Qwen3-0.6B-4bit -p - --temp 0.7 --top-p 0.9 < question.txt\n"
      "          mlxnx generate model -p \"A person\" --json-schema @person.json --json\n"
      "The answer goes to standard output as it comes, the statistics to standard error.");
  options->model.add(app);
  app.add_option("-p,--prompt", options->prompt,
                 "The question; - reads standard input, @FILE a file")
      ->capture_default_str();
  app.add_option("--system-prompt", options->system_prompt, "What the model is told first");
  app.add_option("--prefill-response", options->prefill_response, "What the answer begins with");
  app.add_flag("--ignore-chat-template", options->ignore_chat_template,
               "Takes the prompt as it is");
  app.add_option("--chat-template", options->chat_template,
                 "A template in place of the model's own (@FILE: in a file)")
      ->check(not_empty());
  app.add_option("--chat-template-config", options->chat_template_config,
                 "What else the template reads, as a JSON object: {\"enable_thinking\": false}")
      ->check(json_object());
  app.add_option("--prompt-cache-file", options->cache_file,
                 "What cache-prompt has written; the prompt goes on with it")
      ->type_name("FILE");
  options->generation.add(app);
  app.add_flag("--json", options->is_json, "Prints the answer and the statistics as JSON");
  app.add_flag("--quiet", options->is_quiet, "Prints no statistics");
  return [options] { return generate(*options); };
}

}  // namespace mlxnx::cli
