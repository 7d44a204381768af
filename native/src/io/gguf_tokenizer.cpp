#include "io/gguf_tokenizer.h"

#include <fmt/format.h>

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

// How llama.cpp names the way in which a model type's tokenizer cuts texts into words.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kWords = {{
    {"llama", "llama-bpe"},
    {"qwen2", "qwen2"},
    {"qwen2_moe", "qwen2"},
    {"qwen3", "qwen2"},
    {"qwen3_moe", "qwen2"},
    {"smollm3", "smollm3"},
    {"starcoder2", "starcoder"},
    {"olmo2", "olmo"},
}};

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

bool is_byte_level(const json& part) {
  if (!part.is_object()) return false;
  if (part.value("type", json()) == "ByteLevel") return true;
  const auto several = part.find("pretokenizers");
  if (several == part.end() || !several->is_array()) return false;
  return std::ranges::any_of(*several, [](const json& each) { return is_byte_level(each); });
}

void require_byte_level_bpe(const json& tokenizer) {
  const json& model = files::member(tokenizer, "model");
  const json* words = tokenizer.contains("pre_tokenizer") ? &tokenizer["pre_tokenizer"] : nullptr;
  if (files::text_member(model, "type") == "BPE" && words != nullptr && is_byte_level(*words))
    return;
  throw UnsupportedError(
      "its tokenizer is no byte-level BPE, the only one that is written to GGUF");
}

std::vector<GgufEntry> entries_of(const json& tokenizer, const Config& config) {
  require_byte_level_bpe(tokenizer);
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
  const std::string type = config.get<std::string>("model_type", "");
  const auto* words =
      std::ranges::find(kWords, type, &std::pair<std::string_view, std::string_view>::first);
  return {{"tokenizer.ggml.model", std::string("gpt2")},
          {"tokenizer.ggml.pre", std::string(words == kWords.end() ? "default" : words->second)},
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
