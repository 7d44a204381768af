// The text part of Qwen3-VL. mlx-lm: models/qwen3_vl.py
#include <memory>

#include "llm/models/models.h"
#include "llm/parts/text_part.h"

namespace mlxnx::llm::qwen3_vl {
namespace {

std::unique_ptr<Module> make(const Config& config, Maker& maker) {
  return make_language_model(qwen3::kFamily, language_config(config), maker);
}

void sanitize(nn::Parameters& weights, const Config& config) {
  sanitize_language_model(qwen3::kFamily, weights, language_config(config));
}

}  // namespace

const Family kFamily{"qwen3_vl", &make, &sanitize};

}  // namespace mlxnx::llm::qwen3_vl
