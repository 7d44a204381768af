#include "llm/parts/attention.h"

#include <fmt/format.h>

#include <cmath>
#include <tuple>
#include <utility>

#include "llm/parts/decoder.h"
#include "mlxnx/fast.h"
#include "mlxnx/mlxnx.h"
#include "tensor/element.h"

namespace mlxnx::llm {

Tensor mask_of(const Attended& attended, std::int64_t queries, std::int64_t keys) {
  if (attended.mask) return *attended.mask;
  return new_axis(iota({queries}) + (keys - queries), 1) >= new_axis(iota({keys}), 0);
}

namespace {

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
    scores = select(seen, scores, constant(tensors::lowest(scores.dtype()), scores.dtype()));
  }
  const Tensor weights = fast::softmax(scores, {.axes = Axes{-1}});
  return reshape(product(weights, attended.values, false), {batch, heads, length, -1});
}

// Leaves of what is seen the keys of a query's own chunk; the cache is to hold all keys.
void see_chunks(Attended& attended, const Step& step, std::int64_t chunk) {
  const std::int64_t length = step.length(), keys = step.offset() + length;
  if (attended.keys.dense && attended.keys.dense->shape()[2] != keys) {
    throw UnsupportedError(
        "[attend] attention by chunks needs all keys: make the cache without max_kv_size");
  }
  if (keys <= chunk) return;
  // Padding in front shifts the chunks of each text.
  const auto chunk_of = [&](const Tensor& places) {
    Tensor positions = reshape(places, {1, 1, 1, -1});
    if (step.position().rank() != 0)
      positions = positions + reshape(step.position() - step.offset(), {step.batch(), 1, 1, 1});
    return quotient(max(positions, Tensor(0)), Tensor(chunk));
  };
  const Tensor own = chunk_of(iota({length}) + step.offset()), others = chunk_of(iota({keys}));
  const Tensor is_same = transpose(own, {.axes = Axes{0, 1, 3, 2}}) == others;
  attended.mask = logical_and(mask_of(attended, length, keys), is_same);
  attended.causal = false;
}

Tensor grown(const QueryGrowth& growth, const Step& step, DType type) {
  // Padding stands before the first position, where the logarithm has no value.
  const Tensor turns = floor(max(step.positions() + growth.first, Tensor(0)) / growth.length);
  const Tensor factors = as_type(log(turns + 1) * growth.beta + 1, type);
  // [length, 1] or [batch, 1, length, 1]
  return factors.rank() == 1 ? new_axis(factors, 1) : new_axis(new_axis(factors, 1), 3);
}

std::pair<std::optional<Norm>, std::optional<Norm>> head_norms(const AttentionOptions& options,
                                                               Maker& maker) {
  if (!options.norm_eps) return {};
  const std::int64_t size = options.head_dim;
  return {maker.rms_norm(options.norms_rows ? options.heads * size : size, *options.norm_eps),
          maker.rms_norm(options.norms_rows ? options.kv_heads * size : size, *options.norm_eps)};
}

}  // namespace

Tensor attend(const Tensor& queries, const Tensor& keys, const Tensor& values, Step& step,
              std::size_t layer, const AttendOptions& options) {
  if (options.wide && queries.dtype() != DType::f32) {
    AttendOptions others = options;
    others.wide = false;
    return as_type(attend(as_type(queries, DType::f32), keys, values, step, layer, others),
                   values.dtype());
  }
  return attend_to(step.attend(layer, keys, values), queries, step, options);
}

Tensor attend_to(const Attended& given, const Tensor& queries, const Step& step,
                 const AttendOptions& options) {
  Attended attended = given;
  if (options.chunk != 0) see_chunks(attended, step, options.chunk);
  if (attended.keys.quantized || options.softcap != 0) return composed(queries, attended, options);
  return fast::scaled_dot_product_attention(queries, *attended.keys.dense, *attended.values.dense,
                                            {.scale = options.scale,
                                             .mask = attended.mask,
                                             .causal = attended.causal,
                                             .sinks = options.sinks});
}

// Of a single token no number changes its place.
Tensor to_heads(const Tensor& x, std::int64_t heads) {
  const Shape& shape = x.shape();
  if (shape[1] == 1) return reshape(x, {shape[0], heads, 1, shape[2] / heads});
  return transpose(reshape(x, {shape[0], shape[1], heads, shape[2] / heads}),
                   {.axes = Axes{0, 2, 1, 3}});
}

Tensor from_heads(const Tensor& x) {
  const Shape& shape = x.shape();
  if (shape[2] == 1) return reshape(x, {shape[0], 1, shape[1] * shape[3]});
  return reshape(transpose(x, {.axes = Axes{0, 2, 1, 3}}),
                 {shape[0], shape[2], shape[1] * shape[3]});
}

std::vector<Tensor> parts_of(const Tensor& x, const std::vector<std::int64_t>& sizes) {
  std::vector<Tensor> parts;
  std::int64_t at = 0;
  for (const std::int64_t size : sizes) {
    parts.push_back(slice_along_axis(x, at, size, {.axis = -1}));
    at += size;
  }
  return parts;
}

