#include "io/gguf_names.h"

#include <algorithm>
#include <array>
#include <vector>

namespace mlxnx::io {
namespace {

constexpr std::string_view kBlock = "blk.";
constexpr std::string_view kLayer = "model.layers.";

// Outside of layers.
constexpr std::array kOutside = {GgufName{"token_embd", "model.embed_tokens"},
                                 GgufName{"output_norm", "model.norm"},
                                 GgufName{"output", "lm_head"}};

// Parts of layers that most architectures have.
constexpr std::array kPartNames = {
    GgufName{"attn_norm", "input_layernorm"},    GgufName{"attn_q", "self_attn.q_proj"},
    GgufName{"attn_k", "self_attn.k_proj"},      GgufName{"attn_v", "self_attn.v_proj"},
    GgufName{"attn_output", "self_attn.o_proj"}, GgufName{"attn_q_norm", "self_attn.q_norm"},
    GgufName{"attn_k_norm", "self_attn.k_norm"}, GgufName{"ffn_norm", "post_attention_layernorm"},
    GgufName{"ffn_gate", "mlp.gate_proj"},       GgufName{"ffn_up", "mlp.up_proj"},
    GgufName{"ffn_down", "mlp.down_proj"},
};

constexpr std::array kSandwich = {GgufName{"post_attention_norm", "post_attention_layernorm"},
                                  GgufName{"ffn_norm", "pre_feedforward_layernorm"},
                                  GgufName{"post_ffw_norm", "post_feedforward_layernorm"}};
constexpr std::array kPostNorms = {GgufName{"post_attention_norm", "post_attention_layernorm"},
                                   GgufName{"post_ffw_norm", "post_feedforward_layernorm"}};
constexpr std::array kJoined = {GgufName{"attn_qkv", "self_attn.qkv_proj"},
                                GgufName{"ffn_up", "mlp.gate_up_proj"}};
constexpr std::array kTwoMatrices = {GgufName{"ffn_up", "mlp.c_fc"},
                                     GgufName{"ffn_down", "mlp.c_proj"}};
constexpr std::array kExperts = {GgufName{"ffn_gate_inp", "mlp.gate"},
                                 GgufName{"ffn_gate_exps", "mlp.switch_mlp.gate_proj"},
                                 GgufName{"ffn_up_exps", "mlp.switch_mlp.up_proj"},
                                 GgufName{"ffn_down_exps", "mlp.switch_mlp.down_proj"},
                                 GgufName{"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
                                 GgufName{"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
                                 GgufName{"ffn_up_shexp", "mlp.shared_expert.up_proj"},
                                 GgufName{"ffn_down_shexp", "mlp.shared_expert.down_proj"}};
constexpr std::array kMixtral = {
    GgufName{"ffn_gate_inp", "block_sparse_moe.gate"},
    GgufName{"ffn_gate_exps", "block_sparse_moe.switch_mlp.gate_proj"},
    GgufName{"ffn_up_exps", "block_sparse_moe.switch_mlp.up_proj"},
    GgufName{"ffn_down_exps", "block_sparse_moe.switch_mlp.down_proj"}};

constexpr std::array kArchitectures = {
    GgufArchitecture{"llama", "llama", kMixtral, true, false, true},
    GgufArchitecture{"qwen2", "qwen2", {}},
    GgufArchitecture{"qwen3", "qwen3", {}},
    GgufArchitecture{"qwen2moe", "qwen2_moe", kExperts},
    GgufArchitecture{"qwen3moe", "qwen3_moe", kExperts},
    GgufArchitecture{"gemma", "gemma", {}, false, true},
    GgufArchitecture{"gemma2", "gemma2", kSandwich, false, true},
    GgufArchitecture{"gemma3", "gemma3_text", kSandwich, false, true},
    GgufArchitecture{"phi3", "phi3", kJoined},
    GgufArchitecture{"smollm3", "smollm3", {}, true},
    GgufArchitecture{"starcoder2", "starcoder2", kTwoMatrices},
    GgufArchitecture{"olmo2", "olmo2", kPostNorms},
    GgufArchitecture{"granite", "granite", {}, true, false, true},
};

constexpr std::array kIntegers = {
    GgufName{"block_count", "num_hidden_layers"},
    GgufName{"context_length", "max_position_embeddings"},
    GgufName{"embedding_length", "hidden_size"},
    GgufName{"feed_forward_length", "intermediate_size"},
    GgufName{"attention.head_count", "num_attention_heads"},
    GgufName{"attention.head_count_kv", "num_key_value_heads"},
    GgufName{"attention.key_length", "head_dim"},
    GgufName{"attention.sliding_window", "sliding_window"},
    GgufName{"vocab_size", "vocab_size"},
    GgufName{"expert_count", "num_experts"},
    GgufName{"expert_used_count", "num_experts_per_tok"},
    GgufName{"expert_feed_forward_length", "moe_intermediate_size"},
    GgufName{"expert_shared_feed_forward_length", "shared_expert_intermediate_size"},
};

constexpr std::array kNumbers = {
    GgufName{"rope.freq_base", "rope_theta"},
    GgufName{"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
    GgufName{"attention.layer_norm_epsilon", "norm_epsilon"},
    GgufName{"attn_logit_softcapping", "attn_logit_softcapping"},
    GgufName{"final_logit_softcapping", "final_logit_softcapping"},
    GgufName{"attention.scale", "attention_multiplier"},
    GgufName{"embedding_scale", "embedding_multiplier"},
    GgufName{"residual_scale", "residual_multiplier"},
    GgufName{"logit_scale", "logits_scaling"},
};

constexpr std::array kYarnNumbers = {
    GgufName{"rope.scaling.yarn_beta_fast", "beta_fast"},
    GgufName{"rope.scaling.yarn_beta_slow", "beta_slow"},
};

// A name without its last part, and that part.
std::pair<std::string_view, std::string_view> split_last(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {name, {}};
  return {name.substr(0, dot), name.substr(dot)};
}

using Member = std::string_view GgufName::*;

// What stands beside `name` in the first of the tables that has it.
std::optional<std::string_view> beside(std::string_view name, Member from, Member to,
                                       std::span<const GgufName> own,
                                       std::span<const GgufName> common) {
  for (const auto& table : {own, common}) {
    const auto found = std::ranges::find(table, name, from);
    if (found != table.end()) return (*found).*to;
  }
  return std::nullopt;
}

std::optional<std::string> translated(const GgufArchitecture& architecture, std::string_view name,
                                      Member from, Member to, std::string_view from_layer,
                                      std::string_view to_layer) {
  const auto [stem, last] = split_last(name);
  if (last != ".weight" && last != ".bias") return std::nullopt;
  if (!stem.starts_with(from_layer)) {
    const auto found = beside(stem, from, to, {}, kOutside);
    if (!found) return std::nullopt;
    return std::string(*found) + std::string(last);
  }
  const std::string_view rest = stem.substr(from_layer.size());
  const std::size_t dot = rest.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view number = rest.substr(0, dot);
  const bool is_number =
      !number.empty() && std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; });
  const auto found = beside(rest.substr(dot + 1), from, to, architecture.parts, kPartNames);
  if (!is_number || !found) return std::nullopt;
  return std::string(to_layer) + std::string(number) + "." + std::string(*found) +
         std::string(last);
}

}  // namespace

const GgufArchitecture* find_gguf_architecture(std::string_view name) {
  const auto* found = std::ranges::find(kArchitectures, name, &GgufArchitecture::name);
  return found == kArchitectures.end() ? nullptr : found;
}

const GgufArchitecture* find_gguf_architecture_of(std::string_view model_type) {
  if (model_type == "mistral" || model_type == "mixtral") model_type = "llama";
  const auto* found = std::ranges::find(kArchitectures, model_type, &GgufArchitecture::model_type);
  return found == kArchitectures.end() ? nullptr : found;
}

std::string known_gguf_architectures() {
  std::string names;
  for (const GgufArchitecture& each : kArchitectures) {
    if (!names.empty()) names += ", ";
    names += each.name;
  }
  return names;
}

std::optional<std::string> own_name(const GgufArchitecture& architecture, std::string_view gguf) {
  return translated(architecture, gguf, &GgufName::gguf, &GgufName::own, kBlock, kLayer);
}

std::optional<std::string> gguf_name(const GgufArchitecture& architecture, std::string_view own) {
  return translated(architecture, own, &GgufName::own, &GgufName::gguf, kLayer, kBlock);
}

std::span<const GgufName> gguf_integers() { return kIntegers; }
std::span<const GgufName> gguf_numbers() { return kNumbers; }
std::span<const GgufName> gguf_yarn_numbers() { return kYarnNumbers; }

std::optional<double> gguf_score_scale(const GgufArchitecture& architecture, std::int64_t layers,
                                       std::int64_t hidden_size, std::int64_t heads,
                                       std::int64_t head_dim) {
  // The largest of each is told by its layers.
  constexpr std::int64_t kOfGemma2 = 46, kOfGemma3 = 62;
  const bool is_gemma2 = architecture.name == "gemma2", is_gemma3 = architecture.name == "gemma3";
  if (!is_gemma2 && !is_gemma3) return std::nullopt;
  const bool is_largest = layers == (is_gemma2 ? kOfGemma2 : kOfGemma3);
  if (is_largest && heads > 0) return static_cast<double>(hidden_size / heads);
  return static_cast<double>(head_dim);
}

}  // namespace mlxnx::io
