#include "io/gguf_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "files/json_file.h"
#include "mlxnx/error.h"

namespace mlxnx::io {
namespace {

using files::GgufEntry;
using nlohmann::json;

constexpr std::string_view kOp = "convert_to_gguf";

// As GGUF numbers them.
constexpr std::int32_t kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5;

// How llama.cpp names the ways in which texts are cut into words: by the pre-tokenizers in front of
// the one of bytes, each its type, and with the expression that it splits by.
struct Words {
  std::string_view parts, name;
};
constexpr std::array kWords = {
    Words{"", "gpt-2"},
    Words{"Digits", "smollm"},
    Words{
        R"(Split (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
        "llama-bpe"},
    Words{
        R"(Split (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
        "qwen2"},
};

class Vocabulary {
 public:
  explicit Vocabulary(std::size_t size) : tokens_(size), types_(size, kUnused) {
    for (std::size_t i = 0; i < size; ++i) tokens_[i] = fmt::format("[UNUSED{}]", i);
  }
  void put(const json& id, std::string token, std::int32_t type) {
    const auto at = files::integer<std::uint32_t>(id);
    if (at >= tokens_.size()) {
      // A model may have more rows than tokens, not fewer.
      throw FormatError(fmt::format("the token {:?} has the number {}, and the model knows {}",
                                    token, at, tokens_.size()));
    }
    tokens_[at] = std::move(token);
    types_[at] = type;
  }
  std::vector<std::string> tokens_;
  std::vector<std::int32_t> types_;
};

std::string merge_of(const json& merge) {
  if (merge.is_string()) return merge.get<std::string>();
  if (merge.is_array() && merge.size() == 2)
    return files::text(merge[0]) + " " + files::text(merge[1]);
  throw FormatError(files::shown(merge) + " is no merge of two tokens");
}

// The pre-tokenizers, one behind the other.
std::vector<json> parts_of(const json& part) {
  if (!part.is_object()) return {};
  if (part.value("type", json()) == "Sequence") return files::optional_list(part, "pretokenizers");
  return {part};
}

std::string described(const json& part) {
  const std::string type = part.is_object() ? files::text_member(part, "type") : "";
  if (type != "Split") return type;
  const json& pattern = files::member(part, "pattern");
  return "Split " + files::text(files::member(pattern, "Regex"));
}

std::string_view name_of_words(const json& tokenizer) {
  const json& model = files::member(tokenizer, "model");
  const std::vector<json> parts =
      parts_of(tokenizer.contains("pre_tokenizer") ? tokenizer["pre_tokenizer"] : json());
  if (files::text_member(model, "type") != "BPE" || parts.empty() ||
      described(parts.back()) != "ByteLevel")
    throw UnsupportedError(
        "its tokenizer is no byte-level BPE, the only one that is written to GGUF");
  std::string before;
  for (std::size_t i = 0; i + 1 < parts.size(); ++i)
    before += (i == 0 ? "" : "; ") + described(parts[i]);
  const auto* found = std::ranges::find(kWords, before, &Words::parts);
  if (found != kWords.end()) return found->name;
  throw UnsupportedError(fmt::format(
      "its tokenizer cuts texts into words in a way that is not known to have a name in GGUF: {}",
      before));
}

std::vector<GgufEntry> entries_of(const json& tokenizer, const Config& config) {
  const std::string_view words = name_of_words(tokenizer);
  Vocabulary vocabulary(static_cast<std::size_t>(config.get<std::int64_t>("vocab_size")));
  const json& model = tokenizer["model"];
  const json& vocab = files::member(model, "vocab");
  if (!vocab.is_object()) throw FormatError("the model's vocab is no object");
  for (const auto& [token, id] : vocab.items()) vocabulary.put(id, token, kNormal);
  for (const json& added : files::optional_list(tokenizer, "added_tokens")) {
    const bool is_special = added.is_object() && added.value("special", json()) == json(true);
    vocabulary.put(files::member(added, "id"), files::text_member(added, "content"),
                   is_special ? kControl : kUserDefined);
  }
  std::vector<std::string> merges;
  for (const json& merge : files::list_member(model, "merges")) merges.push_back(merge_of(merge));
  return {{"tokenizer.ggml.model", std::string("gpt2")},
          {"tokenizer.ggml.pre", std::string(words)},
          {"tokenizer.ggml.tokens", std::move(vocabulary.tokens_)},
          {"tokenizer.ggml.token_type", std::move(vocabulary.types_)},
          {"tokenizer.ggml.merges", std::move(merges)}};
}

}  // namespace

std::vector<GgufEntry> gguf_tokenizer(const std::filesystem::path& folder, const Config& config) {
  constexpr std::uint64_t kMostBytes = 256 << 20;
  const std::filesystem::path path = folder / "tokenizer.json";
  const json tokenizer = files::read_json(path, kOp, kMostBytes);
  return files::naming_file(kOp, path, [&] { return entries_of(tokenizer, config); });
}

}  // namespace mlxnx::io
