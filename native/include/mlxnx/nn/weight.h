// The matrix of a layer: dense or quantized, with or without a change of low rank beside it. Layers
// that have one take all of these, so that functions of models exchange them in place:
//
//     model = nn::quantize(model, {}, {.bits = 4});          // every matrix
//     model = nn::to_lora(model, {.rank = 8}, key, is_attention);
//     ... train with {.trainable = nn::is_adapter} ...
//     model = nn::fuse(model);                               // the change becomes part of them
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

#include "mlxnx/nn/layer.h"
#include "mlxnx/quantize.h"
#include "mlxnx/tensor.h"

namespace mlxnx::nn {

/// What a layer's `weight` is, beside its elements: nothing of this for a dense matrix `[rows,
/// columns]`, or for several, `[matrices, rows, columns]`, of which rows choose one. Tensors have
/// mlx's names and are the layer's own: "scales", "lora_a".
struct WeightForm {
  /// Of a quantized matrix, whose `weight` holds words: see `mlxnx::Quantized`.
  std::optional<Tensor> scales, biases, global_scale;
  QuantizationMode mode = QuantizationMode::kAffine;
  std::optional<std::int64_t> bits, group_size;  ///< numbers wherever there are scales
  /// A change of low rank, `lora_scale` times the transposed product of `[columns, rank]` and
  /// `[rank, rows]`; and for DoRA the length that each row is to have, `[rows]`. Of several
  /// matrices it is the product of `lora_b` `[matrices, rows, rank]` and `lora_a` `[matrices, rank,
  /// columns]`, as mlx-lm has it.
  std::optional<Tensor> lora_a, lora_b, m;
  double lora_scale = 0;
  MLXNX_INLINE_MEMBERS(scales, biases, global_scale, mode, bits, group_size, lora_a, lora_b, m,
                       lora_scale)

