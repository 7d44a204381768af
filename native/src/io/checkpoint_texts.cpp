#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "files/json_file.h"
#include "files/places.h"
#include "io/checkpoint_contents.h"
#include "mlxnx/error.h"
#include "mlxnx/text.h"

namespace mlxnx {
namespace {

namespace fs = std::filesystem;
using files::GgufFile;
using nlohmann::json;

constexpr std::string_view kCheckpointTextsOp = "checkpoint";

// The pieces of a file's metadata; texts stay where they lie in it.
class Metadata {
 public:
  explicit Metadata(const GgufFile& gguf) : gguf_(gguf) {}

  Tokenizer tokenizer() const {
    TokenizerParts parts{.model = gguf_.at(full("model")).as_text()};
    parts.pre = text("pre");
    parts.character_map = bytes("precompiled_charsmap");
    parts.tokens = gguf_.at(full("tokens")).as_texts();
    if (const auto merges = find("merges")) parts.merges = merges->as_texts();
    if (const auto scores = find("scores")) {
      const std::vector<double> numbers = scores->as_numbers();
      parts.scores.assign(numbers.begin(), numbers.end());
    }
    if (const auto types = find("token_type")) {
      for (const std::int64_t type : types->as_integers())
        parts.types.push_back(static_cast<std::int32_t>(type));
    }
    parts.bos = id("bos_token_id");
    parts.eos = id("eos_token_id");
    parts.unknown = id("unknown_token_id");
    // Both spellings are in use.
    parts.separator = id("seperator_token_id");
    if (!parts.separator) parts.separator = id("separator_token_id");
    parts.add_bos = flag("add_bos_token");
    parts.add_eos = flag("add_eos_token");
    parts.add_space_prefix = flag("add_space_prefix");
    parts.remove_extra_spaces = flag("remove_extra_whitespaces");
    return Tokenizer::from_parts(parts);
  }

 private:
  static std::string full(std::string_view key) { return fmt::format("tokenizer.ggml.{}", key); }
  std::optional<files::GgufValue> find(std::string_view key) const { return gguf_.find(full(key)); }
  std::string_view text(std::string_view key) const {
    const auto value = find(key);
    return value ? value->as_text() : std::string_view();
  }
  std::string_view bytes(std::string_view key) const {
    const auto value = find(key);
    if (!value) return {};
    const std::span<const std::byte> all = value->as_bytes();
    return {reinterpret_cast<const char*>(all.data()), all.size()};
  }
  std::optional<std::uint32_t> id(std::string_view key) const {
    const auto value = find(key);
    if (!value) return std::nullopt;
    const std::int64_t number = value->as_integer();
    if (!std::in_range<std::uint32_t>(number))
      throw FormatError(fmt::format("{} is {}, which is no token", value->key(), number));
    return static_cast<std::uint32_t>(number);
  }
  std::optional<bool> flag(std::string_view key) const {
    const auto value = find(key);
    if (!value) return std::nullopt;
    return value->as_boolean();
  }

  const GgufFile& gguf_;
};

std::optional<std::string> chat_template_of(const fs::path& folder) {
  if (files::is_file(folder / "chat_template.jinja", kCheckpointTextsOp))
    return files::read_text(folder / "chat_template.jinja", kCheckpointTextsOp);
  const fs::path settings = folder / "tokenizer_config.json";
  if (!files::is_file(settings, kCheckpointTextsOp)) return std::nullopt;
  constexpr std::uint64_t kMostBytes = 32 << 20;
  const json value = files::read_json(settings, kCheckpointTextsOp, kMostBytes);
  if (!value.is_object() || !value.contains("chat_template")) return std::nullopt;
  const json& templates = value["chat_template"];
  if (templates.is_string()) return templates.get<std::string>();
  if (!templates.is_array()) return std::nullopt;
  // Several by name.
  for (const json& each : templates) {
    if (each.is_object() && each.value("name", json()) == "default" && each.contains("template") &&
        each["template"].is_string())
      return each["template"].get<std::string>();
  }
  return std::nullopt;
}

Tokenizer tokenizer_of(const fs::path& folder) {
  if (files::is_there(folder / "tokenizer.json", kCheckpointTextsOp))
    return Tokenizer::from_file(folder / "tokenizer.json");
  if (files::is_there(folder / "tokenizer.model", kCheckpointTextsOp)) {
    const fs::path settings = folder / "tokenizer_config.json";
    const Config config =
        files::is_there(settings, kCheckpointTextsOp) ? Config::read(settings) : Config();
    if (!config.contains("add_bos_token") && !config.contains("add_eos_token"))
      return Tokenizer::from_file(folder / "tokenizer.model");
    return Tokenizer::from_sentencepiece(
        files::read_text(folder / "tokenizer.model", kCheckpointTextsOp),
        {.add_bos = config.get<bool>("add_bos_token", true),
         .add_eos = config.get<bool>("add_eos_token", false)});
  }
  if (files::is_folder(folder, kCheckpointTextsOp)) {
    for (const std::string& name : io::listed_files(folder)) {
      if (name.ends_with(".tiktoken")) return Tokenizer::from_file(folder / name);
    }
  }
  throw ArgumentError(fmt::format(
      "[checkpoint] {} holds no tokenizer: no tokenizer.json, tokenizer.model or .tiktoken file",
      folder.string()));
}

}  // namespace

Tokenizer Checkpoint::tokenizer() const {
  if (const GgufFile* gguf = contents_->gguf())
    return files::naming_file(kCheckpointTextsOp, path(),
                              [&] { return Metadata(*gguf).tokenizer(); });
  return tokenizer_of(path());
}

std::optional<std::string> Checkpoint::chat_template() const {
  const GgufFile* gguf = contents_->gguf();
  if (gguf == nullptr) return chat_template_of(path());
  return files::naming_file(kCheckpointTextsOp, path(), [&]() -> std::optional<std::string> {
    const auto text = gguf->find("tokenizer.chat_template");
    if (!text) return std::nullopt;
    return std::string(text->as_text());
  });
}

}  // namespace mlxnx
