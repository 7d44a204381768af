// Quantized matrices and products with them, and products of matrices chosen by number. On the CPU
// kernels of our own do the work where the build has them. Elsewhere MLX's do where they are right:
// on a CPU they add up in the type of the operands and have no f64, they count elements in 32 bits,
// and they divide by the sizes of what is empty.
#include <array>
#include <limits>
#include <optional>
#include <vector>

#include "mlxc/kernel_node.h"
#include "mlxc/packed_kernels.h"
#include "ops/composed.h"
#include "ops/index_values.h"
#include "ops/matrix.h"
#include "ops/operands.h"
#include "ops/quantization.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;
using mlxc::PackedForm;
using mlxc::PackedMatrices;

PackedForm packed_form(const Quantization& form) {
  return {form.mode.data(), static_cast<int>(form.group_size), static_cast<int>(form.bits)};
}

Shape with_last(Shape batch, const Shape& matrix) {
  batch.insert(batch.end(), matrix.end() - 2, matrix.end());
  return batch;
}

// MLX's CPU takes words of nvfp4 four at a time, and groups have two. Where there is an odd number
// of them, all come twice.
bool is_odd(const Quantization& form, std::int64_t groups) {
  return form.takes_global_scale() && groups % 2 != 0;
}
Array twice(const Array& matrices) { return mlxc::concatenate(std::array{matrices, matrices}, 0); }
Array first_half(const Array& matrices) {
  Shape stop = shape_of(matrices);
  stop[0] /= 2;
  return mlxc::slice(matrices, Shape(stop.size(), 0), stop, Shape(stop.size(), 1));
}

// ---- quantize

// Which groups have a scale: all weights finite, and what lies between them too.
Array has_scale(const Array& w, const Quantization& form) {
  Shape shape = shape_of(w);
  shape.back() /= form.group_size;
  shape.push_back(form.group_size);
  const Array groups = mlxc::reshape(w, shape);
  const mlxc::Ints last{static_cast<std::int64_t>(shape.size()) - 1};
  const Array most = mlxc::astype(mlxc::max(groups, last), DType::f32);
  const Array least = mlxc::astype(mlxc::min(groups, last), DType::f32);
  return mlxc::isfinite(mlxc::subtract(most, least));
}

Array for_each_weight(const Array& of_groups, const Shape& weights, std::int64_t group_size) {
  Shape shape = shape_of(of_groups);
  shape.push_back(1);
  const Array column = mlxc::reshape(of_groups, shape);
  shape.back() = group_size;
  return mlxc::reshape(mlxc::broadcast_to(column, shape), weights);
}

// What stands for a scale that is no number.
Array no_scale(const Quantization& form, DType type) {
  if (form.is_affine()) return constant(std::numeric_limits<double>::quiet_NaN(), type);
  constexpr std::int64_t kNanOfE4m3 = 0x7F, kInfinityOfE8m0 = 0xFF;
  return mlxc::scalar(form.takes_global_scale() ? kNanOfE4m3 : kInfinityOfE8m0, DType::u8);
}

std::vector<Array> eval_quantize(const Call& call) {
  const Quantization form = quantization_of(call);
  if (element_count(call.shape(0)) == 0) {
    std::vector<Array> empty;
    for (const TensorType& type : call.outputs) empty.push_back(zeros(type));
    return empty;
  }
  const Array w = operand(call, 0);
  const std::optional<Array> global =
      call.size() > 1 ? std::optional(operand(call, 1)) : std::nullopt;
  const Array is_fine = has_scale(w, form);
  const Array all_fine = for_each_weight(is_fine, call.shape(0), form.group_size);
  const Array finite = mlxc::where(all_fine, w, mlxc::scalar(std::int64_t{0}, call.dtype(0)));
  const bool odd = is_odd(form, is_fine.size());
  std::vector<Array> result =
      mlxc::quantize(odd ? twice(finite) : finite, packed_form(form), global ? &*global : nullptr);
  if (odd) {
    for (Array& part : result) part = first_half(part);
  }
  const Array none = no_scale(form, call.dtype(0));
  for (std::size_t i = 1; i < result.size(); ++i) result[i] = mlxc::where(is_fine, result[i], none);
  return result;
}

// ---- dequantize

// A quantized operand: views of a call's, or matrices made of them.
struct Packed {
  Array words, scales;
  std::optional<Array> biases;

