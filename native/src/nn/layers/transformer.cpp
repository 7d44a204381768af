#include "mlxnx/nn/transformer.h"

#include <algorithm>
#include <string_view>

#include "mlxnx/mlxnx.h"
#include "nn/initial.h"
#include "nn/layer.h"
#include "nn/layers/attention.h"
#include "nn/layers/checks.h"

namespace mlxnx::nn {
namespace {

using OptionalKey = std::optional<Tensor>;

std::int64_t mlp_dims(const TransformerLayerOptions& options) {
  return options.mlp_dims.value_or(4 * options.dims);
}

// Key `i` of those that are made of one for a layer's parts.
Tensor part_key(const Tensor& key, std::size_t i, std::string_view layer) {
  constexpr std::int64_t kParts = 4;
  return split_key(key, kParts, layer).at(i);
}

// As many keys, where there is one.
std::vector<OptionalKey> keys_of(const OptionalKey& key, std::size_t count,
                                 std::string_view layer) {
  if (!key || count == 0) return std::vector<OptionalKey>(count);
  const auto keys = split_key(*key, static_cast<std::int64_t>(count), layer);
  return {keys.begin(), keys.end()};
}

// `part` with the norm before it, or after it, and what came in beside it.
template <typename Part>
Tensor around(const Tensor& x, const LayerNorm& norm, bool norm_first, const Part& part) {
  return norm_first ? x + part(norm(x)) : norm(x + part(x));
}

// The two products of a layer, with a dropout between them.
template <typename Layer>
Tensor products(const Layer& layer, const Tensor& x, const Dropout& dropout,
                const OptionalKey& key) {
  return layer.linear2(dropout(activated(layer.linear1(x), layer.activation), key));
}

TransformerLayerOptions layer_options(const TransformerStackOptions& options) {
  return {options.dims,    options.num_heads,  options.mlp_dims,
          options.dropout, options.activation, options.norm_first};
}

template <typename Layer>
std::vector<Layer> stack_of(const TransformerStackOptions& options, const Tensor& key,
                            std::string_view name) {
  const std::int64_t count = at_least(0, options.num_layers, "num_layers", name);
  std::vector<Layer> layers;
  if (count == 0) return layers;
  for (const Tensor& own : split_key(key, count, name))
    layers.emplace_back(layer_options(options), own);
  return layers;
}

// What a stack answers, whose layers take `x`, `more` and a key.
template <typename Stack, typename... More>
Tensor through(const Stack& stack, Tensor x, const OptionalKey& key, std::string_view name,
               const More&... more) {
  const auto keys = keys_of(key, stack.layers.size(), name);
  const auto apply = [](const auto& layer, const auto&... operands) { return layer(operands...); };
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto& layer = stack.layers[i];
    x = stack.checkpoint ? mlxnx::checkpoint(apply)(layer, x, more..., keys[i])
                         : layer(x, more..., keys[i]);
  }
  return stack.ln(x);
}

constexpr std::string_view kEncoderLayer = "transformer_encoder_layer";
constexpr std::string_view kDecoderLayer = "transformer_decoder_layer";
constexpr std::string_view kEncoder = "transformer_encoder";
constexpr std::string_view kDecoder = "transformer_decoder";
constexpr std::string_view kTransformer = "transformer";

}  // namespace

TransformerEncoderLayer::TransformerEncoderLayer(const TransformerLayerOptions& options,
                                                 const Tensor& key)
    : attention({.dims = options.dims, .num_heads = options.num_heads},
                part_key(key, 0, kEncoderLayer)),
      ln1({.dims = options.dims}),
      ln2({.dims = options.dims}),
      linear1({.input_dims = options.dims, .output_dims = mlp_dims(options)},
              part_key(key, 1, kEncoderLayer)),
      linear2({.input_dims = mlp_dims(options), .output_dims = options.dims},
              part_key(key, 2, kEncoderLayer)),
      dropout1({.p = options.dropout}),
      dropout2({.p = options.dropout}),
      activation(activation_name(options.activation, "activation", kEncoderLayer)),
      norm_first(options.norm_first) {}

