// Phixtral: Phi-2 of several experts. mlx-lm: models/phixtral.py
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/parts/moe.h"
#include "llm/sanitize.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::phixtral {
namespace {

constexpr std::string_view kDefaults = R"({
  "num_vocab": 51200, "model_dim": 2560, "num_heads": 32, "num_layers": 32, "rotary_dim": 32,
  "num_experts_per_tok": 2, "num_local_experts": 4})";

// The settings under the names that other families have.
Config renamed(const Config& given) {
  Config config = with_defaults(given, kDefaults);
  config.set_from("vocab_size", config, "num_vocab");
  config.set_from("hidden_size", config, "model_dim");
  config.set_from("num_attention_heads", config, "num_heads");
  config.set_from("num_hidden_layers", config, "num_layers");
  for (const char* unread : {"num_key_value_heads", "head_dim"}) config.erase(unread);
  return config;
}

struct Mixer : FusedAttention {
  static constexpr const char* member_names() { return "Wqkv, out_proj, q_norm, k_norm"; }
};

Mixer mixer(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  if (options.dims % options.heads != 0) {
    throw FormatError(
        fmt::format("[load] {} numbers are to be {} heads", options.dims, options.heads));
  }
  options.bias = true;
  options.wide = true;
  return {FusedAttention(options, Rope({.dims = size_in(config, "rotary_dim")}), maker)};
}

struct Experts {
  SwitchMlp switch_mlp;
  nn::Linear gate;
  MLXNX_MEMBERS(switch_mlp, gate)
  std::int64_t count;

  Experts(const Config& config, Maker& maker)
      : switch_mlp(hidden_size(config), 4 * hidden_size(config),
                   size_in(config, "num_local_experts"), maker, true),
        gate(maker.linear(hidden_size(config), size_in(config, "num_local_experts"), false)),
        count(config.get<std::int64_t>("num_experts_per_tok")) {
    check({.experts = size_in(config, "num_local_experts"), .count = count});
  }

  Tensor operator()(const Tensor& x) const {
    const Routed routed = route_by_largest(gate(x), count);
    return mixed(switch_mlp(x, routed.experts), routed.scores);
  }
};

struct Block : ParallelBlock<Mixer, Experts> {
  static constexpr const char* member_names() { return "mixer, moe, ln"; }
  Block(const Config& config, std::size_t, Maker& maker)
      : ParallelBlock{mixer(config, maker), Experts(config, maker),
                      layer_norm(config, maker, 1e-5)} {}
};

struct Embedding {
  nn::Embedding wte;
  MLXNX_MEMBERS(wte)
};

struct Body {
  Embedding embd;
  std::vector<Block> h;
  MLXNX_MEMBERS(embd, h)
};

struct Head {
  Norm ln;
  nn::Linear linear;
  MLXNX_MEMBERS(ln, linear)
};

struct Model {
  Body transformer;
  Head lm_head;
  MLXNX_MEMBERS(transformer, lm_head)

  Model(const Config& given, Maker& maker) : Model(renamed(given), maker, 0) {}
  Tensor hidden(const Tensor& tokens, Step& step) const {
    return through(transformer.h, transformer.embd.wte(tokens), step, lm_head.ln);
  }
  Tensor logits(const Tensor& h) const { return lm_head.linear(h); }
  std::vector<LayerCache> make_cache() const { return full_caches(transformer.h.size()); }

 private:
  Model(const Config& config, Maker& maker, int)
      : transformer{{maker.embedding(vocabulary_size(config), hidden_size(config))},
                    make_layers<Block>(config, layer_count(config), maker)},
        lm_head{layer_norm(config, maker, 1e-5),
                maker.linear(hidden_size(config), vocabulary_size(config), true)} {}
};

void sanitize(nn::Parameters& weights, const Config& given) {
  const Config config = renamed(given);
  for (std::size_t layer = 0; layer < layer_count(config); ++layer) {
    const std::string moe = fmt::format("transformer.h.{}.moe", layer);
    rename(weights, [&](std::string_view name) {
      return name.starts_with(moe + ".mlp.") ? replaced(name, ".moe.mlp.", ".moe.experts.")
                                             : std::string(name);
    });
    for (const char* part : {"fc1", "fc2"}) {
      stack_experts(weights, moe, part, std::string("switch_mlp.") + part,
                    size_in(config, "num_local_experts"));
    }
  }
}

}  // namespace

const Family kFamily{"phixtral", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::phixtral
