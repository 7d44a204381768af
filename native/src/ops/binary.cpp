// Element-wise ops of two operands that broadcast.
#include <array>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

template <Array (*function)(const Array&, const Array&)>
Array in_output_type(const Call& call) {
  const DType type = call.output().dtype;
  return function(operand_as(call, 0, type), operand_as(call, 1, type));
}

constexpr InferFn kMerged = infer<shapes::broadcast, types::merged>;

OpDef binary(std::string_view name, InferFn infer, EvalFn eval, std::string_view doc) {
  return {.name = name,
          .group = Group::kBinary,
          .min_operands = 2,
          .max_operands = 2,
          .attrs = {},
          .infer = infer,
          .eval = eval,
          .doc = doc};
}

const std::array kOps = {
    binary("add", kMerged, in_output_type<mlxc::add>,
           "Sum of two tensors, element by element; integers wrap."),
};

}  // namespace

std::span<const OpDef> binary_ops() { return kOps; }

}  // namespace mlxnx::ops
