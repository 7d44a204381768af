// The text part of Qwen2-VL and Qwen2.5-VL. mlx-lm: models/qwen2_vl.py
#include <memory>

#include "llm/models/models.h"
#include "llm/parts/text_part.h"

namespace mlxnx::llm::qwen2_vl {
namespace {

std::unique_ptr<Module> make(const Config& config, Maker& maker) {
  return make_language_model(qwen2::kFamily, language_config(config), maker);
}

void sanitize(nn::Parameters& weights, const Config& config) {
  sanitize_language_model(qwen2::kFamily, weights, language_config(config));
}

}  // namespace

const Family kFamily{"qwen2_vl", &make, &sanitize};

}  // namespace mlxnx::llm::qwen2_vl
