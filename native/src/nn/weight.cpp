#include "mlxnx/nn/weight.h"

#include <array>
#include <cmath>
#include <utility>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"
#include "nn/initial.h"
#include "nn/options.h"

namespace mlxnx::nn {
namespace {

Quantized packed(const Tensor& weight, const WeightForm& form) {
  return {weight,
          *form.scales,
          form.biases,
          {.mode = form.mode, .bits = form.bits, .group_size = form.group_size},
          form.global_scale};
}

// The type that a quantized matrix had or is to have: scales of u8 know none.
DType dense_type(const WeightForm& form) { return form.biases ? form.biases->dtype() : DType::f32; }

// The change, `[rows, columns]`, or one for each matrix of several.
Tensor change_of(const WeightForm& form) {
  if (form.lora_a->rank() == 3)
    return dot(*form.lora_b, {2}, {0}, *form.lora_a, {1}, {0}) * form.lora_scale;
  return transpose(dot(*form.lora_a, *form.lora_b)) * form.lora_scale;
}

Tensor lengths_of_rows(const Tensor& matrix) {
  return sqrt(sum(matrix * matrix, {.axes = Axes{1}}));
}

// What each row of the changed matrix is multiplied by, so that it has its own length.
Tensor stretch(const Tensor& weight, const WeightForm& form) {
  const Tensor changed = dense_weight(weight, form) + change_of(form);
  return *form.m / stop_gradient(lengths_of_rows(changed));
}

}  // namespace

Tensor dense_weight(const Tensor& weight, const WeightForm& form) {
  if (!form.is_quantized()) return weight;
  return mlxnx::dequantize(packed(weight, form), dense_type(form));
}

std::int64_t columns_of(const Tensor& weight, const WeightForm& form) {
  if (!form.is_quantized()) return weight.shape().back();
  return form.scales->shape().back() * *form.group_size;
}

Tensor times_weight(const Tensor& x, const Tensor& weight, const WeightForm& form) {
  const Tensor product =
      form.is_quantized() ? quantized_dot(x, packed(weight, form)) : dot(x, {-1}, weight, {1});
  if (!form.is_adapted()) return product;
  const Tensor change = dot(dot(x, *form.lora_a), *form.lora_b) * form.lora_scale;
  const Tensor changed = as_type(product + change, product.dtype());
  return form.m ? as_type(changed * stretch(weight, form), product.dtype()) : changed;
}

Tensor times_chosen(const Tensor& x, const Tensor& weight, const WeightForm& form,
                    const Tensor& numbers, bool sorted) {
  const GatherOptions chosen{.rhs_indices = numbers, .sorted_indices = sorted};
  const auto times = [&](const Tensor& rows, const Tensor& matrices) {
    return gather_dot(rows, transpose(matrices, {.axes = Axes{0, 2, 1}}), chosen);
  };
  const Tensor product = form.is_quantized() ? gather_quantized_dot(x, packed(weight, form), chosen)
                                             : times(x, weight);
  if (!form.is_adapted()) return product;
  const Tensor change = times(times(x, *form.lora_a), *form.lora_b) * form.lora_scale;
  return as_type(product + change, product.dtype());
}

Tensor take_rows(const Tensor& weight, const WeightForm& form, const Tensor& numbers) {
  const auto rows = [&](const Tensor& of) { return take(of, numbers, {.axis = 0}); };
  Tensor taken = rows(weight);
  if (form.is_quantized()) {
    Quantized some = packed(taken, form);
    some.scales = rows(some.scales);
    if (some.biases) some.biases = rows(*some.biases);
    // A single number takes a row, and a matrix is wanted.
    const bool is_one = numbers.rank() == 0;
    if (is_one) {
      some.weight = new_axis(some.weight, 0);
      some.scales = new_axis(some.scales, 0);
      if (some.biases) some.biases = new_axis(*some.biases, 0);
    }
    taken = form.biases ? mlxnx::dequantize(some) : mlxnx::dequantize(some, DType::bf16);
    if (is_one) taken = squeeze(taken, {.axes = Axes{0}});
  }
  if (!form.is_adapted()) return taken;
  const Tensor change = dot(rows(transpose(*form.lora_b)), transpose(*form.lora_a));
  const Tensor changed = as_type(taken + change * form.lora_scale, taken.dtype());
  if (!form.m) return changed;
  return as_type(changed * new_axis(rows(stretch(weight, form)), -1), taken.dtype());
}

namespace weights {

void quantize(Tensor& weight, WeightForm& form, const Quantization& how, const std::string& name) {
  if (form.is_quantized()) return;
  Quantized result;
  try {
    result = mlxnx::quantize(weight, how);
  } catch (const ShapeError& error) {
    throw ShapeError("[quantize] the layer " + (name.empty() ? "itself" : name) + ": " +
                     error.what() + "; leave it out");
  }
  const std::int64_t columns = weight.shape().back();
  weight = result.weight;
  form.scales = result.scales;
  form.biases = result.biases;
  form.mode = how.mode;
  // What the mode's defaults are is the op's to know.
  form.bits = weight.shape().back() * 32 / columns;
  form.group_size = columns / result.scales.shape().back();
}

void dequantize(Tensor& weight, WeightForm& form) {
  if (!form.is_quantized()) return;
  weight = dense_weight(weight, form);
  form.scales = form.biases = form.global_scale = std::nullopt;
}

void adapt(Tensor& weight, WeightForm& form, const LoraOptions& options, bool has_lengths,
           const Tensor& key, const std::string& name) {
  const std::int64_t rank = at_least(1, options.rank, "rank", has_lengths ? "to_dora" : "to_lora");
  if (form.is_adapted()) {
    throw ArgumentError("[to_lora] the layer " + (name.empty() ? "itself" : name) +
                        " has a change of low rank already: fuse the model first");
  }
  const Tensor dense = dense_weight(weight, form);
  const bool is_of_several = dense.rank() == 3;
  if (is_of_several && has_lengths) {
    throw UnsupportedError("[to_dora] the layer " + (name.empty() ? "itself" : name) +
                           " has several matrices, whose rows have no lengths to learn; to_lora "
                           "changes it");
  }
  const std::int64_t columns = dense.shape().back(), rows = dense.shape()[dense.rank() - 2];
  const double bound = 1 / std::sqrt(static_cast<double>(columns));
  const Shape a = is_of_several ? Shape{dense.shape()[0], rank, columns} : Shape{columns, rank};
  form.lora_a = random::uniform(key, a, {.low = -bound, .high = bound});
  form.lora_b = zeros(is_of_several ? Shape{dense.shape()[0], rows, rank} : Shape{rank, rows});
  form.lora_scale = options.scale;
  if (has_lengths) form.m = lengths_of_rows(as_type(dense, DType::f32));
}

void fuse(Tensor& weight, WeightForm& form) {
  if (!form.is_adapted()) return;
  const Tensor dense = dense_weight(weight, form);
  Tensor changed = dense + change_of(form);
  if (form.m) changed = changed * new_axis(stretch(weight, form), -1);
  const bool was_quantized = form.is_quantized();
  const Quantization how{.mode = form.mode, .bits = form.bits, .group_size = form.group_size};
  form = {};
  weight = as_type(changed, dense.dtype());
  if (was_quantized) quantize(weight, form, how, "");
}

Tensor next_key(Tensor& key) {
  const std::vector<Tensor> keys = split_key(key, 2, "to_lora");
  key = keys[0];
  return keys[1];
}

}  // namespace weights

bool is_adapter(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  const std::string_view last = dot == std::string_view::npos ? name : name.substr(dot + 1);
  return last == "lora_a" || last == "lora_b" || last == "m";
}

}  // namespace mlxnx::nn
