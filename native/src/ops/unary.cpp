// Element-wise ops of one operand.
#include <array>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

// Applies one MLX op after casting the operand to the output's type.
template <Array (*function)(const Array&)>
Array in_output_type(const Call& call) {
  return function(operand_as(call, 0, call.output().dtype));
}

constexpr InferFn kFloating = infer<shapes::same, types::floating>;

OpDef unary(std::string_view name, InferFn infer, EvalFn eval, std::string_view doc) {
  return {.name = name,
          .group = Group::kUnary,
          .min_operands = 1,
          .max_operands = 1,
          .attrs = {},
          .infer = infer,
          .eval = eval,
          .doc = doc};
}

const std::array kOps = {
    unary("cos", kFloating, in_output_type<mlxc::cos>, "Cosine of each element, in radians."),
    unary("exp", kFloating, in_output_type<mlxc::exp>, "Exponential of each element."),
    unary("sigmoid", kFloating, in_output_type<mlxc::sigmoid>,
          "Logistic function, 1 / (1 + exp(-x)), of each element."),
};

}  // namespace

std::span<const OpDef> unary_ops() { return kOps; }

}  // namespace mlxnx::ops
