#include <algorithm>

#include "transforms/algebra.h"
#include "transforms/batch.h"

namespace mlxnx::transforms {
namespace {

using Tensors = std::vector<Tensor>;

bool is_any_mapped(const BatchCall& call, std::size_t first, std::size_t last) {
  for (std::size_t i = first; i < last; ++i) {
    if (call.in[i].is_mapped) return true;
  }
  return false;
}

// Each row of weights stands for itself; a global scale stands for all.
template <std::size_t parts(const BatchCall& call)>
Tensors rows_rule(const BatchCall& call) {
  const std::size_t count = parts(call);
  if (is_any_mapped(call, count, call.in.size())) return one_by_one(call);
  Tensors operands;
  for (std::size_t i = 0; i < call.in.size(); ++i)
    operands.push_back(i < count ? call.mapped(i) : call.in[i].tensor);
  return emit_mapped(call, operands, call.instruction.attrs);
}

std::size_t one(const BatchCall&) { return 1; }
std::size_t packed(const BatchCall& call) {
  return call.attr<std::string>("mode") == "affine" ? 3 : 2;
}

// The operand with the axis of examples, and behind it ones up to `rank` axes of its own.
Tensor with_ones_in_front(const BatchCall& call, std::size_t i, std::size_t rank) {
  const Shape own = call.shape(i);
  Shape shape(rank - own.size(), 1);
  shape.insert(shape.end(), own.begin(), own.end());
  return reshape(call.mapped(i), with_first(call.size, shape));
}

// Examples are more of the axes that broadcast.
Tensors product_rule(const BatchCall& call) {
  const bool is_right_mapped = is_any_mapped(call, 1, call.in.size());
  const std::size_t x = call.rank(0), w = call.rank(1);
  const bool is_one_matrix = !is_right_mapped && w == 2;
  if (x < 2 && !is_one_matrix) return one_by_one(call);
  const std::size_t rank = is_one_matrix ? x : std::max(x, w);
  Tensors operands{call.in[0].is_mapped ? with_ones_in_front(call, 0, rank) : call.in[0].tensor};
  for (std::size_t i = 1; i < call.in.size(); ++i)
    operands.push_back(is_right_mapped ? with_ones_in_front(call, i, rank) : call.in[i].tensor);
  return emit_mapped(call, operands, call.instruction.attrs);
}

}  // namespace

std::span<const BatchRule> quantization_batch_rules() {
  static const std::vector<BatchRule> rules = {{"fast:quantize", rows_rule<one>},
                                               {"fast:dequantize", rows_rule<packed>},
                                               {"fast:quantized_dot", product_rule}};
  return rules;
}

}  // namespace mlxnx::transforms
