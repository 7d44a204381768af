// The first Mamba and Falcon Mamba: state spaces and nothing else. mlx-lm: models/mamba.py
#include "llm/parts/mamba.h"

#include <string>
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/decoder.h"
#include "llm/parts/recurrent.h"
#include "llm/sanitize.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm::mamba {
namespace {

MambaOptions mixer_options(const Config& config) {
  MambaOptions options{.dims = hidden_size(config),
                       .inner = size_in(config, "intermediate_size"),
                       .state_size = size_in(config, "state_size"),
                       .kernel = size_in(config, "conv_kernel"),
                       .rank = time_rank(config, "time_step_rank"),
                       .conv_bias = config.get<bool>("use_conv_bias"),
                       .bias = config.get<bool>("use_bias")};
  if (config.get<bool>("use_bcdt_rms", false) ||
      config.get<std::string>("model_type") == "falcon_mamba")
    options.plain_norm_eps = config.get<double>("mixer_rms_eps", 1e-6);
  return options;
}

struct Block {
  MambaMixer mixer;
  nn::RMSNorm norm;
  MLXNX_MEMBERS(mixer, norm)

  Block(const Config& config, std::size_t, Maker& maker)
      : mixer(mixer_options(config), maker),
        norm(maker.rms_norm(hidden_size(config), norm_eps(config))) {}

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    return x + mixer(norm(x), step, layer);
  }
};

struct Backbone : Decoder<Block> {
  using Decoder::Decoder;
  static constexpr const char* member_names() { return "embeddings, layers, norm_f"; }
};

// `layer_norm_epsilon` is not read.
Config with_fixed_eps(Config config) {
  config.set("rms_norm_eps", 1e-5);
  return config;
}

struct Model : CausalLm<Block, Backbone> {
  static constexpr const char* member_names() { return "backbone, lm_head"; }

  Model(const Config& config, Maker& maker)
      : CausalLm(with_fixed_eps(config), maker, config.get<bool>("tie_word_embeddings", true)) {}
  std::vector<LayerCache> make_cache() const {
    return std::vector<LayerCache>(model.layers.size(), recurrent_cache());
  }
};

void sanitize(nn::Parameters& weights, const Config&) { take_published_convs(weights); }

}  // namespace

const Family kFamily{"mamba", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::mamba
