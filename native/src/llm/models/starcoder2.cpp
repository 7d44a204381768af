// StarCoder2. mlx-lm: models/starcoder2.py
#include <cstddef>
#include <string_view>

#include "llm/models/models.h"
#include "llm/parts/attention.h"
#include "llm/parts/block.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"

namespace mlxnx::llm::starcoder2 {
namespace {

constexpr std::string_view kDefaults = R"({"norm_epsilon": 1e-5, "vocab_size": 49152})";

Attention attention(const Config& config, Maker& maker) {
  AttentionOptions options = attention_options(config);
  options.bias = true;
  return {options,
          Rope({.dims = options.head_dim, .base = config.get<double>("rope_theta", 100'000)}),
          maker};
}

struct Mlp : PlainMlp {
  static constexpr const char* member_names() { return "c_fc, c_proj"; }
};

Norm norm(const Config& config, Maker& maker) {
  return layer_norm(config, maker, config.get<double>("norm_epsilon"));
}

struct Block : PreNormBlock<Attention, Mlp> {
  Block(const Config& config, std::size_t, Maker& maker)
      : PreNormBlock{attention(config, maker),
                     {plain_mlp(config, maker, true, &nn::gelu)},
                     norm(config, maker),
                     norm(config, maker)} {}
};

struct Model : CausalLm<Block> {
  Model(const Config& given, Maker& maker) : Model(with_defaults(given, kDefaults), maker, 0) {}

 private:
  Model(const Config& config, Maker& maker, int)
      : CausalLm(config, maker, is_tied(config, true), {config, maker, norm(config, maker)}) {}
};

}  // namespace

const Family kFamily{"starcoder2", &make_module<Model>, &sanitize_with_head};

}  // namespace mlxnx::llm::starcoder2
