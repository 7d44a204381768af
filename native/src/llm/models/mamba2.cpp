// Mamba 2: state spaces and nothing else. mlx-lm: models/mamba2.py
#include <vector>

#include "llm/models/models.h"
#include "llm/parts/decoder.h"
#include "llm/parts/recurrent.h"
#include "llm/parts/ssm.h"
#include "llm/sanitize.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm::mamba2 {
namespace {

Mamba2Options mixer_options(const Config& config) {
  Mamba2Options options{
      .dims = hidden_size(config),
      .heads = size_in(config, "num_heads"),
      .head_dim = size_in(config, "head_dim"),
      .state_size =
          size_in(config, config.contains("ssm_state_size") ? "ssm_state_size" : "state_size"),
      .groups = size_in(config, "n_groups"),
      .kernel = size_in(config, "conv_kernel"),
      .conv_bias = config.get<bool>("use_conv_bias"),
      .bias = config.get<bool>("use_bias"),
      .norm_eps = config.get<double>("layer_norm_epsilon")};
  take_time_limits(options, config);
  return options;
}

struct Block {
  Mamba2Mixer mixer;
  nn::RMSNorm norm;
  MLXNX_MEMBERS(mixer, norm)

  Block(const Config& config, std::size_t, Maker& maker)
      : mixer(mixer_options(config), maker), norm(maker.rms_norm(hidden_size(config), 1e-5)) {}

  Tensor operator()(const Tensor& x, Step& step, std::size_t layer) const {
    return x + mixer(norm(x), step, layer);
  }
};

struct Backbone : Decoder<Block> {
  using Decoder::Decoder;
  static constexpr const char* member_names() { return "embeddings, layers, norm_f"; }
};

struct Model : CausalLm<Block, Backbone> {
  static constexpr const char* member_names() { return "backbone, lm_head"; }

  Model(const Config& config, Maker& maker)
      : CausalLm(with_norm_eps(config, "layer_norm_epsilon"), maker,
                 config.get<bool>("tie_word_embeddings")) {}
  std::vector<LayerCache> make_cache() const {
    return std::vector<LayerCache>(model.layers.size(), recurrent_cache());
  }
};

void sanitize(nn::Parameters& weights, const Config&) { take_published_convs(weights); }

}  // namespace

const Family kFamily{"mamba2", &make_module<Model>, &sanitize};

}  // namespace mlxnx::llm::mamba2