  PackedMatrices matrices() const { return {words, scales, biases ? &*biases : nullptr}; }
  template <typename Function>
  Packed each(const Function& function) const {
    return {function(words), function(scales),
            biases ? std::optional(function(*biases)) : std::nullopt};
  }
};

// The matrix that begins with operand `first`; scales of affine ones as `type`.
Packed packed_operand(const Call& call, const Quantization& form, std::size_t first, DType type) {
  if (!form.is_affine()) return {operand(call, first), operand(call, first + 1), std::nullopt};
  return {operand(call, first), operand_as(call, first + 1, type),
          operand_as(call, first + 2, type)};
}

// An axis of size 1 may have any step, and GPUs' kernels take none but that of rows.
Array with_steps_of_rows(const Array& part) {
  const Shape shape = shape_of(part);
  const bool is_sure =
      std::none_of(shape.end() - 2, shape.end(), [](std::int64_t n) { return n == 1; });
  return is_sure ? part : mlxc::reshape(mlxc::reshape(part, {element_count(shape)}), shape);
}

// The same for products on GPUs, whose kernels want each part in rows.
Packed in_rows(const Call& call, std::size_t first, Packed w) {
  if (on_cpu()) return w;
  std::size_t i = first;
  return w.each([&](const Array& part) {
    const Operand& operand = call.operands[i++];
    const bool is_there = part.is_view() && operand.ready != nullptr && *operand.ready;
    const bool is_in_rows = is_there && mlxc::is_row_contiguous(part);
    return with_steps_of_rows(is_in_rows ? part : mlxc::contiguous(part));
  });
}

// Whether MLX's product with so many columns is to be trusted: its kernels for Hopper (0.32.4)
// answer anything where one affine group of 64 or more is all of a row.
bool multiplies_rightly(const Quantization& form, std::int64_t columns) {
  return on_cpu() || !form.is_affine() || form.group_size < 64 || columns > form.group_size;
}

// ---- kernels of our own

bool has_kernels() { return on_cpu() && mlxc::has_kernels(); }

// The type that a kernel's result has at once.
DType result_type(const Call& call) {
  const DType type = call.output().dtype;
  return is_kernel_float(type) ? type : DType::f32;
}

// The matrix that begins with operand `first`, its scales as they are where kernels know them.
Packed kernel_matrix(const Call& call, const Quantization& form, std::size_t first) {
  if (!form.is_affine()) return packed_operand(call, form, first, DType::f32);
  Packed w{operand(call, first), operand(call, first + 1), operand(call, first + 2)};
  return mlxc::takes_scales(w.matrices()) ? std::move(w)
                                          : packed_operand(call, form, first, DType::f32);
}

// The numbers of the matrices of `batch` in order, for each position of `wanted`.
Array numbers_of(const Shape& batch, const Shape& wanted) {
  const auto count = static_cast<double>(element_count(batch));
  return broadcast_to_shape(mlxc::reshape(mlxc::arange(0, count, 1, DType::u32), batch), wanted);
}

Array kernel_product(const Call& call, const Quantization& form,
                     const std::optional<mlxc::ChosenMatrices>& chosen) {
  const Packed w = kernel_matrix(call, form, 1);
  const Array x = kernel_operand(call, 0);
  const bool is_one_row = chosen && call.rank(0) == 1;
  return mlxc::packed_product(
      is_one_row ? mlxc::reshape(x, {1, call.shape(0).back()}) : Array::view(x), w.matrices(),
      packed_form(form), call.attr<bool>("transpose"), chosen ? &*chosen : nullptr,
      call.output().shape, result_type(call));
}

// In f32 or f64, where each weight is exact or rounded as f32 rounds.
Array unpacked(const Packed& w, const Quantization& form, DType type,
               const Array* global_scale = nullptr) {
  if (form.is_affine()) return mlxc::dequantize(w.matrices(), packed_form(form), nullptr, type);
  const auto in_f32 = [&](const Packed& matrix) {
    return mlxc::dequantize(matrix.matrices(), packed_form(form), global_scale, DType::f32);
  };
  const bool odd = is_odd(form, w.scales.size());
  const Array weights = odd ? first_half(in_f32(w.each(twice))) : in_f32(w);
  return type == DType::f32 ? weights : convert(weights, DType::f32, type);
}

