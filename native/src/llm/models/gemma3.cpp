// The text part of Gemma 3. mlx-lm: models/gemma3.py
#include <cstdint>
#include <memory>

#include "llm/models/models.h"
#include "llm/parts/decoder.h"
#include "llm/parts/text_part.h"

namespace mlxnx::llm::gemma3 {
namespace {

Config text_of(const Config& config) {
  Config text = language_config(config);
  text.set("vocab_size", config.get<std::int64_t>("vocab_size", 262'208));
  return with_defaults(text, R"({"num_attention_heads": 8, "num_key_value_heads": 4})");
}

std::unique_ptr<Module> make(const Config& config, Maker& maker) {
  return make_language_model(gemma3_text::kFamily, text_of(config), maker);
}

void sanitize(nn::Parameters& weights, const Config& config) {
  sanitize_language_model(gemma3_text::kFamily, weights, text_of(config));
}

Config complete(Config config, const nn::Parameters& weights) {
  Config text = config.get<Config>("text_config");
  text.set("tie_word_embeddings", !has_head(weights));
  config.set("text_config", text);
  return config;
}

}  // namespace

const Family kFamily{"gemma3", &make, &sanitize, &complete};

}  // namespace mlxnx::llm::gemma3
