#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "io/checkpoint_contents.h"
#include "mlxnx/error.h"
#include "mlxnx/text.h"

namespace mlxnx {
namespace {

namespace fs = std::filesystem;
using files::GgufFile;

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
    return static_cast<std::uint32_t>(value->as_integer());
  }
  std::optional<bool> flag(std::string_view key) const {
    const auto value = find(key);
    if (!value) return std::nullopt;
    return value->as_boolean();
  }

  const GgufFile& gguf_;
};

std::string text_of(const fs::path& path) {
  const files::MappedFile file(path, "tokenizer");
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

Tokenizer of_folder(const fs::path& folder) {
  if (fs::exists(folder / "tokenizer.json")) return Tokenizer::from_file(folder / "tokenizer.json");
  if (fs::exists(folder / "tokenizer.model")) {
    const fs::path settings = folder / "tokenizer_config.json";
    const Config config = fs::exists(settings) ? Config::read(settings) : Config();
    if (!config.contains("add_bos_token") && !config.contains("add_eos_token"))
      return Tokenizer::from_file(folder / "tokenizer.model");
    return Tokenizer::from_sentencepiece(text_of(folder / "tokenizer.model"),
                                         {.add_bos = config.get<bool>("add_bos_token", true),
                                          .add_eos = config.get<bool>("add_eos_token", false)});
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".tiktoken") return Tokenizer::from_file(entry.path());
  }
  throw ArgumentError(fmt::format(
      "[checkpoint] {} holds no tokenizer: no tokenizer.json, tokenizer.model or .tiktoken file",
      folder.string()));
}

}  // namespace

Tokenizer Checkpoint::tokenizer() const {
  if (const GgufFile* gguf = contents_->gguf()) return Metadata(*gguf).tokenizer();
  const fs::path& path = contents_->path;
  return of_folder(fs::is_directory(path) ? path : path.parent_path());
}

}  // namespace mlxnx