// The type that weights are computed in: MLX's kernels on GPUs know what to do with 16 bits.
DType inner_type(DType type) { return on_cpu() ? to_wide(type) : type; }

Array eval_dequantize(const Call& call) {
  const Quantization form = quantization_of(call);
  if (element_count(call.output().shape) == 0) return zeros(call.output());
  const DType own = unpacked_type(call, form, 0).dtype;
  const bool is_f64 = own == DType::f64;
  const DType type = is_f64 ? own : DType::f32;
  const std::size_t next = form.operands();
  if (!is_f64 && has_kernels()) {
    const Array global = call.size() > next ? operand(call, next) : Array();
    return mlxc::packed_weights(kernel_matrix(call, form, 0).matrices(), packed_form(form),
                                global.empty() ? nullptr : &global, call.output().shape,
                                result_type(call));
  }
  const Packed w = packed_operand(call, form, 0, type);
  if (call.size() == next) return unpacked(w, form, type);
  const Array global = operand(call, next);
  return unpacked(w, form, type, &global);
}

// ---- products

constexpr std::int64_t kMostCounted = std::numeric_limits<std::int32_t>::max();

bool are_counted(std::initializer_list<const Array*> arrays, const Shape& output) {
  if (element_count(output) > kMostCounted) return false;
  for (const Array* array : arrays) {
    if (array->size() > kMostCounted) return false;
  }
  return true;
}

Packed broadcast_batch(const Packed& w, const Shape& batch) {
  return w.each([&](const Array& part) {
    return broadcast_to_shape(part, with_last(batch, shape_of(part)));
  });
}

// MLX's CPU unpacks the weights anew for every row: from so many on it is quicker to unpack them
// once, which takes longer where that has to go bit by bit or through a table.
bool are_many_rows(std::int64_t rows, const Quantization& form) {
  const bool is_quick = form.bits == 8 || (form.is_affine() && (form.bits & (form.bits - 1)) == 0);
  return on_cpu() && rows >= (is_quick ? 4 : 16);
}

// From so many rows on MLX's CUDA (0.32.4) multiplies unpacked weights in half the time, what it
// takes to unpack them included.
bool are_unpacked_on_gpu(std::int64_t rows, const Quantization& form, DType type) {
#if defined(__APPLE__)
  constexpr bool kIsCuda = false;
#else
  constexpr bool kIsCuda = true;
#endif
  constexpr std::int64_t kManyRows = 512;
  return kIsCuda && !on_cpu() && form.is_affine() && size_bytes(type) == 2 && rows >= kManyRows;
}

// The type that a product with quantized weights is computed in, the operands' own.
DType product_type(const Call& call, const Quantization& form) {
  const DType x = call.dtype(0);
  return form.is_affine() ? merge(x, unpacked_type(call, form, 1).dtype) : x;
}

