// mlxnx chat: a conversation with a language model.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "command.h"
#include "files/atomic_file.h"
#include "files/nearest.h"
#include "generation.h"
#include "interrupt.h"
#include "mlxnx/error.h"
#include "mlxnx/llm/prompt_cache.h"
#include "output.h"

namespace mlxnx::cli {
namespace {

using nlohmann::json;

struct ChatArguments {
  ModelArguments model;
  GenerationArguments generation;
  std::string system_prompt, chat_template_config;
  bool has_statistics = false;
};

constexpr std::string_view kHelp =
    "  /help           this\n"
    "  /reset          begins anew\n"
    "  /system TEXT    begins anew with another system prompt\n"
    "  /retry          answers the last question once more\n"
    "  /save FILE      writes the conversation as JSON\n"
    "  /exit           ends; so does Ctrl-D\n"
    "A line that ends in \\ goes on with the next one, and so does all between two lines of "
    "\"\"\".\n"
    "Ctrl-C ends an answer.\n";

bool is_terminal() { return ::isatty(STDIN_FILENO) != 0 && ::isatty(STDERR_FILENO) != 0; }

// What is typed next, all lines of it; nothing at the end of the input.
std::optional<std::string> read_message() {
  const auto ask = [](const char* mark) {
    if (is_terminal()) fmt::print(stderr, "{}", mark);
  };
  ask(">> ");
  std::string line, message;
  if (!std::getline(std::cin, line)) return std::nullopt;
  if (line == "\"\"\"") {
    for (ask(".. "); std::getline(std::cin, line) && line != "\"\"\""; ask(".. "))
      message += line + "\n";
    return message;
  }
  while (line.ends_with('\\')) {
    line.pop_back();
    message += line + "\n";
    ask(".. ");
    line.clear();
    if (!std::getline(std::cin, line)) break;
  }
  return message + line;
}

class Conversation {
 public:
  Conversation(const ChatArguments& options, llm::TextModel model)
      : options_(options),
        model_(std::move(model)),
        asked_(options.generation.options(model_)),
        system_(options.system_prompt),
        memory_(std::make_shared<llm::PromptCache>(model_.model())) {
    reset();
  }

  void reset() {
    messages_ = json::array();
    if (!system_.empty()) messages_.push_back({{"role", "system"}, {"content", system_}});
  }
  void reset(std::string system) {
    system_ = std::move(system);
    reset();
  }

  void say(const std::string& text) {
    require_utf8(text, "the question");
    answer([&] { messages_.push_back({{"role", "user"}, {"content", text}}); });
  }
  void retry() {
    if (messages_.empty() || messages_.back()["role"] != "assistant")
      throw ArgumentError("there is no answer yet");
    answer([&] { messages_.erase(messages_.size() - 1); });
  }
  void save(const std::string& path) const {
    files::write_file(path, messages_.dump(2, ' ', false, json::error_handler_t::replace) + "\n",
                      "save");
  }

 private:
  /// Where it fails, the conversation is what it was before `change`.
  template <typename Change>
  void answer(const Change& change) {
    json before = messages_;
    try {
      change();
      answer();
    } catch (...) {
      messages_ = std::move(before);
      throw;
    }
  }
  void answer() {
    const std::vector<std::uint32_t> prompt =
        model_.chat_prompt(messages_.dump(-1, ' ', false, json::error_handler_t::replace),
                           {.variables = options_.chat_template_config});
    const InterruptNote interrupt;
    llm::TextOptions asked = asked_;
    asked.tokens.on_prompt = [&](std::uint64_t, std::uint64_t) {
      return !interrupt.is_interrupted();
    };
    llm::TextGenerator generator(model_, prompt, asked, memory_);
    std::string text;
    while (!interrupt.is_interrupted()) {
      const auto piece = generator.next();
      if (!piece) break;
      text += piece->text;
      print(piece->text);
      flush_output();
    }
    print("\n");
    flush_output();
    messages_.push_back({{"role", "assistant"}, {"content", text}});
    if (options_.has_statistics) fmt::print(stderr, "{}\n", statistics(generator.stats()));
  }

  const ChatArguments& options_;
  llm::TextModel model_;
  llm::TextOptions asked_;
  std::string system_;
  json messages_;
  std::shared_ptr<llm::PromptCache> memory_;
};

// A line that begins with a slash. Answers whether to go on.
bool obey(Conversation& conversation, const std::string& line) {
  const std::size_t space = line.find(' ');
  const std::string command = line.substr(0, space);
  const std::string rest = space == std::string::npos ? "" : line.substr(space + 1);
  if (command == "/exit" || command == "/quit") return false;
  if (command == "/help") {
    fmt::print(stderr, "{}", kHelp);
  } else if (command == "/reset") {
    conversation.reset();
  } else if (command == "/system") {
    conversation.reset(rest);
  } else if (command == "/retry") {
    conversation.retry();
  } else if (command == "/save") {
    if (rest.empty()) throw ArgumentError("/save needs the name of a file");
    conversation.save(rest);
  } else {
    constexpr std::string_view kCommands[] = {"/help",  "/reset", "/system",
                                              "/retry", "/save",  "/exit"};
    throw ArgumentError(fmt::format("there is no command {:?}{}; /help lists them", command,
                                    files::nearest_hint(command, kCommands)));
  }
  return true;
}

int chat(const ChatArguments& options) {
  require_utf8(options.system_prompt, "[chat] --system-prompt");
  llm::TextModel model = options.model.load();
  if (!model.has_chat_template()) {
    throw ArgumentError(
        "[chat] the model has no chat template: it goes on with texts (mlxnx generate)");
  }
  Conversation conversation(options, std::move(model));
  if (is_terminal()) fmt::print(stderr, "/help tells what can be typed, /exit ends.\n");
  bool has_failed = false;
  while (const auto line = read_message()) {
    if (line->find_first_not_of(" \t\r\n") == std::string::npos) continue;
    try {
      if (!line->starts_with('/')) {
        conversation.say(*line);
      } else if (!obey(conversation, *line)) {
        break;
      }
    } catch (const std::exception& error) {
      has_failed = true;
      print_error(error.what());
    }
  }
  if (is_terminal()) fmt::print(stderr, "\n");
  // Who reads from a pipe has to learn of it; who types has seen it.
  return has_failed && !is_terminal() ? 1 : 0;
}

}  // namespace

Action add_chat(CLI::App& app) {
  const auto options = std::make_shared<ChatArguments>();
  app.footer(
      "Examples: mlxnx chat SmolLM2-135M-Instruct.Q4_1.gguf\n"
      "          mlxnx chat Qwen3-0.6B-4bit --system-prompt \"Be brief.\" --temp 0.7\n"
      "Questions may come from a pipe, a line each. Answers go to standard output.");
  options->model.add(app);
  app.add_option("--system-prompt", options->system_prompt, "What the model is told first");
  app.add_option("--chat-template-config", options->chat_template_config,
                 "What else the template reads, as a JSON object")
      ->check(json_object());
  options->generation.max_tokens = 256;
  options->generation.add(app);
  app.add_flag("--verbose", options->has_statistics, "Prints statistics after each answer");
  return [options] { return chat(*options); };
}

}  // namespace mlxnx::cli
