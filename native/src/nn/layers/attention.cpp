#include "nn/layers/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "mlxnx/mlxnx.h"
#include "nn/initial.h"
#include "nn/layer.h"
#include "nn/layers/checks.h"
#include "tensor/element.h"

namespace mlxnx::nn {
namespace {

constexpr std::string_view kName = "multi_head_attention";

// Sizes of the four projections.
struct Sizes {
  std::int64_t dims, heads, query, key, value, inner, output;

  explicit Sizes(const MultiHeadAttentionOptions& options)
      : dims(at_least(1, options.dims, "dims", kName)),
        heads(at_least(1, options.num_heads, "num_heads", kName)),
        query(options.query_input_dims.value_or(dims)),
        key(options.key_input_dims.value_or(dims)),
        value(options.value_input_dims.value_or(key)),
        inner(options.value_dims.value_or(dims)),
        output(options.value_output_dims.value_or(dims)) {
    require_multiple(dims, "dims");
    require_multiple(inner, "value_dims");
  }

 private:
  void require_multiple(std::int64_t size, std::string_view name) const {
    if (size % heads == 0) return;
    throw ArgumentError(fmt::format("[{}] {} ({}) should be a multiple of num_heads ({})", kName,
                                    name, size, heads));
  }
};

enum Projection : std::size_t { kQuery, kKey, kValue, kOut };

Linear projection(const MultiHeadAttentionOptions& options, const Tensor& key, Projection which) {
  const Sizes sizes(options);
  const std::array<LinearOptions, 4> all{{{sizes.query, sizes.dims, options.bias},
                                          {sizes.key, sizes.dims, options.bias},
                                          {sizes.value, sizes.inner, options.bias},
                                          {sizes.inner, sizes.output, options.bias}}};
  return Linear(all.at(which), split_key(key, 4, kName).at(which));
}

// `[batch, length, heads * size]` as `[batch, heads, length, size]`.
Tensor by_head(const Tensor& x, std::int64_t heads) {
  const Shape& shape = x.shape();
  return transpose(reshape(x, {shape[0], shape[1], heads, shape[2] / heads}),
                   {.axes = Axes{0, 2, 1, 3}});
}

void require_fitting(const Tensor& queries, const Tensor& keys, const Tensor& values) {
  const auto fits = [&](const Tensor& x, const Tensor& to, std::size_t axes) {
    return std::equal(to.shape().begin(), to.shape().begin() + static_cast<std::ptrdiff_t>(axes),
                      x.shape().begin());
  };
  require_rank(queries, 2, 3, "batch (if any), length, channels", kName);
  const std::size_t rank = queries.rank();
  if (keys.rank() == rank && values.rank() == rank && fits(keys, queries, rank - 2) &&
      fits(values, keys, rank - 1))
    return;
  throw ShapeError(fmt::format(
      "[{}] queries {}, keys {} and values {} should have the same batch, and a value for each key",
      kName, to_string(queries.type()), to_string(keys.type()), to_string(values.type())));
}

void require_fitting(const Tensor& mask, const Shape& scores) {
  const Shape& shape = mask.shape();
  bool fits = shape.size() <= scores.size();
  for (std::size_t i = 0; fits && i < shape.size(); ++i)
    fits = shape[i] == 1 || shape[i] == scores[scores.size() - shape.size() + i];
  if (fits) return;
  throw ShapeError(
      fmt::format("[{}] the mask {} should broadcast to {}: batch, heads, queries, keys", kName,
                  to_string(mask.type()), to_string(scores)));
}

}  // namespace

MultiHeadAttention::MultiHeadAttention(const MultiHeadAttentionOptions& options, const Tensor& key)
    : query_proj(projection(options, key, kQuery)),
      key_proj(projection(options, key, kKey)),
      value_proj(projection(options, key, kValue)),
      out_proj(projection(options, key, kOut)),
      num_heads(options.num_heads) {}

Tensor MultiHeadAttention::operator()(const Tensor& queries, const Tensor& keys,
                                      const Tensor& values, const AttentionMask& mask) const {
  if (queries.rank() == 2 && keys.rank() == 2 && values.rank() == 2) {
    const auto one = [](const Tensor& x) { return new_axis(x, 0); };
    return squeeze((*this)(one(queries), one(keys), one(values), mask), {.axes = Axes{0}});
  }
  require_fitting(queries, keys, values);
  const Tensor q = by_head(query_proj(queries), num_heads), k = by_head(key_proj(keys), num_heads),
               v = by_head(value_proj(values), num_heads);
  const Shape scores{q.shape()[0], num_heads, q.shape()[2], k.shape()[2]};
  if (mask.tensor) require_fitting(*mask.tensor, scores);
  const double scale = 1 / std::sqrt(static_cast<double>(q.shape()[3]));
  const Tensor heads = fast::scaled_dot_product_attention(
      q, k, v, {.scale = scale, .mask = mask.tensor, .causal = mask.is_causal});
  const Shape joined{scores[0], scores[2], num_heads * v.shape()[3]};
  return out_proj(reshape(transpose(heads, {.axes = Axes{0, 2, 1, 3}}), joined));
}

Tensor create_additive_causal_mask(std::int64_t N, DType dtype) {
  constexpr std::string_view kOwn = "create_additive_causal_mask";
  at_least(1, N, "N", kOwn);
  if (!is_float(dtype)) {
    throw TypeError(
        fmt::format("[{}] dtype is {}, it has to be a type of floats", kOwn, name(dtype)));
  }
  const Tensor is_later = less(iota({N, N}, {.axis = 0}), iota({N, N}, {.axis = 1}));
  return select(is_later, constant(tensors::lowest(dtype), dtype), constant(0.0, dtype));
}

AttentionMask mask_of(const FunctionCall& call, std::size_t i, std::string_view name) {
  const std::string* const named = call.option_if<std::string>(name);
  if (named == nullptr) return call.optional(i);
  if (*named != "causal") {
    throw ArgumentError(fmt::format("[{}] {} is \"{}\"; it can be a tensor, or \"causal\"",
                                    call.name(), name, *named));
  }
  return AttentionMask::causal();
}

namespace {

// A mask under its name; it is of no layer.
struct AdditiveCausalMask {
  struct Options {
    std::int64_t N = kRequired;
    DType dtype = DType::f32;
    MLXNX_MEMBERS(N, dtype)
  };
  Options options;
  MLXNX_MEMBERS()
  explicit AdditiveCausalMask(const Options& options) : options(options) {}
};

constexpr OperandDef kQueriesKeysValues[] = {{"queries"}, {"keys"}, {"values"}, {"mask", true}};
const ops::AttrDef kMask[] = {{"mask", ops::AttrKind::kString, std::nullopt, true}};

LayerAnswer answer_of_attention(const MultiHeadAttention& layer, const FunctionCall& call) {
  return {{layer(call[0], call[1], call[2], mask_of(call, 3, "mask"))}};
}

LayerAnswer answer_of_mask(const AdditiveCausalMask& mask, const FunctionCall&) {
  return {{create_additive_causal_mask(mask.options.N, mask.options.dtype)}};
}

const LayerDef kAttentionLayers[] = {
    layer_row<MultiHeadAttention, &answer_of_attention>(kName, kQueriesKeysValues, kMask),
    layer_row<AdditiveCausalMask, &answer_of_mask>("create_additive_causal_mask",
                                                   std::span<const OperandDef>()),
};

}  // namespace

std::span<const LayerDef> attention_layers() { return kAttentionLayers; }

}  // namespace mlxnx::nn