Tensor TransformerEncoderLayer::operator()(const Tensor& x, const AttentionMask& mask,
                                           const OptionalKey& key) const {
  const auto keys = keys_of(key, 2, kEncoderLayer);
  const Tensor y = around(x, ln1, norm_first, [&](const Tensor& in) {
    return dropout1(attention(in, in, in, mask), keys[0]);
  });
  return around(y, ln2, norm_first,
                [&](const Tensor& in) { return products(*this, in, dropout2, keys[1]); });
}

TransformerDecoderLayer::TransformerDecoderLayer(const TransformerLayerOptions& options,
                                                 const Tensor& key)
    : self_attention({.dims = options.dims, .num_heads = options.num_heads},
                     part_key(key, 0, kDecoderLayer)),
      cross_attention({.dims = options.dims, .num_heads = options.num_heads},
                      part_key(key, 3, kDecoderLayer)),
      ln1({.dims = options.dims}),
      ln2({.dims = options.dims}),
      ln3({.dims = options.dims}),
      linear1({.input_dims = options.dims, .output_dims = mlp_dims(options)},
              part_key(key, 1, kDecoderLayer)),
      linear2({.input_dims = mlp_dims(options), .output_dims = options.dims},
              part_key(key, 2, kDecoderLayer)),
      dropout1({.p = options.dropout}),
      dropout2({.p = options.dropout}),
      dropout3({.p = options.dropout}),
      activation(activation_name(options.activation, "activation", kDecoderLayer)),
      norm_first(options.norm_first) {}

Tensor TransformerDecoderLayer::operator()(const Tensor& x, const Tensor& memory,
                                           const AttentionMask& x_mask,
                                           const AttentionMask& memory_mask,
                                           const OptionalKey& key) const {
  const auto keys = keys_of(key, 3, kDecoderLayer);
  const Tensor y = around(x, ln1, norm_first, [&](const Tensor& in) {
    return dropout1(self_attention(in, in, in, x_mask), keys[0]);
  });
  const Tensor z = around(y, ln2, norm_first, [&](const Tensor& in) {
    return dropout2(cross_attention(in, memory, memory, memory_mask), keys[1]);
  });
  return around(z, ln3, norm_first,
                [&](const Tensor& in) { return products(*this, in, dropout3, keys[2]); });
}

TransformerEncoder::TransformerEncoder(const TransformerStackOptions& options, const Tensor& key)
    : layers(stack_of<TransformerEncoderLayer>(options, key, kEncoder)),
      ln({.dims = options.dims}),
      checkpoint(options.checkpoint) {}

Tensor TransformerEncoder::operator()(const Tensor& x, const AttentionMask& mask,
                                      const OptionalKey& key) const {
  return through(*this, x, key, kEncoder, mask);
}

TransformerDecoder::TransformerDecoder(const TransformerStackOptions& options, const Tensor& key)
    : layers(stack_of<TransformerDecoderLayer>(options, key, kDecoder)),
      ln({.dims = options.dims}),
      checkpoint(options.checkpoint) {}

Tensor TransformerDecoder::operator()(const Tensor& x, const Tensor& memory,
                                      const AttentionMask& x_mask, const AttentionMask& memory_mask,
                                      const OptionalKey& key) const {
  return through(*this, x, key, kDecoder, memory, x_mask, memory_mask);
}

namespace {

TransformerStackOptions stack_options(const TransformerOptions& options, std::int64_t layers) {
  return {layers,          options.dims,       options.num_heads,  options.mlp_dims,
          options.dropout, options.activation, options.norm_first, options.checkpoint};
}

}  // namespace

Transformer::Transformer(const TransformerOptions& options, const Tensor& key)
    : encoder(stack_options(options, options.num_encoder_layers), part_key(key, 0, kTransformer)),
      decoder(stack_options(options, options.num_decoder_layers), part_key(key, 1, kTransformer)) {}