AttentionOptions attention_options(const Config& config) {
  AttentionOptions options;
  options.dims = hidden_size(config);
  options.heads = size_in(config, "num_attention_heads");
  options.kv_heads = config.get<std::int64_t>("num_key_value_heads", options.heads);
  if (options.heads < 1 || options.kv_heads < 1 || options.heads % options.kv_heads != 0) {
    throw FormatError(
        fmt::format("[load] the settings say {} attention heads that share {} of keys and values",
                    options.heads, options.kv_heads));
  }
  options.head_dim = size_in(config, "head_dim", options.dims / options.heads);
  return options;
}

void check_heads_fill(const AttentionOptions& options) {
  if (options.heads * options.head_dim == options.dims) return;
  throw FormatError(fmt::format("[load] {} heads of {} numbers are not the {} of the model",
                                options.heads, options.head_dim, options.dims));
}

std::int64_t rotary_dims(std::int64_t head_dim, double part) {
  if (!(part > 0 && part <= 1)) {
    throw FormatError(
        fmt::format("[load] the part of each head that is to be turned is {}, and 1 is all", part));
  }
  return static_cast<std::int64_t>(static_cast<double>(head_dim) * part);
}

AttentionCore::AttentionCore(const AttentionOptions& options, std::optional<Rope> positions)
    : rope(std::move(positions)),
      heads(options.heads),
      kv_heads(options.kv_heads),
      norms_rows(options.norms_rows) {
  attending.scale = options.scale.value_or(1 / std::sqrt(static_cast<double>(options.head_dim)));
  if (!std::isfinite(attending.scale)) {
    throw FormatError(
        fmt::format("[load] products of queries and keys are multiplied by {} in the settings",
                    attending.scale));
  }
  attending.softcap = options.softcap;
  attending.wide = options.wide;
}

Tensor AttentionCore::operator()(Tensor queries, Tensor keys, const Tensor& values, Step& step,
                                 std::size_t layer, const std::optional<Norm>& q_norm,
                                 const std::optional<Norm>& k_norm) const {
  const auto norm_both = [&](bool is_time) {
    if (!is_time || !q_norm) return;
    queries = (*q_norm)(queries);
    keys = (*k_norm)(keys);
  };
  norm_both(norms_rows);
  queries = to_heads(queries, heads);
  keys = to_heads(keys, kv_heads);
  norm_both(!norms_rows && !norms_last);
  if (rope) {
    queries = (*rope)(queries, step);
    keys = (*rope)(keys, step);
  }
  norm_both(norms_last);
  if (growth) queries = queries * grown(*growth, step, queries.dtype());
  return from_heads(attend(queries, keys, to_heads(values, kv_heads), step, layer, attending));
}

Attention::Attention(const AttentionOptions& options, std::optional<Rope> positions, Maker& maker)
    : AttentionCore(options, std::move(positions)),
      q_proj(maker.linear(options.dims, options.heads * options.head_dim, options.bias)),
      k_proj(maker.linear(options.dims, options.kv_heads * options.head_dim, options.bias)),
      v_proj(maker.linear(options.dims, options.kv_heads * options.head_dim, options.bias)),
      o_proj(maker.linear(options.heads * options.head_dim, options.dims,
                          options.output_bias.value_or(options.bias))) {
  std::tie(q_norm, k_norm) = head_norms(options, maker);
}

Tensor Attention::operator()(const Tensor& x, Step& step, std::size_t layer) const {
  return o_proj(
      AttentionCore::operator()(q_proj(x), k_proj(x), v_proj(x), step, layer, q_norm, k_norm));
}

FusedAttention::FusedAttention(const AttentionOptions& options, std::optional<Rope> positions,
                               Maker& maker, bool is_by_group)
    : AttentionCore(options, std::move(positions)),
      qkv_proj(maker.linear(options.dims, (options.heads + 2 * options.kv_heads) * options.head_dim,
                            options.bias)),
      o_proj(maker.linear(options.heads * options.head_dim, options.dims,
                          options.output_bias.value_or(options.bias))),
      head_dim(options.head_dim),
      by_group(is_by_group) {
  std::tie(q_norm, k_norm) = head_norms(options, maker);
}

Tensor FusedAttention::operator()(const Tensor& x, Step& step, std::size_t layer) const {
  Tensor all = qkv_proj(x);
  std::int64_t groups = 1;
  if (by_group) {
    groups = kv_heads;
    all = reshape(all, {step.batch(), step.length(), groups, -1});
  }
  const std::int64_t own = kv_heads * head_dim / groups;
  std::vector<Tensor> parts = parts_of(all, {heads * head_dim / groups, own, own});
  for (Tensor& part : parts) part = reshape(part, {step.batch(), step.length(), -1});
  return o_proj(
      AttentionCore::operator()(parts[0], parts[1], parts[2], step, layer, q_norm, k_norm));
}

}  // namespace mlxnx::llm
