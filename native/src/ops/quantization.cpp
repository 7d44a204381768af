#include "ops/quantization.h"

#include <algorithm>
#include <array>
#include <string>

#include "ops/shape_rules.h"
#include "ops/type_rules.h"

namespace mlxnx::ops {
namespace {

constexpr std::int64_t kWordBits = 32;

struct Mode {
  std::string_view name;
  std::int64_t group_size, bits;  // defaults, and for all but affine the only ones
};
constexpr std::array kModes = {Mode{"affine", 64, 4}, Mode{"mxfp4", 32, 4}, Mode{"nvfp4", 16, 4},
                               Mode{"mxfp8", 32, 8}};

template <std::size_t kCount>
bool is_one_of(const std::array<std::int64_t, kCount>& list, std::int64_t value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

void require_matrices(const Call& call, std::size_t i, std::string_view what) {
  if (call.rank(i) >= 2) return;
  call.shape_error(std::string(what) + " are matrices in the last two axes, got " +
                   to_string(call.type(i)) + "; give it another axis");
}

// The type that matrices of these types are multiplied in.
DType product_type(const Call& call, DType left, DType right) {
  const DType type = merge(left, right);
  if (is_float(type)) return type;
  call.type_error("only real floats can be multiplied with quantized weights, got " +
                  to_string(call.type(0)));
}

std::int64_t multiplied(const Call& call, const Shape& left, std::int64_t inner, const Shape& right,
                        std::string_view of) {
  if (left.back() == inner) return inner;
  call.shape_error("the last axis of the left operand, " + to_string(left) + ", has to be as long" +
                   " as the " + std::string(of) + " of the right one, " + to_string(right) + ": " +
                   std::to_string(left.back()) + " is not " + std::to_string(inner));
}

void require_index(const Call& call, std::size_t i, const Shape& matrices, std::string_view side) {
  if (!is_integer(call.dtype(i))) {
    call.type_error("indices are integers, got " + to_string(call.type(i)) + " for the " +
                    std::string(side) + " side");
  }
  if (element_count(call.shape(i)) != 0 && element_count(leading(matrices)) == 0) {
    call.shape_error("there is no matrix to choose in " + to_string(matrices) + " of the " +
                     std::string(side) + " side");
  }
}

// The result of products of matrices [rows, …] with [inner, columns].
Shape product_shape(Shape batch, std::int64_t rows, std::int64_t columns) {
  batch.push_back(rows);
  batch.push_back(columns);
  return batch;
}

// [inner, columns] of a right operand that may be given with its axes swapped.
std::array<std::int64_t, 2> oriented(const Call& call, const Shape& shape) {
  const std::int64_t rows = shape[shape.size() - 2];
  if (call.attr<bool>("transpose")) return {shape.back(), rows};
  return {rows, shape.back()};
}

}  // namespace

Quantization quantization_of(const Call& call) {
  const std::string& name = call.attr<std::string>("mode");
  const auto* const mode =
      std::find_if(kModes.begin(), kModes.end(), [&](const Mode& row) { return row.name == name; });
  if (mode == kModes.end())
    call.argument_error("the mode is affine, mxfp4, nvfp4 or mxfp8, got \"" + name + "\"");
  Quantization form{mode->name, mode->group_size, mode->bits};
  if (const auto* given = call.attr_if<std::int64_t>("group_size")) form.group_size = *given;
  if (const auto* given = call.attr_if<std::int64_t>("bits")) form.bits = *given;
  if (form.is_affine()) {
    if (!is_one_of(std::array<std::int64_t, 3>{32, 64, 128}, form.group_size)) {
      call.argument_error("affine groups are of 32, 64 or 128 weights, got group_size " +
                          std::to_string(form.group_size));
    }
    if (!is_one_of(std::array<std::int64_t, 6>{2, 3, 4, 5, 6, 8}, form.bits)) {
      call.argument_error("affine weights have 2, 3, 4, 5, 6 or 8 bits, got " +
                          std::to_string(form.bits));
    }
  } else if (form.group_size != mode->group_size || form.bits != mode->bits) {
    call.argument_error(name + " has groups of " + std::to_string(mode->group_size) +
                        " weights with " + std::to_string(mode->bits) + " bits, got group_size " +
                        std::to_string(form.group_size) + " and bits " + std::to_string(form.bits));
  }
  return form;
}

TensorType unpacked_type(const Call& call, const Quantization& form, std::size_t first) {
  const std::string mode(form.mode);
  if (call.size() < first + form.operands()) {
    call.argument_error("a matrix of mode " + mode + " is given as " +
                        (form.is_affine() ? "words, scales and biases" : "words and scales"));
  }
  require_matrices(call, first, "quantized weights");
  const Shape& words = call.shape(first);
  const Shape& scales = call.shape(first + 1);
  if (call.dtype(first) != DType::u32)
    call.type_error("quantized weights are words of u32, got " + to_string(call.type(first)));
  if (scales.size() != words.size() ||
      !std::equal(words.begin(), words.end() - 1, scales.begin())) {
    call.shape_error("scales have the shape of the words but for the last axis, got words " +
                     to_string(words) + " and scales " + to_string(scales));
  }
  const std::int64_t length = scales.back() * form.group_size;
  if (words.back() * kWordBits != length * form.bits) {
    call.shape_error("words " + to_string(words) + " and scales " + to_string(scales) +
                     " don't fit group_size " + std::to_string(form.group_size) + " and bits " +
                     std::to_string(form.bits));
  }
  Shape shape = words;
  shape.back() = length;
  if (!form.is_affine()) {
    if (call.dtype(first + 1) != DType::u8) {
      call.type_error("scales of mode " + mode + " are u8, got " + to_string(call.type(first + 1)));
    }
    return {DType::f32, shape};
  }
  if (call.shape(first + 2) != scales) {
    call.shape_error("scales and biases have one shape, got " + to_string(scales) + " and " +
                     to_string(call.shape(first + 2)));
  }
  for (const std::size_t i : {first + 1, first + 2}) {
    if (!is_float(call.dtype(i)))
      call.type_error("scales and biases are real floats, got " + to_string(call.type(i)));
  }
  return {merge(call.dtype(first + 1), call.dtype(first + 2)), shape};
}

GatheredCall gathered_call(const Call& call, std::size_t right) {
  const std::size_t rhs = 1 + right;
  if (call.size() <= rhs || call.size() > rhs + 2) {
    call.argument_error("takes the numbers of the right matrices, and may take those of the left" +
                        std::string(" ones, behind ") + std::to_string(rhs) + " operands; got " +
                        std::to_string(call.size()) + " in all");
  }
  require_matrices(call, 0, "left operands");
  require_index(call, rhs, call.shape(1), "right");
  const bool has_lhs = call.size() == rhs + 2;
  if (has_lhs) require_index(call, rhs + 1, call.shape(0), "left");
  const Shape lhs_shape = has_lhs ? call.shape(rhs + 1) : leading(call.shape(0));
  return {rhs, has_lhs ? rhs + 1 : 0, broadcast_shapes(call, lhs_shape, call.shape(rhs))};
}

namespace {
void check_global_scale(const Call& call, const Quantization& form, std::size_t i) {
  if (call.size() <= i) return;
  if (!form.takes_global_scale() || call.size() > i + 1) {
    call.argument_error("takes " + std::to_string(i) + " operands for mode " +
                        std::string(form.mode) + ", got " + std::to_string(call.size()));
  }
  if (call.dtype(i) != DType::f32 || call.rank(i) != 0)
    call.type_error("a global scale is a scalar of f32, got " + to_string(call.type(i)));
}
}  // namespace

namespace quantized {

OutputTypes packed(const Call& call) {
  const Quantization form = quantization_of(call);
  require_matrices(call, 0, "weights to quantize");
  check_global_scale(call, form, 1);
  const TensorType& w = call.type(0);
  if (w.dtype != DType::f32 && w.dtype != DType::f16 && w.dtype != DType::bf16) {
    call.type_error("weights to quantize are f32, f16 or bf16, got " + to_string(w) +
                    "; cast them with as_type");
  }
  const std::int64_t length = w.shape.back();
  if (length % form.group_size != 0) {
    call.shape_error("the last axis of " + to_string(w) + " is to be cut into groups of " +
                     std::to_string(form.group_size) + " weights, and " + std::to_string(length) +
                     " is no multiple of that: pad it, or take another group_size or mode");
  }
  TensorType words{DType::u32, w.shape};
  words.shape.back() = length / kWordBits * form.bits + length % kWordBits * form.bits / kWordBits;
  TensorType scales{form.is_affine() ? w.dtype : DType::u8, w.shape};
  scales.shape.back() = length / form.group_size;
  if (form.is_affine()) return {words, scales, scales};
  return {words, scales};
}

OutputTypes unpacked(const Call& call) {
  const Quantization form = quantization_of(call);
  TensorType type = unpacked_type(call, form, 0);
  check_global_scale(call, form, form.operands());
  if (!form.is_affine()) type.dtype = DType::bf16;
  if (const auto* wanted = call.attr_if<DType>("dtype")) type.dtype = *wanted;
  if (!is_float(type.dtype))
    call.type_error("weights are real floats, got dtype " + std::string(name(type.dtype)));
  return {type.dtype, type.shape};
}

OutputTypes product(const Call& call) {
  const Quantization form = quantization_of(call);
  const TensorType w = unpacked_type(call, form, 1);
  if (call.size() > 1 + form.operands()) {
    call.argument_error("takes " + std::to_string(1 + form.operands()) + " operands for mode " +
                        std::string(form.mode) + ", got " + std::to_string(call.size()));
  }
  if (call.rank(0) == 0) call.shape_error("the left operand is a scalar; give it an axis");
  const DType type = form.is_affine() ? product_type(call, call.dtype(0), w.dtype)
                                      : product_type(call, call.dtype(0), call.dtype(0));
  const auto [inner, columns] = oriented(call, w.shape);
  const Shape& x = call.shape(0);
  multiplied(call, x, inner, w.shape, call.attr<bool>("transpose") ? "last axis" : "last but one");
  if (x.size() == 1) {
    Shape shape = leading(w.shape);
    shape.push_back(columns);
    return {type, shape};
  }
  return {type, product_shape(broadcast_shapes(call, leading(x), leading(w.shape)), x[x.size() - 2],
                              columns)};
}

OutputTypes gathered_product(const Call& call) {
  require_matrices(call, 1, "right operands");
  const GatheredCall gathered = gathered_call(call, 1);
  const Shape& a = call.shape(0);
  const Shape& b = call.shape(1);
  multiplied(call, a, b[b.size() - 2], b, "last but one");
  return {merge(call.dtype(0), call.dtype(1)),
          product_shape(gathered.batch, a[a.size() - 2], b.back())};
}

OutputTypes gathered_quantized_product(const Call& call) {
  const Quantization form = quantization_of(call);
  const TensorType w = unpacked_type(call, form, 1);
  const GatheredCall gathered = gathered_call(call, form.operands());
  const DType type = form.is_affine() ? product_type(call, call.dtype(0), w.dtype)
                                      : product_type(call, call.dtype(0), call.dtype(0));
  const auto [inner, columns] = oriented(call, w.shape);
  const Shape& x = call.shape(0);
  multiplied(call, x, inner, w.shape, call.attr<bool>("transpose") ? "last axis" : "last but one");
  return {type, product_shape(gathered.batch, x[x.size() - 2], columns)};
}

}  // namespace quantized
}  // namespace mlxnx::ops