Tensor Transformer::operator()(const Tensor& src, const Tensor& tgt, const AttentionMask& src_mask,
                               const AttentionMask& tgt_mask, const AttentionMask& memory_mask,
                               const OptionalKey& key) const {
  const auto keys = keys_of(key, 2, kTransformer);
  return decoder(tgt, encoder(src, src_mask, keys[0]), tgt_mask, memory_mask, keys[1]);
}

namespace {

constexpr OperandDef kEncoded[] = {{"x"}, {"mask", true}, {"key", true}};
constexpr OperandDef kDecoded[] = {
    {"x"}, {"memory"}, {"x_mask", true}, {"memory_mask", true}, {"key", true}};
constexpr OperandDef kBoth[] = {
    {"src"}, {"tgt"}, {"src_mask", true}, {"tgt_mask", true}, {"memory_mask", true}, {"key", true}};

// Each mask can be "causal" as well.
ops::AttrDef training() { return {"training", ops::AttrKind::kBool, true}; }
ops::AttrDef mask(std::string_view name) {
  return {name, ops::AttrKind::kString, std::nullopt, true};
}
const ops::AttrDef kEncoding[] = {training(), mask("mask")};
const ops::AttrDef kDecoding[] = {training(), mask("x_mask"), mask("memory_mask")};
const ops::AttrDef kCoding[] = {training(), mask("src_mask"), mask("tgt_mask"),
                                mask("memory_mask")};

double dropout_of(const TransformerEncoderLayer& layer) { return layer.dropout1.p; }
double dropout_of(const TransformerDecoderLayer& layer) { return layer.dropout1.p; }
template <typename Stack>
requires requires(const Stack& stack) { stack.layers.front(); }
double dropout_of(const Stack& stack) {
  return stack.layers.empty() ? 0 : dropout_of(stack.layers.front());
}
double dropout_of(const Transformer& model) {
  return std::max(dropout_of(model.encoder), dropout_of(model.decoder));
}

// The key that is operand `i`, which has to be there where something is dropped.
template <typename Layer>
OptionalKey key_of(const Layer& layer, const FunctionCall& call, std::size_t i) {
  if (!call.option<bool>("training") || dropout_of(layer) == 0) return std::nullopt;
  return call[i];
}

template <typename Layer>
LayerAnswer answer_encoded(const Layer& layer, const FunctionCall& call) {
  return {{layer(call[0], mask_of(call, 1, "mask"), key_of(layer, call, 2))}};
}

template <typename Layer>
LayerAnswer answer_decoded(const Layer& layer, const FunctionCall& call) {
  return {{layer(call[0], call[1], mask_of(call, 2, "x_mask"), mask_of(call, 3, "memory_mask"),
                 key_of(layer, call, 4))}};
}

LayerAnswer answer_both(const Transformer& model, const FunctionCall& call) {
  return {{model(call[0], call[1], mask_of(call, 2, "src_mask"), mask_of(call, 3, "tgt_mask"),
                 mask_of(call, 4, "memory_mask"), key_of(model, call, 5))}};
}

const LayerDef kTransformerLayers[] = {
    layer_row<TransformerEncoderLayer, &answer_encoded<TransformerEncoderLayer>>(
        kEncoderLayer, kEncoded, kEncoding),
    layer_row<TransformerDecoderLayer, &answer_decoded<TransformerDecoderLayer>>(
        kDecoderLayer, kDecoded, kDecoding),
    layer_row<TransformerEncoder, &answer_encoded<TransformerEncoder>>(kEncoder, kEncoded,
                                                                       kEncoding),
    layer_row<TransformerDecoder, &answer_decoded<TransformerDecoder>>(kDecoder, kDecoded,
                                                                       kDecoding),
    layer_row<Transformer, &answer_both>(kTransformer, kBoth, kCoding),
};

}  // namespace

std::span<const LayerDef> transformer_layers() { return kTransformerLayers; }

}  // namespace mlxnx::nn
