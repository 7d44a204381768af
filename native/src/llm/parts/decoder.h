// The frame of a decoder: an embedding, layers, a norm, and the words that come out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "llm/maker.h"
#include "llm/parts/rope.h"
#include "llm/step.h"
#include "mlxnx/config.h"
#include "mlxnx/nn/embedding.h"
#include "mlxnx/nn/linear.h"
#include "mlxnx/nn/normalization.h"

namespace mlxnx::llm {

/// `hidden_size`, `rms_norm_eps`, `vocab_size` and `num_hidden_layers` of the settings.
/// Throws: FormatError where they are absent or less than 1.
std::int64_t hidden_size(const Config& config);
double norm_eps(const Config& config);
std::int64_t vocabulary_size(const Config& config);
std::size_t layer_count(const Config& config);
/// `rope_theta`, `rope_traditional`, `rope_scaling` and `max_position_embeddings`.
RopeSettings rope_settings(const Config& config, std::int64_t dims);

/// Caches of attentions without a window.
std::vector<LayerCache> full_caches(std::size_t layers);
/// A cache of an attention with one.
KeyValues windowed_cache(std::int64_t window);
/// `layer_types`: "sliding_attention" has the window `sliding_window`, others have none.
std::vector<LayerCache> caches_by_layer_types(const Config& config, std::size_t layers);

/// `Block(config, layer, maker)`, called as `block(x, step, layer)`.
template <typename Block>
struct Decoder {
  nn::Embedding embed_tokens;
  std::vector<Block> layers;
  nn::RMSNorm norm;
  MLXNX_MEMBERS(embed_tokens, layers, norm)

  Decoder(const Config& config, Maker& maker)
      : embed_tokens(maker.embedding(vocabulary_size(config), hidden_size(config))),
        norm(maker.rms_norm(hidden_size(config), norm_eps(config))) {
    const std::size_t count = layer_count(config);
    layers.reserve(count);
    for (std::size_t layer = 0; layer < count; ++layer) layers.emplace_back(config, layer, maker);
  }

  /// From what the embedding, or something in its place, answers.
  Tensor run(Tensor h, Step& step) const {
    for (std::size_t layer = 0; layer < layers.size(); ++layer) h = layers[layer](h, step, layer);
    return norm(h);
  }
  Tensor operator()(const Tensor& tokens, Step& step) const {
    return run(embed_tokens(tokens), step);
  }
};

/// The same with the layer that answers a number for each word: one of its own, or, tied, the
/// embedding.
template <typename Block>
struct CausalLm {
  Decoder<Block> model;
  std::optional<nn::Linear> lm_head;
  MLXNX_MEMBERS(model, lm_head)

  CausalLm(const Config& config, Maker& maker, bool is_tied) : model(config, maker) {
    if (!is_tied) lm_head = maker.linear(hidden_size(config), vocabulary_size(config), false);
  }

  Tensor logits(const Tensor& h) const {
    return lm_head ? (*lm_head)(h) : model.embed_tokens.as_linear(h);
  }
  Tensor operator()(const Tensor& tokens, Step& step) const { return logits(model(tokens, step)); }
  std::vector<LayerCache> make_cache() const { return full_caches(model.layers.size()); }
};

}  // namespace mlxnx::llm
