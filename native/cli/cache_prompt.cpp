// mlxnx cache-prompt: keeps what a model makes of a prompt.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "command.h"
#include "generation.h"
#include "interrupt.h"
#include "mlxnx/error.h"
#include "mlxnx/llm/prompt_cache.h"
#include "output.h"
#include "progress.h"

namespace mlxnx::cli {
namespace {

struct CachePromptArguments {
  ModelArguments model;
  std::string prompt, file;
  CacheArguments cache;
  bool ignore_chat_template = false;
};

int cache_prompt(const CachePromptArguments& options) {
  llm::require_prompt_cache_place(options.file);
  const llm::TextModel model = options.model.load();
  const std::string text = prompt_text(options.prompt, "cache-prompt");
  const nlohmann::json messages = {{{"role", "user"}, {"content", text}}};
  const std::vector<std::uint32_t> prompt =
      options.ignore_chat_template || !model.has_chat_template()
          ? model.prompt(text)
          : model.chat_prompt(messages.dump(), {.continue_final_message = true});
  llm::GenerateOptions asked;
  options.cache.apply(asked);
  ProgressLine line("reading", false, ProgressLine::Unit::kNumber);
  asked.on_prompt = [&](std::uint64_t done, std::uint64_t total) {
    line.show(done, total);
    return true;
  };
  const llm::Cache cache = llm::prefill(model.model(), prompt, asked);
  line.clear();
  const InterruptNote interrupt;  // so that nothing partial is left
  llm::save_prompt_cache(options.file, cache, {{"model", options.model.model}}, prompt);
  print(fmt::format("{}: {} tokens, {}\n", options.file, prompt.size(),
                    bytes_text(std::filesystem::file_size(options.file))));
  interrupt.end_if_interrupted();
  return 0;
}

}  // namespace

Action add_cache_prompt(CLI::App& app) {
  const auto options = std::make_shared<CachePromptArguments>();
  app.footer(
      "Examples: mlxnx cache-prompt model -p @book.txt --prompt-cache-file book.safetensors\n"
      "          mlxnx generate model --prompt-cache-file book.safetensors -p \"Who did it?\"\n"
      "The file has mlx-lm's layout; its own files are read as well.");
  options->model.add(app);
  app.add_option("-p,--prompt", options->prompt, "The text; - reads standard input, @FILE a file")
      ->required();
  app.add_option("-o,--prompt-cache-file", options->file, "Where it is written")->required();
  options->cache.add(app);
  app.add_flag("--ignore-chat-template", options->ignore_chat_template,
               "Takes the prompt as it is");
  return [options] { return cache_prompt(*options); };
}

}  // namespace mlxnx::cli
