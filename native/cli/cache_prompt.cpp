// mlxnx cache-prompt: keeps what a model makes of a prompt.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>

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

// Known before the prompt is read, which may take long. What is there may be the prompt's file, or
// the model.
void require_place(const std::filesystem::path& file) {
  const auto refuse = [&](std::string_view why) {
    return ArgumentError(fmt::format("[cache-prompt] {} can't be written: {}", file.string(), why));
  };
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) throw refuse("it is a folder");
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  if (!std::filesystem::is_directory(folder, error))
    throw refuse(fmt::format("there is no folder {}", folder.string()));
  if (::access(folder.c_str(), W_OK) != 0) throw refuse(std::strerror(errno));
  if (!std::filesystem::exists(file, error)) return;
  try {
    llm::load_prompt_cache(file);
  } catch (const std::exception&) {
    throw refuse("it is there, and is no prompt cache; give another name, or remove it first");
  }
}

int cache_prompt(const CachePromptArguments& options) {
  require_place(options.file);
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
