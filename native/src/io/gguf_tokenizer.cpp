#include "io/gguf_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>

#include "files/json_file.h"
#include "mlxnx/error.h"

namespace mlxnx::io {
namespace {

using files::GgufEntry;
using nlohmann::json;

constexpr std::string_view kGgufTokenizerOp = "convert_to_gguf";

// As GGUF numbers them.
constexpr std::int32_t kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5;

// How llama.cpp names the ways in which texts are cut into words: by the expressions that split
// them one after the other.
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
struct Words {
  std::array<std::string_view, 2> patterns;
  std::string_view name;
};
constexpr std::array kWords = {
    Words{{kGpt2}, "gpt-2"},
    Words{{R"(\p{N})", kGpt2}, "smollm"},
    Words{
        {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
        "llama-bpe"},
    Words{
        {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
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
std::vector<json> pre_tokenizers_of(const json& part) {
  if (!part.is_object()) return {};
  if (part.value("type", json()) == "Sequence") return files::optional_list(part, "pretokenizers");
  return {part};
}

bool is_type(const json& part, std::string_view type) {
  return part.is_object() && files::text_member(part, "type") == type;
}

// What a pre-tokenizer splits by; its type where it does something else.
std::string pattern_of(const json& part) {
  if (is_type(part, "Split")) {
    const json& pattern = files::member(part, "pattern");
    return files::text(files::member(pattern, "Regex"));
  }
  const bool takes_each = part.is_object() && part.value("individual_digits", json()) == json(true);
  if (is_type(part, "Digits") && takes_each) return R"(\p{N})";
  return part.is_object() ? files::text_member(part, "type") : "";
}

std::string_view name_of_words(const json& tokenizer) {
  const json& model = files::member(tokenizer, "model");
  const std::vector<json> parts =
      pre_tokenizers_of(tokenizer.contains("pre_tokenizer") ? tokenizer["pre_tokenizer"] : json());
  if (files::text_member(model, "type") != "BPE" || parts.empty() ||
      !is_type(parts.back(), "ByteLevel"))
    throw UnsupportedError(
        "its tokenizer is no byte-level BPE, the only one that is written to GGUF");
  std::vector<std::string> patterns;
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) patterns.push_back(pattern_of(parts[i]));
  // Unless it is told not to, it splits as GPT-2 does.
  if (parts.back().value("use_regex", json()) != json(false)) patterns.emplace_back(kGpt2);
  const auto* found = std::ranges::find_if(kWords, [&](const Words& words) {
    const auto end = std::ranges::find(words.patterns, "");
    return std::ranges::equal(std::ranges::subrange(words.patterns.begin(), end), patterns);
  });
  if (found != kWords.end()) return found->name;
  throw UnsupportedError(fmt::format(
      "its tokenizer cuts texts into words in a way that is not known to have a name in GGUF: {}",
      files::cut(fmt::format("{}", fmt::join(patterns, "; ")))));
}

std::vector<GgufEntry> entries_of(const json& tokenizer, std::int64_t size) {
  const std::string_view words = name_of_words(tokenizer);
  Vocabulary vocabulary(static_cast<std::size_t>(size));
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

std::vector<GgufEntry> gguf_tokenizer(const std::filesystem::path& folder, std::int64_t size) {
  constexpr std::uint64_t kMostBytes = 256 << 20;
  const std::filesystem::path path = folder / "tokenizer.json";
  const json tokenizer = files::read_json(path, kGgufTokenizerOp, kMostBytes);
  return files::naming_file(kGgufTokenizerOp, path, [&] { return entries_of(tokenizer, size); });
}

}  // namespace mlxnx::io
