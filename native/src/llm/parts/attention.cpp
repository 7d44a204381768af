#include "llm/parts/attention.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "mlxnx/fast.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {
namespace {

Tensor mask_of(const Attended& attended, std::int64_t queries, std::int64_t keys) {
  if (attended.mask) return *attended.mask;
  return new_axis(iota({queries}) + (keys - queries), 1) >= new_axis(iota({keys}), 0);
}

// `a · bᵀ` or `a · b` for each head; `a` is `[batch, shared, repeats, rows, …]`.
Tensor product(const Tensor& a, const CachedRows& b, bool transposed) {
  if (b.quantized) {
    Quantized some = *b.quantized;
    some.weight = new_axis(some.weight, 2);
    some.scales = new_axis(some.scales, 2);
    if (some.biases) some.biases = new_axis(*some.biases, 2);
    return quantized_dot(a, some, transposed);
  }
  return dot(a, {4}, {0, 1}, *b.dense, {transposed ? 3 : 2}, {0, 1});
}

// Product by product, for what the fused op has not: rows that are quantized, products with a cap.
Tensor composed(const Tensor& queries, const Attended& attended, const AttendOptions& options) {
  const Shape& shape = queries.shape();
  const std::int64_t batch = shape[0], heads = shape[1], length = shape[2], size = shape[3];
  const Tensor& some_keys =
      attended.keys.dense ? *attended.keys.dense : attended.keys.quantized->weight;
  const std::int64_t shared = some_keys.shape()[1], keys = some_keys.shape()[2];
  if (options.sinks)
    throw UnsupportedError("[attend] a quantized cache knows no sinks: leave it dense");
  const Tensor grouped =
      reshape(queries * options.scale, {batch, shared, heads / shared, length, size});
  Tensor scores = product(grouped, attended.keys, true);
  if (options.softcap != 0) scores = tanh(scores / options.softcap) * options.softcap;
  if (attended.mask || attended.causal) {
    Tensor mask = mask_of(attended, length, keys);
    if (mask.rank() == 4) mask = new_axis(mask, 2);
    const Tensor seen = broadcast(mask, scores.shape());
    const double least = scores.dtype() == DType::f16 ? -65504.0 : -3.3895313892515355e38;
    scores = select(seen, scores, constant(least, scores.dtype()));
  }
  const Tensor weights = fast::softmax(scores, {.axes = Axes{-1}});
  return reshape(product(weights, attended.values, false), {batch, heads, length, -1});
}

}  // namespace

Tensor attend(const Tensor& queries, const Tensor& keys, const Tensor& values, Step& step,
              std::size_t layer, const AttendOptions& options) {
  const Attended attended = step.attend(layer, keys, values);
  if (attended.keys.quantized || options.softcap != 0) return composed(queries, attended, options);
  return fast::scaled_dot_product_attention(queries, *attended.keys.dense, *attended.values.dense,
                                            {.scale = options.scale,
                                             .mask = attended.mask,
                                             .causal = attended.causal,
                                             .sinks = options.sinks});
}

Tensor to_heads(const Tensor& x, std::int64_t heads) {
  const Shape& shape = x.shape();
  return transpose(reshape(x, {shape[0], shape[1], heads, shape[2] / heads}),
                   {.axes = Axes{0, 2, 1, 3}});
}

Tensor from_heads(const Tensor& x) {
  const Shape& shape = x.shape();
  return reshape(transpose(x, {.axes = Axes{0, 2, 1, 3}}),
                 {shape[0], shape[2], shape[1] * shape[3]});
}

AttentionOptions attention_options(const Config& config) {
  AttentionOptions options;
  options.dims = config.get<std::int64_t>("hidden_size");
  options.heads = config.get<std::int64_t>("num_attention_heads");
  options.kv_heads = config.get<std::int64_t>("num_key_value_heads", options.heads);
  if (options.heads < 1 || options.kv_heads < 1 || options.heads % options.kv_heads != 0) {
    throw FormatError(
        fmt::format("[load] the settings say {} attention heads that share {} of keys and values",
                    options.heads, options.kv_heads));
  }
  options.head_dim = config.get<std::int64_t>("head_dim", options.dims / options.heads);
  return options;
}

Attention::Attention(const AttentionOptions& options, std::optional<Rope> positions, Maker& maker)
    : q_proj(maker.linear(options.dims, options.heads * options.head_dim, options.bias)),
      k_proj(maker.linear(options.dims, options.kv_heads * options.head_dim, options.bias)),
      v_proj(maker.linear(options.dims, options.kv_heads * options.head_dim, options.bias)),
      o_proj(maker.linear(options.heads * options.head_dim, options.dims,
                          options.output_bias.value_or(options.bias))),
      rope(std::move(positions)),
      heads(options.heads),
      kv_heads(options.kv_heads) {
  attending.scale = options.scale.value_or(1 / std::sqrt(static_cast<double>(options.head_dim)));
  attending.softcap = options.softcap;
  if (options.norm_eps) {
    q_norm = maker.rms_norm(options.head_dim, *options.norm_eps);
    k_norm = maker.rms_norm(options.head_dim, *options.norm_eps);
  }
}

Tensor Attention::operator()(const Tensor& x, Step& step, std::size_t layer) const {
  Tensor queries = to_heads(q_proj(x), heads), keys = to_heads(k_proj(x), kv_heads);
  if (q_norm) {
    queries = (*q_norm)(queries);
    keys = (*k_norm)(keys);
  }
  if (rope) {
    queries = (*rope)(queries, step);
    keys = (*rope)(keys, step);
  }
  const Tensor values = to_heads(v_proj(x), kv_heads);
  return o_proj(from_heads(attend(queries, keys, values, step, layer, attending)));
}

}  // namespace mlxnx::llm
