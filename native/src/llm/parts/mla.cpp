#include "llm/parts/mla.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "llm/parts/decoder.h"
#include "mlxnx/error.h"
#include "mlxnx/fast.h"
#include "mlxnx/mlxnx.h"
#include "tensor/element.h"

namespace mlxnx::llm {
namespace {

Quantized packed(const MultiLinear& layer) {
  const nn::WeightForm& form = layer.form;
  return {layer.weight,
          *form.scales,
          form.biases,
          {.mode = form.mode, .bits = form.bits, .group_size = form.group_size},
          form.global_scale};
}

// `x` `[batch, heads or 1, rows, inner]` by matrices `[heads, inner, columns]`, or transposed ones.
Tensor product(const Tensor& x, const MultiLinear& layer, bool transposed) {
  if (layer.form.is_adapted()) {
    throw UnsupportedError(
        "[load_adapter] the matrices that latent attention has for each head take no change");
  }
  if (layer.form.is_quantized()) return quantized_dot(x, packed(layer), transposed);
  const std::int64_t heads = layer.weight.shape()[0];
  Shape shape = x.shape();
  shape[1] = heads;
  const Tensor rows = broadcast(x, shape);
  const Axes heads_first{1, 0, 2, 3};
  const Tensor result = dot(transpose(rows, {.axes = heads_first}), {3}, {0}, layer.weight,
                            {transposed ? 2 : 1}, {0});
  return transpose(result, {.axes = heads_first});
}

}  // namespace

MultiLinear::MultiLinear(std::int64_t heads, std::int64_t inputs, std::int64_t outputs,
                         Maker& maker)
    : weight(maker.tensor({heads, outputs, inputs}, 1 / std::sqrt(static_cast<double>(inputs)))) {}

Tensor MultiLinear::operator()(const Tensor& x) const { return product(x, *this, true); }
Tensor MultiLinear::back(const Tensor& x) const { return product(x, *this, false); }

LatentOptions latent_options(const Config& config) {
  LatentOptions options;
  options.dims = hidden_size(config);
  options.heads = size_in(config, "num_attention_heads");
  options.query_rank = config.contains("q_lora_rank") ? size_in(config, "q_lora_rank") : 0;
  options.rank = size_in(config, "kv_lora_rank");
  options.plain_dims = size_in(config, "qk_nope_head_dim");
  options.rope_dims = size_in(config, "qk_rope_head_dim");
  options.value_dims = size_in(config, "v_head_dim");
  options.bias = config.get<bool>("attention_bias", false);
  options.scale = 1 / std::sqrt(static_cast<double>(options.plain_dims + options.rope_dims));
  if (const auto scaling = rope_scaling(config)) {
    const auto by = scaling->get<double>("mscale_all_dim", 0.0);
    const double factor = by == 0 ? 1 : scaling->get<double>("factor");
    const double magnitude = factor > 1 ? 0.1 * by * std::log(factor) + 1 : 1;
    options.scale *= magnitude * magnitude;
  }
  return options;
}

LatentProjections::LatentProjections(const LatentOptions& sizes, std::optional<Rope> positions,
                                     Maker& maker)
    : kv_a_proj_with_mqa(maker.linear(sizes.dims, sizes.rank + sizes.rope_dims, sizes.bias)),
      kv_a_layernorm(maker.rms_norm(sizes.rank, sizes.eps)),
      o_proj(maker.linear(sizes.heads * sizes.value_dims, sizes.dims, sizes.bias)),
      options(sizes),
      rope(std::move(positions)) {
  const std::int64_t width = sizes.heads * (sizes.plain_dims + sizes.rope_dims);
  if (sizes.query_rank == 0) {
    q_proj = maker.linear(sizes.dims, width, false);
  } else {
    q_a_proj = maker.linear(sizes.dims, sizes.query_rank, sizes.bias);
    q_a_layernorm = maker.rms_norm(sizes.query_rank, sizes.eps);
    q_b_proj = maker.linear(sizes.query_rank, width, false);
  }
}

LatentRows LatentProjections::rows(const Tensor& x, const Step& step) const {
  std::optional<Tensor> query_latent;
  if (!q_proj) query_latent = (*q_a_layernorm)((*q_a_proj)(x));
  Tensor all = q_proj ? (*q_proj)(x) : (*q_b_proj)(*query_latent);
  if (options.query_factor != 1) all = all * options.query_factor;
  auto [plain, turned] = split(to_heads(all, options.heads), options.plain_dims, {.axis = -1});
  auto [latent, keys] = split(kv_a_proj_with_mqa(x), options.rank, {.axis = -1});
  keys = new_axis(keys, 1);
  latent = kv_a_layernorm(latent);
  if (options.latent_factor != 1) latent = latent * options.latent_factor;
  return {plain, rope ? (*rope)(turned, step) : turned, latent, rope ? (*rope)(keys, step) : keys,
          query_latent};
}

LatentAttention::LatentAttention(const LatentOptions& sizes, std::optional<Rope> positions,
                                 Maker& maker)
    : LatentProjections(sizes, std::move(positions), maker),
      embed_q(sizes.heads, sizes.plain_dims, sizes.rank, maker),
      unembed_out(sizes.heads, sizes.rank, sizes.value_dims, maker) {}

Tensor LatentAttention::operator()(const Tensor& x, Step& step, std::size_t layer) const {
  return attend(rows(x, step), step, layer);
}

Tensor LatentAttention::attend(const LatentRows& some, Step& step, std::size_t layer,
                               const std::optional<Tensor>& chosen) const {
  const Attended attended = step.attend(layer, new_axis(some.latent, 1), some.turned_keys);
  if (attended.keys.quantized) {
    throw UnsupportedError("[attend] latent attention takes no quantized cache: leave it dense");
  }
  const Tensor &latent = *attended.keys.dense, &turned = *attended.values.dense;
  Tensor scores = dot(some.turned_queries * options.scale, {3}, {0},
                      squeeze(turned, {.axes = Axes{1}}), {2}, {0});
  if (attended.mask || attended.causal || chosen) {
    Tensor seen = mask_of(attended, step.length(), latent.shape()[2]);
    if (chosen) seen = logical_and(seen, *chosen);
    scores = select(broadcast(seen, scores.shape()), scores,
                    constant(tensors::lowest(scores.dtype()), scores.dtype()));
  }
  const fast::AttentionOptions how{.scale = options.scale, .mask = scores};
  // A single token compares what is remembered as it is; more of them are worth unfolding it.
  const Tensor result =
      step.length() == 1 ? unembed_out(fast::scaled_dot_product_attention(
                               embed_q(some.plain_queries), latent, latent, how))
                         : fast::scaled_dot_product_attention(
                               some.plain_queries, embed_q.back(latent), unembed_out(latent), how);
  return o_proj(from_heads(result));
}

UnfoldedLatentAttention::UnfoldedLatentAttention(const LatentOptions& sizes,
                                                 std::optional<Rope> positions, Maker& maker)
    : LatentProjections(sizes, std::move(positions), maker),
      kv_b_proj(
          maker.linear(sizes.rank, sizes.heads * (sizes.plain_dims + sizes.value_dims), false)) {}

Tensor UnfoldedLatentAttention::operator()(const Tensor& x, Step& step, std::size_t layer) const {
  const LatentRows some = rows(x, step);
  auto [plain, values] =
      split(to_heads(kv_b_proj(some.latent), options.heads), options.plain_dims, {.axis = -1});
  Shape shape = some.turned_keys.shape();
  shape[1] = options.heads;
  const Tensor keys = concatenate({plain, broadcast(some.turned_keys, shape)}, {.axis = -1});
  const Tensor queries = concatenate({some.plain_queries, some.turned_queries}, {.axis = -1});
  return o_proj(from_heads(attend(queries, keys, values, step, layer, {.scale = options.scale})));
}

void split_latent_matrix(nn::Parameters& weights, const std::string& attention,
                         const LatentOptions& options) {
  const auto take_out = [&](std::string_view part) -> std::optional<Tensor> {
    const auto found = weights.find(fmt::format("{}.kv_b_proj.{}", attention, part));
    if (found == weights.end()) return std::nullopt;
    Tensor tensor = std::move(found->second);
    weights.erase(found);
    return tensor;
  };
  std::optional<Tensor> matrix = take_out("weight");
  if (!matrix) return;
  const std::optional<Tensor> scales = take_out("scales"), biases = take_out("biases");
  std::optional<Quantization> form;
  if (scales) {
    if (!biases || matrix->rank() != 2 || scales->rank() != 2) {
      throw UnsupportedError(fmt::format(
          "[load] {}.kv_b_proj is quantized without biases, and is to be taken apart", attention));
    }
    const std::int64_t group = options.rank / scales->shape()[1];
    form = {.bits = matrix->shape()[1] * 32 / options.rank, .group_size = group};
    matrix = dequantize({*matrix, *scales, biases, *form});
  }
  const std::int64_t size = options.plain_dims + options.value_dims;
  if (matrix->shape() != Shape{options.heads * size, options.rank}) {
    throw FormatError(fmt::format("[load] {}.kv_b_proj is {}, and the settings say {} by {}",
                                  attention, to_string(matrix->type()), options.heads * size,
                                  options.rank));
  }
  auto [keys, values] =
      split(reshape(*matrix, {options.heads, size, options.rank}), options.plain_dims, {.axis = 1});
  const auto put = [&](std::string_view layer, const Tensor& some) {
    const auto name = [&](std::string_view part) {
      return fmt::format("{}.{}.{}", attention, layer, part);
    };
    if (!form) {
      weights.insert_or_assign(name("weight"), some);
      return;
    }
    const Quantized result = quantize(some, *form);
    weights.insert_or_assign(name("weight"), result.weight);
    weights.insert_or_assign(name("scales"), result.scales);
    weights.insert_or_assign(name("biases"), *result.biases);
  };
  put("embed_q", transpose(keys, {.axes = Axes{0, 2, 1}}));
  put("unembed_out", values);
}

}  // namespace mlxnx::llm
