#include "mlxnx/llm/text_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "files/json_file.h"
#include "files/json_values.h"
#include "mlxnx/error.h"

namespace mlxnx::llm {
namespace {

using nlohmann::json;
using Ids = std::vector<std::uint32_t>;

Ids ids_of(const Config& config, std::string_view key) {
  if (!config.contains(key)) return {};
  const auto numbers = config.holds_list(key) ? config.get<std::vector<std::int64_t>>(key)
                                              : std::vector{config.get<std::int64_t>(key)};
  Ids ids;
  for (const std::int64_t number : numbers) {
    if (!std::in_range<std::uint32_t>(number))
      throw FormatError(fmt::format("[load] {} is {}, which is no token", key, number));
    ids.push_back(static_cast<std::uint32_t>(number));
  }
  return ids;
}

constexpr std::array<std::string_view, 4> kSpecial = {"bos_token", "eos_token", "pad_token",
                                                      "unk_token"};

// Templates write these: as `tokenizer_config.json` has them, else by their numbers.
json special_tokens(const Checkpoint& checkpoint, const Tokenizer& tokenizer) {
  json tokens = json::object();
  for (const std::string_view name : kSpecial) {
    const Ids ids = ids_of(checkpoint.config(), fmt::format("{}_id", name));
    if (ids.empty()) continue;
    if (const auto text = tokenizer.token_of(ids.front())) tokens[name] = *text;
  }
  const std::filesystem::path settings = checkpoint.path() / "tokenizer_config.json";
  if (!std::filesystem::is_regular_file(settings)) return tokens;
  constexpr std::uint64_t kMostBytes = 32 << 20;
  const json all = files::read_json(settings, "load", kMostBytes);
  for (const std::string_view name : kSpecial) {
    if (!all.is_object() || !all.contains(name)) continue;
    const json& token = all[name];
    if (token.is_string()) tokens[name] = token;
    if (token.is_object() && token.contains("content")) tokens[name] = token["content"];
  }
  return tokens;
}

json object_of(std::string_view text, std::string_view what) {
  if (text.empty()) return json::object();
  json value;
  try {
    value = files::parse_json(text);
  } catch (const std::exception& error) {
    throw ArgumentError(fmt::format("[chat_prompt] {}: {}", what, error.what()));
  }
  if (!value.is_object())
    throw ArgumentError(fmt::format("[chat_prompt] {} is no JSON object", what));
  return value;
}

json list_of(std::string_view text, std::string_view what) {
  json value;
  try {
    value = files::parse_json(text);
  } catch (const std::exception& error) {
    throw ArgumentError(fmt::format("[chat_prompt] {}: {}", what, error.what()));
  }
  if (!value.is_array()) throw ArgumentError(fmt::format("[chat_prompt] {} is no JSON list", what));
  return value;
}

}  // namespace

TextModel TextModel::load(const std::filesystem::path& path, const LoadOptions& options) {
  const Checkpoint checkpoint(path, {.requantize = options.requantize});
  Tokenizer tokenizer = checkpoint.tokenizer();
  const json special = special_tokens(checkpoint, tokenizer);
  Ids ends = ids_of(checkpoint.config(), "eos_token_id");
  if (ends.empty() && special.contains("eos_token") && special["eos_token"].is_string()) {
    if (const auto id = tokenizer.id_of(special["eos_token"].get<std::string>()))
      ends.push_back(*id);
  }
  return {Model::load(checkpoint, options), std::move(tokenizer), checkpoint.chat_template(),
          std::move(ends), special.dump()};
}

TextModel::TextModel(Model model, Tokenizer tokenizer, std::optional<std::string> chat_template,
                     Ids eos_tokens, std::string special_tokens)
    : model_(std::move(model)),
      tokenizer_(std::move(tokenizer)),
      chat_template_(std::move(chat_template)),
      eos_tokens_(std::move(eos_tokens)),
      special_tokens_(std::move(special_tokens)) {}

Ids TextModel::prompt(std::string_view text) const {
  const json special = object_of(special_tokens_, "special tokens");
  const std::string bos = special.value("bos_token", "");
  return tokenizer_.encode(text, {.add_special = bos.empty() || !text.starts_with(bos)});
}

std::string TextModel::chat_text(std::string_view messages, const ChatOptions& options) const {
  const std::optional<std::string>& source =
      options.chat_template ? options.chat_template : chat_template_;
  if (!source) {
    throw ArgumentError(
        "[chat_prompt] the model has no chat template: give one, or a plain prompt");
  }
  json variables = object_of(special_tokens_, "special tokens");
  variables.update(object_of(options.variables, "variables"));
  variables["messages"] = list_of(messages, "messages");
  variables["add_generation_prompt"] =
      options.add_generation_prompt && !options.continue_final_message;
  if (options.continue_final_message) variables["continue_final_message"] = true;
  if (!options.tools.empty()) variables["tools"] = list_of(options.tools, "tools");
  return ChatTemplate(*source).render(variables.dump()).text;
}

std::optional<Grammar> TextModel::grammar(const Constraint& constraint) const {
  const auto& [schema, lark, regex] = constraint;
  if (!schema.empty() + !lark.empty() + !regex.empty() > 1) {
    throw ArgumentError(
        "[generate] a JSON schema, a grammar and a regular expression exclude each other: give "
        "one");
  }
  if (!schema.empty()) return Grammar::json_schema(tokenizer_, eos_tokens_, schema);
  if (!lark.empty()) return Grammar::lark(tokenizer_, eos_tokens_, lark);
  if (!regex.empty()) return Grammar::regex(tokenizer_, eos_tokens_, regex);
  return std::nullopt;
}

ThinkingBudget TextModel::thinking_budget(std::int64_t max_tokens) const {
  const auto ids = [this](std::string_view text) {
    return tokenizer_.encode(text, {.add_special = false});
  };
  return {.max_tokens = max_tokens, .start = ids("<think>"), .end = ids("</think>")};
}

Ids TextModel::chat_prompt(std::string_view messages, const ChatOptions& options) const {
  return tokenizer_.encode(chat_text(messages, options), {.add_special = false});
}

}  // namespace mlxnx::llm