  bool is_quantized() const { return scales.has_value(); }
  bool is_adapted() const { return lora_a.has_value(); }
};

/// The matrix `[rows, columns]` without a change, as floats.
Tensor dense_weight(const Tensor& weight, const WeightForm& form);
/// How many columns the matrix has, whatever form it is in.
std::int64_t columns_of(const Tensor& weight, const WeightForm& form);
/// `x` times the transposed matrix: `[…, columns]` as `[…, rows]`.
Tensor times_weight(const Tensor& x, const Tensor& weight, const WeightForm& form);
/// The same with several matrices, of which `numbers` chooses: `x` `[…, count, columns]` as `[…,
/// count, rows]`, where the axes before the last two and those of `numbers` broadcast. `sorted`
/// says that the numbers are in order, which GPUs make use of.
Tensor times_chosen(const Tensor& x, const Tensor& weight, const WeightForm& form,
                    const Tensor& numbers, bool sorted = false);
/// Rows of the matrix, by their numbers.
Tensor take_rows(const Tensor& weight, const WeightForm& form, const Tensor& numbers);

struct LoraOptions {
  std::int64_t rank = 8;
  double scale = 20.0;
  MLXNX_MEMBERS(rank, scale)
};

namespace weights {

/// The changes that functions of models make; `name` is the layer's, for errors.
void quantize(Tensor& weight, WeightForm& form, const Quantization& how, const std::string& name);
void dequantize(Tensor& weight, WeightForm& form);
void adapt(Tensor& weight, WeightForm& form, const LoraOptions& options, bool has_lengths,
           const Tensor& key, const std::string& name);
void fuse(Tensor& weight, WeightForm& form);
/// The key of the next layer.
Tensor next_key(Tensor& key);

template <typename T>
concept IsWeighted = requires(T& layer) {
  layer.weight;
  requires std::same_as<std::remove_cvref_t<decltype(layer.form)>, WeightForm>;
};

/// Calls `change` with the name of each layer that has a matrix, the matrix and its form.
template <typename T, typename Change>
void visit(T& value, const Change& change, const std::string& path = "") {
  const auto below = [&path](const std::string& name) {
    return path.empty() ? name : path + "." + name;
  };
  std::size_t number = 0;
  const auto each = [&](auto&... elements) {
    (visit(elements, change, below(std::to_string(number++))), ...);
  };
  if constexpr (IsWeighted<T>) {
    change(path, value.weight, value.form);
  } else if constexpr (std::same_as<T, Tensor> || std::is_arithmetic_v<T> || std::is_enum_v<T>) {
    return;
  } else if constexpr (tree::HasMembers<T>) {
    const std::vector<std::string> names = tree::split_names(T::member_names());
    const auto one = [&]<typename Member>(Member& member) {
      const std::string& name = names.at(number++);
      visit(member, change, tree::HasInlineMembers<Member> ? path : below(name));
    };
    value.visit_members([&](auto&... members) { (one(members), ...); });
  } else if constexpr (tree::MapLike<T>) {
    for (auto& [key, element] : value) visit(element, change, below(tree::text_of(key)));
  } else if constexpr (std::ranges::sized_range<T>) {
    for (auto& element : value) each(element);
  } else if constexpr (tree::TupleLike<T>) {
    std::apply(each, value);
  } else if constexpr (tree::OptionalLike<T>) {
    if (value.has_value()) visit(*value, change, path);
  } else if constexpr (tree::VariantLike<T>) {
    std::visit([&](auto& held) { visit(held, change, path); }, value);
  }
}

inline bool is_meant(const NamePredicate& which, const std::string& name) {
  return !which || which(name);
}

}  // namespace weights

/// `model` with the matrices of the layers that `which` means, all by default, quantized. Those
/// that are already stay as they are. The names are those of layers: "layers.0.attention.query".
/// Throws: ShapeError with the layer's name where its columns are no multiple of the group size.
/// mlx: nn.quantize
///
///     nn::quantize(model, [](std::string_view name) { return name != "head"; }, {.bits = 4});
template <typename Model>
Model quantize(Model model, const NamePredicate& which = {}, const Quantization& form = {}) {
  weights::visit(model, [&](const std::string& name, Tensor& weight, WeightForm& own) {
    if (weights::is_meant(which, name)) weights::quantize(weight, own, form, name);
  });
  return model;
}

/// `model` with dense matrices in place of quantized ones.
///
///     nn::dequantize(model);
template <typename Model>
Model dequantize(Model model, const NamePredicate& which = {}) {
  weights::visit(model, [&](const std::string& name, Tensor& weight, WeightForm& own) {
    if (weights::is_meant(which, name)) weights::dequantize(weight, own);
  });
  return model;
}

/// `model` with changes of low rank (Hu and others, 2021) beside the matrices, dense or quantized,
/// of the layers that `which` means. A new change is zero: `lora_a` is uniform within
/// 1 / sqrt(columns), drawn by `key` (u32[2]), and `lora_b` zeros.
/// Layers of several matrices get a change of each.
/// Throws: ArgumentError for a rank below 1 and a layer that has a change already.
///
///     nn::to_lora(model, {.rank = 8}, key);
template <typename Model>
Model to_lora(Model model, const LoraOptions& options, Tensor key,
              const NamePredicate& which = {}) {
  weights::visit(model, [&](const std::string& name, Tensor& weight, WeightForm& own) {
    if (weights::is_meant(which, name))
      weights::adapt(weight, own, options, false, weights::next_key(key), name);
  });
  return model;
}

/// The same with lengths of rows that are learnt beside their directions (DoRA, Liu and others,
/// 2024). No gradient goes through the lengths that are divided by.
/// Throws: as `to_lora`; UnsupportedError for a layer of several matrices.
///
///     nn::to_dora(model, {.rank = 8}, key);
template <typename Model>
Model to_dora(Model model, const LoraOptions& options, Tensor key,
              const NamePredicate& which = {}) {
  weights::visit(model, [&](const std::string& name, Tensor& weight, WeightForm& own) {
    if (weights::is_meant(which, name))
      weights::adapt(weight, own, options, true, weights::next_key(key), name);
  });
  return model;
}

/// `model` with the changes made part of the matrices; quantized ones are quantized again.
///
///     nn::fuse(model);
template <typename Model>
Model fuse(Model model) {
  weights::visit(model, [](const std::string&, Tensor& weight, WeightForm& own) {
    weights::fuse(weight, own);
  });
  return model;
}

/// Whether a tensor of that name is part of a change of low rank: what is trained of a model of
/// `to_lora`.
///
///     value_and_grad(loss, {.trainable = nn::is_adapter});
bool is_adapter(std::string_view name);

}  // namespace mlxnx::nn
