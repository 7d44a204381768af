// The text part of Mistral 3, Pixtral and LLaVA. mlx-lm: models/mistral3.py
#include <memory>
#include <string>

#include "llm/models/models.h"
#include "llm/parts/decoder.h"
#include "llm/parts/text_part.h"
#include "mlxnx/error.h"

namespace mlxnx::llm::mistral3 {
namespace {

Config text_of(const Config& config) {
  return with_defaults(language_config(config), R"({"tie_word_embeddings": false})");
}

const Family& text_family(const Config& text) {
  const Family& family = family_of(text.get<std::string>("model_type", "llama"));
  if (&family == &kFamily) {
    throw FormatError(
        "[load] the settings have no text_config that names the language model within, such as "
        "\"llama\"");
  }
  return family;
}

std::unique_ptr<Module> make(const Config& config, Maker& maker) {
  const Config text = text_of(config);
  return make_language_model(text_family(text), text, maker);
}

void sanitize(nn::Parameters& weights, const Config& config) {
  const Config text = text_of(config);
  sanitize_language_model(text_family(text), weights, text);
}

}  // namespace

const Family kFamily{"mistral3", &make, &sanitize};

}  // namespace mlxnx::llm::mistral3
