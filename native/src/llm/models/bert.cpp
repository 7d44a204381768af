// BERT, and RoBERTa, which counts positions from behind its padding's. transformers: BertModel
#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "llm/encoder.h"
#include "llm/parts/attention.h"
#include "llm/parts/decoder.h"
#include "llm/parts/mlp.h"
#include "llm/sanitize.h"
#include "mlxnx/fast.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm::bert {
namespace {

Norm norm(const Config& config, Maker& maker) {
  return layer_norm(config, maker, config.get<double>("layer_norm_eps", 1e-12));
}

Activation activation(const Config& config) {
  const auto name = config.get<std::string>("hidden_act", "gelu");
  if (name == "gelu") return &nn::gelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return &nn::gelu_approx;
  if (name == "relu") return &nn::relu;
  if (name == "silu" || name == "swish") return &nn::silu;
  throw UnsupportedError(fmt::format(
      "[load] hidden_act is {:?}; gelu, gelu_new, gelu_pytorch_tanh, relu and silu are known",
      name));
}

struct Embeddings {
  nn::Embedding word_embeddings, position_embeddings, token_type_embeddings;
  Norm norm;
  MLXNX_MEMBERS(word_embeddings, position_embeddings, token_type_embeddings, norm)
  std::int64_t first;  ///< the position of the first token

  // A text alone is all of the first type.
  Tensor operator()(const Tensor& tokens) const {
    const Tensor places = iota({tokens.shape()[1]}) + first;
    return norm(word_embeddings(tokens) + position_embeddings(places) +
                token_type_embeddings(Tensor(0)));
  }
};

/// A matrix, whose answer is added to what the part of the layer got, and normed.
struct Output {
  nn::Linear dense;
  Norm norm;
  MLXNX_MEMBERS(dense, norm)

  Tensor operator()(const Tensor& x, const Tensor& input) const { return norm(dense(x) + input); }
};

struct Heads {
  nn::Linear query, key, value;
  MLXNX_MEMBERS(query, key, value)
  std::int64_t heads;

  Tensor operator()(const Tensor& x, const std::optional<Tensor>& mask) const {
    return from_heads(
        fast::scaled_dot_product_attention(to_heads(query(x), heads), to_heads(key(x), heads),
                                           to_heads(value(x), heads), {.mask = mask}));
  }
};

struct SelfAttention {
  Heads self;
  Output output;
  MLXNX_MEMBERS(self, output)
};

struct Intermediate {
  nn::Linear dense;
  MLXNX_MEMBERS(dense)
  Activation activation;

  Tensor operator()(const Tensor& x) const { return activation(dense(x)); }
};

struct Layer {
  SelfAttention attention;
  Intermediate intermediate;
  Output output;
  MLXNX_MEMBERS(attention, intermediate, output)

  Tensor operator()(const Tensor& x, const std::optional<Tensor>& mask) const {
    const Tensor h = attention.output(attention.self(x, mask), x);
    return output(intermediate(h), h);
  }
};

Layer layer(const Config& config, Maker& maker) {
  const AttentionOptions sizes = attention_options(config);
  check_heads_fill(sizes);
  const std::int64_t dims = sizes.dims, inner = size_in(config, "intermediate_size");
  const auto square = [&] { return maker.linear(dims, dims, true); };
  return {{{square(), square(), square(), sizes.heads}, {square(), norm(config, maker)}},
          {maker.linear(dims, inner, true), activation(config)},
          {maker.linear(inner, dims, true), norm(config, maker)}};
}

struct Layers {
  std::vector<Layer> layer;
  MLXNX_MEMBERS(layer)
};

struct Model {
  Embeddings embeddings;
  Layers encoder;
  MLXNX_MEMBERS(embeddings, encoder)
  std::int64_t length;

  Model(const Config& config, Maker& maker, std::int64_t first)
      : embeddings{maker.embedding(vocabulary_size(config), hidden_size(config)),
                   maker.embedding(size_in(config, "max_position_embeddings"), hidden_size(config)),
                   maker.embedding(size_in(config, "type_vocab_size", 2), hidden_size(config)),
                   norm(config, maker), first},
        length(size_in(config, "max_position_embeddings") - first) {
    const auto kind = config.get<std::string>("position_embedding_type", "absolute");
    if (kind != "absolute") {
      throw UnsupportedError(fmt::format(
          "[load] position_embedding_type is {:?}; only absolute positions are known", kind));
    }
    if (length < 1) {
      throw FormatError(fmt::format("[load] {} positions, of which the first is {}",
                                    size_in(config, "max_position_embeddings"), first));
    }
    for (std::size_t count = layer_count(config); count > 0; --count)
      encoder.layer.push_back(layer(config, maker));
  }

  std::int64_t max_length() const { return length; }
  Tensor rows(const Tensor& tokens, const std::optional<Tensor>& mask) const {
    std::optional<Tensor> seen;  // [batch, heads, queries, keys]
    if (mask) seen = new_axis(new_axis(*mask, 1), 1);
    Tensor h = embeddings(tokens);
    for (const Layer& layer : encoder.layer) h = layer(h, seen);
    return h;
  }
};

std::unique_ptr<Encoder> make_bert(const Config& config, Maker& maker) {
  return std::make_unique<EncoderOf<Model>>(Model(config, maker, 0));
}

std::unique_ptr<Encoder> make_roberta(const Config& config, Maker& maker) {
  const auto padding = config.get<std::int64_t>("pad_token_id", 1);
  if (padding < 0) throw FormatError(fmt::format("[load] pad_token_id is {}", padding));
  return std::make_unique<EncoderOf<Model>>(Model(config, maker, padding + 1));
}

// What stands behind the encoder, for the tasks that it was trained on, has no part in embeddings.
void sanitize(nn::Parameters& weights) {
  rename(weights, [](std::string_view name) -> std::string {
    for (const std::string_view prefix : {"bert.", "roberta."}) {
      if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
    }
    if (!name.starts_with("embeddings.") && !name.starts_with("encoder.")) return "";
    if (name.ends_with(".position_ids") || name.ends_with(".token_type_ids")) return "";
    std::string own = replaced(name, "LayerNorm.", "norm.");
    own = replaced(own, "norm.gamma", "norm.weight");
    return replaced(own, "norm.beta", "norm.bias");
  });
}

}  // namespace

const EncoderFamily kBert{"bert", &make_bert, &sanitize};
const EncoderFamily kRoberta{"roberta", &make_roberta, &sanitize};

}  // namespace mlxnx::llm::bert