Array eval_quantized_dot(const Call& call) {
  const Quantization form = quantization_of(call);
  const Shape& x_shape = call.shape(0);
  const Shape& output = call.output().shape;
  if (element_count(output) == 0 || x_shape.back() == 0) return zeros(call.output());
  const DType type = inner_type(product_type(call, form));
  const bool is_one = call.rank(1) == 2, is_vector = x_shape.size() == 1;
  const std::int64_t in_all = element_count(x_shape) / x_shape.back();
  if (type != DType::f64 && has_kernels()) {
    if (is_one) return kernel_product(call, form, std::nullopt);
    const Shape batch(output.begin(), output.end() - (is_vector ? 1 : 2));
    const Array left = numbers_of(is_vector ? Shape{} : leading(x_shape), batch);
    const Array right = numbers_of(leading(call.shape(1)), batch);
    return kernel_product(call, form, mlxc::ChosenMatrices{left, right});
  }
  const std::int64_t rows = is_one ? in_all : is_vector ? 1 : x_shape[x_shape.size() - 2];
  if (type == DType::f64 || are_many_rows(rows, form) || !multiplies_rightly(form, x_shape.back()))
    return build_composed(call);
  const bool transpose = call.attr<bool>("transpose");
  const Array x = operand_as(call, 0, type);
  const Packed w = in_rows(call, 1, packed_operand(call, form, 1, type));
  const auto product = [&](const Array& left, const Packed& right) {
    const Array result =
        mlxc::quantized_matmul(left, right.matrices(), packed_form(form), transpose);
    return mlxc::reshape(result, output);
  };
  if (is_one && are_unpacked_on_gpu(in_all, form, type)) {
    const Array weights = mlxc::dequantize(w.matrices(), packed_form(form), nullptr, type);
    const Array product = mlxc::matmul(mlxc::reshape(x, {in_all, x_shape.back()}),
                                       transpose ? mlxc::transpose_axes(weights, {1, 0}) : weights);
    return mlxc::reshape(product, output);
  }
  // Rows of one text need no other shape on a GPU.
  if (is_one && !is_vector && !on_cpu() && rows == x_shape[x_shape.size() - 2])
    return mlxc::quantized_matmul(x, w.matrices(), packed_form(form), transpose);
  // All rows beside one another: MLX's CPU would count through more axes in 32 bits.
  if (is_one) return product(mlxc::reshape(x, {in_all, x_shape.back()}), w);
  const Array matrices = is_vector ? mlxc::reshape(x, {1, x_shape.back()}) : x;
  const Shape batch = is_vector ? Shape(output.begin(), output.end() - 1) : leading(output);
  const Array all = broadcast_to_shape(matrices, with_last(batch, shape_of(matrices)));
  // Nor do they take matrices that several rows share, but by numbers.
  if (!on_cpu() && leading(call.shape(1)) != batch) {
    if (!are_counted({&all, &w.words}, output)) return build_composed(call);
    const Array numbers = numbers_of(leading(call.shape(1)), batch);
    return mlxc::reshape(
        mlxc::gather_qmm(all, w.matrices(), packed_form(form), nullptr, numbers, transpose, false),
        output);
  }
  const Packed each = broadcast_batch(w, batch);
  if (!are_counted({&all, &each.words}, output)) return build_composed(call);
  return product(all, each);
}

// ---- products of chosen matrices

// Numbers of matrices of the operand `of`; none of them leads outside.
Array safe_numbers(const Call& call, std::size_t i, std::size_t of) {
  const std::int64_t count = element_count(leading(call.shape(of)));
  return mlxc::astype(safe_indices(call, i, 0, {count}), DType::u32);
}

// The numbers that a call chooses by.
struct Chooser {
  Array rhs;
  std::optional<Array> lhs;

  Chooser(const Call& call, std::size_t right) {
    const GatheredCall gathered = gathered_call(call, right);
    rhs = safe_numbers(call, gathered.rhs_indices, 1);
    if (gathered.lhs_indices != 0) lhs = safe_numbers(call, gathered.lhs_indices, 0);
  }
  const Array* lhs_or_none() const { return lhs ? &*lhs : nullptr; }
};

// MLX's CUDA (0.32.4) looks for the axis that chooses where there is a single matrix, too.
Array among_several(const Array& matrices) {
  return matrices.rank() > 2 ? matrices : mlxc::expand_dims_axes(matrices, {0});
}

Array eval_gather_dot(const Call& call) {
  if (element_count(call.output().shape) == 0 || call.shape(0).back() == 0)
    return zeros(call.output());
  const Chooser chooser(call, 1);
  const DType type = merge(call.dtype(0), call.dtype(1));
  if (!is_float(type) || type == DType::f64) return build_composed(call);
  const DType inner = inner_type(type);
  Array rows = among_several(operand_as(call, 0, inner)),
        matrices = among_several(operand_as(call, 1, inner));
  const bool sorted = call.attr<bool>("sorted_indices");
  if (!on_cpu()) {
    // MLX's CUDA (0.32.4) goes from one matrix to the next by their size, whatever lies between
    // them, where numbers are sorted, and else reads half floats at odd addresses unless rows are
    // packed and matrices transposes of packed ones. Those of layers are, and are not copied.
    rows = mlxc::contiguous(rows);
    matrices = transpose_matrix(mlxc::contiguous(transpose_matrix(matrices)));
  }
  return mlxc::gather_mm(rows, matrices, chooser.lhs_or_none(), chooser.rhs, sorted);
}

