// The frame of a decoder: an embedding, layers, a norm, and the words that come out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "llm/maker.h"
#include "llm/module.h"
#include "llm/parts/norm.h"
#include "llm/parts/rope.h"
#include "llm/sanitize.h"
#include "llm/step.h"
#include "mlxnx/config.h"
#include "mlxnx/nn/embedding.h"
#include "mlxnx/nn/linear.h"
#include "mlxnx/operators.h"

namespace mlxnx::llm {

/// The settings with those of a JSON object where they say nothing; null says something.
Config with_defaults(Config config, std::string_view defaults);
/// The settings with those of other names under ours: pairs of ours and theirs.
Config with_names(Config config,
                  std::initializer_list<std::pair<std::string_view, std::string_view>> names);
/// A size or a count among the settings.
/// Throws: FormatError where it is absent, unless there is an `absent`, less than 1 or absurd.
std::int64_t size_in(const Config& config, std::string_view key,
                     std::optional<std::int64_t> absent = std::nullopt);
/// `hidden_size`, `rms_norm_eps`, `vocab_size` and `num_hidden_layers` of the settings.
/// Throws: FormatError where they are absent or less than 1.
std::int64_t hidden_size(const Config& config);
double norm_eps(const Config& config);
/// The settings with `rms_norm_eps` by another name of it.
Config with_norm_eps(Config config, std::string_view name);
std::int64_t vocabulary_size(const Config& config);
std::size_t layer_count(const Config& config);
/// Whether the embedding stands for `lm_head` as well: `tie_word_embeddings`.
bool is_tied(const Config& config, bool absent);
/// The settings with `tie_word_embeddings` as the weights say it: by an `lm_head` or none.
Config tied_without_head(Config config, const nn::Parameters& weights);
/// Over `hidden_size` numbers.
Norm rms_norm(const Config& config, Maker& maker);
Norm layer_norm(const Config& config, Maker& maker, double eps, bool bias = true);
/// `rope_theta`, `rope_traditional`, `rope_scaling` and `max_position_embeddings`; the first and
/// the third also from within `rope_parameters`.
RopeSettings rope_settings(const Config& config, std::int64_t dims, double default_base = 10'000);

/// The base of families in which `rope_parameters` has the last word on it.
double nested_base(const Config& config, double flat);

/// Caches of attentions without a window.
std::vector<LayerCache> full_caches(std::size_t layers);
/// A cache of an attention with one.
KeyValues windowed_cache(std::int64_t window);
/// `layer_types`, one for each layer; there may be more. Throws: FormatError for less of them.
std::vector<std::string> layer_types(const Config& config);
/// `layer_types`: "sliding_attention" has the window `sliding_window`, others have none.
std::vector<LayerCache> caches_by_layer_types(const Config& config, std::size_t layers);

/// `count` of `Block(config, layer, maker)`, called as `block(x, step, layer)`.
template <typename Block>
std::vector<Block> make_layers(const Config& config, std::size_t count, Maker& maker) {
  std::vector<Block> layers;
  layers.reserve(count);
  for (std::size_t layer = 0; layer < count; ++layer) layers.emplace_back(config, layer, maker);
  return layers;
}

/// One layer after the other, and the norm at the end.
template <typename Block>
Tensor through(const std::vector<Block>& layers, Tensor h, Step& step, const Norm& norm) {
  for (std::size_t layer = 0; layer < layers.size(); ++layer) h = layers[layer](h, step, layer);
  return norm(h);
}

/// The rows of a table of positions that belong to the tokens of a step.
Tensor learned_positions(const nn::Embedding& table, const Step& step);
/// Logits that stay below `most`.
Tensor capped(const Tensor& logits, double most);

/// An embedding, layers and a norm. Families with other names for them derive from it and say them
/// (`member_names`).
template <typename Block>
struct Decoder {
  nn::Embedding embed_tokens;
  std::vector<Block> layers;
  Norm norm;
  MLXNX_MEMBERS(embed_tokens, layers, norm)

  Decoder(const Config& config, Maker& maker) : Decoder(config, maker, rms_norm(config, maker)) {}
  Decoder(const Config& config, Maker& maker, Norm norm)
      : embed_tokens(maker.embedding(vocabulary_size(config), hidden_size(config))),
        layers(make_layers<Block>(config, layer_count(config), maker)),
        norm(std::move(norm)) {}

  /// From what the embedding, or something in its place, answers.
  Tensor run(Tensor h, Step& step) const { return through(layers, std::move(h), step, norm); }
  Tensor operator()(const Tensor& tokens, Step& step) const {
    return run(embed_tokens(tokens), step);
  }
};

/// The same by GPT's names, with positions from a table.
template <typename Block>
struct GptBody {
  nn::Embedding wte, wpe;
  std::vector<Block> h;
  Norm ln_f;
  MLXNX_MEMBERS(wte, wpe, h, ln_f)

  GptBody(const Config& config, Maker& maker, Norm norm)
      : wte(maker.embedding(vocabulary_size(config), hidden_size(config))),
        wpe(maker.embedding(size_in(config, "n_positions"), hidden_size(config))),
        h(make_layers<Block>(config, layer_count(config), maker)),
        ln_f(std::move(norm)) {}
  Tensor operator()(const Tensor& tokens, Step& step) const {
    return through(h, wte(tokens) + learned_positions(wpe, step), step, ln_f);
  }
};

/// An embedding, layers and a norm with the layer that answers a number for each word: one of its
/// own, or, tied, the embedding.
template <typename Block, typename Body = Decoder<Block>>
struct CausalLm {
  Body model;
  std::optional<nn::Linear> lm_head;
  MLXNX_MEMBERS(model, lm_head)

  CausalLm(const Config& config, Maker& maker, bool is_tied)
      : CausalLm(config, maker, is_tied, Body(config, maker)) {}
  CausalLm(const Config& config, Maker& maker, bool is_tied, Body body) : model(std::move(body)) {
    if (!is_tied) lm_head = maker.linear(hidden_size(config), vocabulary_size(config), false);
  }

  Tensor hidden(const Tensor& tokens, Step& step) const { return model(tokens, step); }
  Tensor logits(const Tensor& h) const {
    return lm_head ? (*lm_head)(h) : model.embed_tokens.as_linear(h);
  }
  std::vector<LayerCache> make_cache() const { return full_caches(model.layers.size()); }
};

/// What `sanitize` is for most families: see `drop_unused`. `tied` is how the head is where
/// settings don't say.
template <bool tied>
void sanitize_plainly(nn::Parameters& weights, const Config& config) {
  drop_unused(weights, is_tied(config, tied));
}

/// The same where a head in the file is never one too many.
inline void sanitize_with_head(nn::Parameters& weights, const Config&) {
  drop_unused(weights, false);
}

/// A family whose models are a `CausalLm` of these blocks and nothing else.
template <typename Block, bool tied>
struct PlainLm : CausalLm<Block> {
  PlainLm(const Config& config, Maker& maker)
      : CausalLm<Block>(config, maker, is_tied(config, tied)) {}
};
template <typename Block, bool tied>
constexpr Family plain_family(std::string_view name) {
  return {name, &make_module<PlainLm<Block, tied>>, &sanitize_plainly<tied>};
}

}  // namespace mlxnx::llm
