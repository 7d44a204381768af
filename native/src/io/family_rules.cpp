#include "io/family_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "mlxnx/error.h"

namespace mlxnx::io {
namespace {

struct Rule {
  std::string_view model_type, layer;  ///< the end of the layer's name
  LayerRule rule;
};

using enum LayerRule;
constexpr std::array kRules = {
    Rule{"qwen3_moe", "mlp.gate", kEightBits},
    Rule{"qwen3_next", "mlp.gate", kEightBits},
    Rule{"qwen3_next", "shared_expert_gate", kEightBits},
    Rule{"qwen3_5_moe", "mlp.gate", kEightBits},
    Rule{"qwen3_5_moe", "shared_expert_gate", kEightBits},
    Rule{"qwen3_5_moe_text", "mlp.gate", kEightBits},
    Rule{"qwen3_5_moe_text", "shared_expert_gate", kEightBits},
    Rule{"Klear", "mlp.gate", kEightBits},
    Rule{"kimi_linear", "mlp.gate", kEightBits},
    Rule{"mellum", "mlp.gate", kEightBits},
    Rule{"lfm2_moe", "feed_forward.gate", kEightBits},
    Rule{"minimax", "block_sparse_moe.gate", kEightBits},
    Rule{"gpt_oss", "router", kEightBits},
    Rule{"jamba", "router", kEightBits},
    Rule{"gemma4_text", "router.proj", kEightBits},
    Rule{"granitemoehybrid", "router.layer", kEightBits},
    Rule{"granitemoe", "router.layer", kEightBits},
    Rule{"granitemoe", "self_attn.o_proj", kEightBits},
    Rule{"granitemoe", "mlp.down_proj", kEightBits},
    Rule{"granitemoe", "lm_head", kEightBits},
    Rule{"granite", "self_attn.o_proj", kEightBits},
    Rule{"granite", "mlp.down_proj", kEightBits},
    Rule{"granite", "lm_head", kEightBits},
    Rule{"mixtral", "block_sparse_moe.gate", kUsual},
    Rule{"phimoe", "block_sparse_moe.gate", kUsual},
    Rule{"olmoe", "mlp.gate", kUsual},
    Rule{"qwen2_moe", "mlp.gate", kUsual},
    Rule{"qwen2_moe", "shared_expert_gate", kUsual},
    Rule{"ernie4_5_moe", "mlp.gate", kUsual},
    Rule{"llama4", "feed_forward.router", kUsual},
    Rule{"llama4_text", "feed_forward.router", kUsual},
};

// Of other families routers are no linear layers to mlx-lm.
constexpr std::array<std::string_view, 9> kRouters = {
    "mlp.gate",    "block_sparse_moe.gate", "feed_forward.gate", "mixer.gate",        "router",
    "router.proj", "router.layer",          "router.classifier", "shared_expert_gate"};

struct WideName {
  std::string_view model_type, name;  ///< of all families without one
};
constexpr std::array kOfWideType = {
    WideName{"", "e_score_correction_bias"},
    WideName{"", "expert_bias"},
    WideName{"", "router_bias"},
    WideName{"nemotron_h", "A_log"},
    WideName{"qwen3_5", "A_log"},
    WideName{"qwen3_5_text", "A_log"},
    WideName{"qwen3_5_moe", "A_log"},
    WideName{"qwen3_5_moe_text", "A_log"},
    WideName{"kimi_linear", "A_log"},
    WideName{"kimi_linear", "dt_bias"},
};

// Where nothing is said of the head.
constexpr std::array<std::string_view, 19> kTied = {
    "llama",  "mistral",    "ministral3",       "olmo2",     "olmoe", "qwen2",       "granite",
    "exaone", "granitemoe", "granitemoehybrid", "falcon_h1", "glm",   "gemma4_text", "starcoder2",
    "jamba",  "mamba",      "seed_oss",         "plamo2",    "bitnet"};

// Of these mlx-lm takes the stored head, whatever is said.
constexpr std::array<std::string_view, 11> kUntied = {
    "stablelm",  "deepseek", "deepseek_v2", "deepseek_v3", "deepseek_v32", "glm4_moe",
    "qwen2_moe", "gpt_oss",  "nemotron_h",  "minicpm",     "gpt_neox"};

// Parts of the names of matrices that mlx-lm transposes, splits, scales or puts together on
// loading; with none all of the family's.
struct Changed {
  std::string_view model_type, part;
};
constexpr std::array kChanged = {
    Changed{"gpt2", ""},
    Changed{"falcon_h1", ""},
    Changed{"dbrx", ""},
    Changed{"granitemoe", "_linear"},
    Changed{"granitemoehybrid", "_linear"},
    Changed{"llama4", ".experts."},
    Changed{"llama4_text", ".experts."},
    // Put together without their scales.
    Changed{"qwen3_moe", ".experts."},
    Changed{"qwen3_next", ".experts."},
    Changed{"nemotron_h", ".experts."},
    Changed{"Klear", ".experts."},
    Changed{"ernie4_5_moe", ".experts."},
    Changed{"kimi_linear", ".experts."},
    Changed{"lfm2_moe", ".experts."},
    Changed{"mellum", ".experts."},
    Changed{"minimax", ".experts."},
};

bool ends_with_part(std::string_view name, std::string_view part) {
  return name.ends_with(part) &&
         (name.size() == part.size() || name[name.size() - part.size() - 1] == '.');
}

}  // namespace

LayerRule layer_rule(std::string_view model_type, std::string_view layer) {
  const auto* found = std::ranges::find_if(kRules, [&](const Rule& rule) {
    return rule.model_type == model_type && ends_with_part(layer, rule.layer);
  });
  if (found != kRules.end()) return found->rule;
  const bool is_router = std::ranges::any_of(
      kRouters, [&](std::string_view router) { return ends_with_part(layer, router); });
  return is_router ? kDense : kUsual;
}

bool keeps_type(std::string_view model_type, std::string_view name) {
  return std::ranges::any_of(kOfWideType, [&](const WideName& wide) {
    return (wide.model_type.empty() || wide.model_type == model_type) &&
           ends_with_part(name, wide.name);
  });
}

bool has_tied_head(const Config& config) {
  const std::string type = config.get<std::string>("model_type", "");
  const auto is_one_of = [&](const auto& types) {
    return std::ranges::find(types, type) != types.end();
  };
  if (is_one_of(kUntied)) return false;
  return config.get<bool>("tie_word_embeddings", is_one_of(kTied));
}

void require_own_matrices(std::string_view model_type, std::string_view name) {
  const bool is_changed = std::ranges::any_of(kChanged, [&](const Changed& changed) {
    return changed.model_type == model_type && name.find(changed.part) != std::string_view::npos;
  });
  if (!is_changed) return;
  throw UnsupportedError(fmt::format(
      "models of the type {:?} can't be quantized from these files: mlx-lm makes other "
      "matrices of those like {:?} when it loads them; quantize them with mlx_lm.convert",
      model_type, name));
}

}  // namespace mlxnx::io