Array eval_gather_quantized_dot(const Call& call) {
  const Shape& output = call.output().shape;
  if (element_count(output) == 0 || call.shape(0).back() == 0) return zeros(call.output());
  const Quantization form = quantization_of(call);
  const Chooser chooser(call, form.operands());
  const DType type = inner_type(product_type(call, form));
  if (type != DType::f64 && has_kernels()) {
    const Shape batch = leading(output);
    const Array left = chooser.lhs ? broadcast_to_shape(*chooser.lhs, batch)
                                   : numbers_of(leading(call.shape(0)), batch);
    const Array right = broadcast_to_shape(chooser.rhs, batch);
    return kernel_product(call, form, mlxc::ChosenMatrices{left, right});
  }
  const Array x = operand_as(call, 0, type);
  const Packed w = in_rows(call, 1, packed_operand(call, form, 1, type));
  if (type == DType::f64 || !are_counted({&x, &w.words}, output)) return build_composed(call);
  return mlxc::gather_qmm(x, w.matrices(), packed_form(form), chooser.lhs_or_none(), chooser.rhs,
                          call.attr<bool>("transpose"), call.attr<bool>("sorted_indices"));
}

// ---- rows

const AttrDef kMode{"mode", AttrKind::kString, AttrValue(std::string("affine"))};
const AttrDef kGroupSize{.name = "group_size", .kind = AttrKind::kInt, .optional = true};
const AttrDef kBits{.name = "bits", .kind = AttrKind::kInt, .optional = true};
const AttrDef kTranspose{"transpose", AttrKind::kBool, AttrValue(true)};
const AttrDef kSorted{"sorted_indices", AttrKind::kBool, AttrValue(false)};
const AttrDef kTypeOfNumbers{.name = "dtype", .kind = AttrKind::kType, .optional = true};

const std::array kQuantizeAttrs = {kMode, kGroupSize, kBits};
const std::array kDequantizeAttrs = {kMode, kGroupSize, kBits, kTypeOfNumbers};
const std::array kQuantizedDotAttrs = {kMode, kGroupSize, kBits, kTranspose};
const std::array kGatherAttrs = {kSorted};
const std::array kGatherQuantizedAttrs = {kMode, kGroupSize, kBits, kTranspose, kSorted};

const std::array kQuantizationOps = {
    OpDef{.name = "fast:quantize",
          .group = Group::kQuantization,
          .min_operands = 1,
          .max_operands = 2,
          .attrs = kQuantizeAttrs,
          .infer = quantized::packed,
          .eval_many = eval_quantize,
          .doc =
              "Weights packed into words of u32, a scale for each group along the last axis and, "
              "for affine, a bias; nvfp4 may have a global scale.",
          .compose = composed::quantize},
    OpDef{.name = "fast:dequantize",
          .group = Group::kQuantization,
          .min_operands = 2,
          .max_operands = 3,
          .attrs = kDequantizeAttrs,
          .infer = quantized::unpacked,
          .eval = eval_dequantize,
          .doc = "The weights that words, scales and, for affine, biases stand for; for nvfp4 the "
                 "third operand is the global scale.",
          .compose = composed::dequantize},
    OpDef{.name = "fast:quantized_dot",
          .group = Group::kQuantization,
          .min_operands = 3,
          .max_operands = 4,
          .attrs = kQuantizedDotAttrs,
          .infer = quantized::product,
          .eval = eval_quantized_dot,
          .doc = "Rows times quantized weights, given as words, scales and, for affine, biases; "
                 "their batch axes broadcast.",
          .compose = composed::quantized_dot},
    OpDef{.name = "fast:gather_dot",
          .group = Group::kQuantization,
          .min_operands = 3,
          .max_operands = 4,
          .attrs = kGatherAttrs,
          .infer = quantized::gathered_product,
          .eval = eval_gather_dot,
          .doc = "Products of matrices chosen by number: the third operand chooses of the second, "
                 "the fourth, if there is one, of the first.",
          .compose = composed::gather_dot},
    OpDef{.name = "fast:gather_quantized_dot",
          .group = Group::kQuantization,
          .min_operands = 4,
          .max_operands = 6,
          .attrs = kGatherQuantizedAttrs,
          .infer = quantized::gathered_quantized_product,
          .eval = eval_gather_quantized_dot,
          .doc = "`fast:gather_dot` with quantized weights: x, words, scales and, for affine, "
                 "biases, then the numbers.",
          .compose = composed::gather_quantized_dot},
};

}  // namespace

std::span<const OpDef> quantization_ops() { return kQuantizationOps; }

}  // namespace mlxnx::ops
