// Transformers: layers of attention and of products, stacks of these, and an encoder with a
// decoder.
//
// Tensors are `[batch, length, dims]`, or all without a batch. In training they get a key, by which
// each layer drops out by itself; without one nothing is dropped:
//
//     nn::TransformerEncoder encoder({.num_layers = 2, .dims = 8, .num_heads = 2}, key);
//     encoder(x, nn::AttentionMask::causal());
//     encoder(x, nn::AttentionMask::causal(), dropout_key);
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mlxnx/nn/attention.h"
#include "mlxnx/nn/dropout.h"
#include "mlxnx/nn/layer.h"
#include "mlxnx/nn/linear.h"
#include "mlxnx/nn/normalization.h"
#include "mlxnx/tensor.h"

namespace mlxnx::nn {

struct TransformerLayerOptions {
  std::int64_t dims = kRequired;
  std::int64_t num_heads = kRequired;
  std::optional<std::int64_t> mlp_dims = {};  ///< between the two products; none: 4 `dims`
  double dropout = 0;                         ///< the share of numbers that training drops
  std::string activation = "relu";            ///< the name of an activation function of one tensor
  bool norm_first = true;  ///< normalise before attention and products; else after them
  MLXNX_MEMBERS(dims, num_heads, mlp_dims, dropout, activation, norm_first)
};

/// Attention to itself and two products, each added to what came in. mlx:
/// nn.TransformerEncoderLayer
///
///     nn::TransformerEncoderLayer layer({.dims = 8, .num_heads = 2}, key);
///     layer(x);  // f32[2][3][8]
struct TransformerEncoderLayer {
  using Options = TransformerLayerOptions;
  MultiHeadAttention attention;
  LayerNorm ln1, ln2;
  Linear linear1, linear2;
  Dropout dropout1, dropout2;
  std::string activation;
  bool norm_first;
  MLXNX_MEMBERS(attention, ln1, ln2, linear1, linear2, dropout1, dropout2, activation, norm_first)

  /// Throws: ArgumentError for sizes below 1, `dims` that are no multiple of the heads, a share
  /// outside of 0 to 1, and an unknown activation.
  TransformerEncoderLayer(const TransformerLayerOptions& options, const Tensor& key);
  /// Throws: ShapeError for sizes that do not fit.
  Tensor operator()(const Tensor& x, const AttentionMask& mask = {},
                    const std::optional<Tensor>& key = std::nullopt) const;
};

/// Attention to itself, attention to `memory`, and two products, each added to what came in. mlx:
/// nn.TransformerDecoderLayer
///
///     nn::TransformerDecoderLayer layer({.dims = 8, .num_heads = 2}, key);
///     layer(x, memory, nn::AttentionMask::causal());  // f32[2][3][8] with f32[2][5][8]
struct TransformerDecoderLayer {
  using Options = TransformerLayerOptions;
  MultiHeadAttention self_attention, cross_attention;
  LayerNorm ln1, ln2, ln3;
  Linear linear1, linear2;
  Dropout dropout1, dropout2, dropout3;
  std::string activation;
  bool norm_first;
  MLXNX_MEMBERS(self_attention, cross_attention, ln1, ln2, ln3, linear1, linear2, dropout1,
                dropout2, dropout3, activation, norm_first)

  /// Throws: as `TransformerEncoderLayer`.
  TransformerDecoderLayer(const TransformerLayerOptions& options, const Tensor& key);
  /// Throws: ShapeError for sizes that do not fit.
  Tensor operator()(const Tensor& x, const Tensor& memory, const AttentionMask& x_mask = {},
                    const AttentionMask& memory_mask = {},
                    const std::optional<Tensor>& key = std::nullopt) const;
};

struct TransformerStackOptions {
  std::int64_t num_layers = kRequired;
  std::int64_t dims = kRequired;
  std::int64_t num_heads = kRequired;
  std::optional<std::int64_t> mlp_dims = {};  ///< none: 4 `dims`
  double dropout = 0;
  std::string activation = "relu";
  bool norm_first = true;
  /// Whether gradients compute each layer again instead of keeping what it computed: less memory,
  /// more time.
  bool checkpoint = false;
  MLXNX_MEMBERS(num_layers, dims, num_heads, mlp_dims, dropout, activation, norm_first, checkpoint)
};

/// Layers one after the other, whose result is normalised. mlx: nn.TransformerEncoder
///
///     nn::TransformerEncoder encoder({.num_layers = 2, .dims = 8, .num_heads = 2}, key);
///     encoder(x);  // f32[2][3][8]
struct TransformerEncoder {
  using Options = TransformerStackOptions;
  std::vector<TransformerEncoderLayer> layers;
  LayerNorm ln;
  bool checkpoint;
  MLXNX_MEMBERS(layers, ln, checkpoint)

  /// Throws: as `TransformerEncoderLayer`; ArgumentError for a negative number of layers.
  TransformerEncoder(const TransformerStackOptions& options, const Tensor& key);
  /// As the layers.
  Tensor operator()(const Tensor& x, const AttentionMask& mask = {},
                    const std::optional<Tensor>& key = std::nullopt) const;
};

/// As `TransformerEncoder`, of layers that attend to `memory` as well. mlx: nn.TransformerDecoder
struct TransformerDecoder {
  using Options = TransformerStackOptions;
  std::vector<TransformerDecoderLayer> layers;
  LayerNorm ln;
  bool checkpoint;
  MLXNX_MEMBERS(layers, ln, checkpoint)

  TransformerDecoder(const TransformerStackOptions& options, const Tensor& key);
  Tensor operator()(const Tensor& x, const Tensor& memory, const AttentionMask& x_mask = {},
                    const AttentionMask& memory_mask = {},
                    const std::optional<Tensor>& key = std::nullopt) const;
};

struct TransformerOptions {
  std::int64_t dims = 512;
  std::int64_t num_heads = 8;
  std::int64_t num_encoder_layers = 6;
  std::int64_t num_decoder_layers = 6;
  std::optional<std::int64_t> mlp_dims = {};  ///< none: 4 `dims`
  double dropout = 0;
  std::string activation = "relu";
  bool norm_first = true;
  bool checkpoint = false;  ///< see `TransformerStackOptions`
  MLXNX_MEMBERS(dims, num_heads, num_encoder_layers, num_decoder_layers, mlp_dims, dropout,
                activation, norm_first, checkpoint)
};

/// An encoder of sources, and a decoder of targets that attends to what it answers (Vaswani and
/// others, 2017). Other encoders and decoders are structs of one's own. mlx: nn.Transformer
///
///     nn::Transformer model({.dims = 8, .num_heads = 2}, key);
///     model(source, target, {}, nn::AttentionMask::causal());  // of the target's shape
struct Transformer {
  using Options = TransformerOptions;
  TransformerEncoder encoder;
  TransformerDecoder decoder;
  MLXNX_MEMBERS(encoder, decoder)

  /// Throws: as `TransformerEncoder`.
  Transformer(const TransformerOptions& options, const Tensor& key);
  /// Throws: ShapeError for sizes that do not fit.
  Tensor operator()(const Tensor& src, const Tensor& tgt, const AttentionMask& src_mask = {},
                    const AttentionMask& tgt_mask = {}, const AttentionMask& memory_mask = {},
                    const std::optional<Tensor>& key = std::nullopt) const;
};

}  // namespace mlxnx::nn
