// Ops that choose between elements: select and clip.
#include <array>
#include <limits>
#include <optional>
#include <type_traits>
#include <variant>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"
#include "tensor/element.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

// ---- select

OutputTypes infer_select(const Call& call) {
  const Shape choices = broadcast_shapes(call, call.shape(1), call.shape(2));
  const Shape& to = call.rank(0) == 0 ? choices : call.shape(0);
  if (broadcast_shapes(call, choices, to) != to) {
    call.shape_error("cannot broadcast " + to_string(call.shape(1)) + " and " +
                     to_string(call.shape(2)) + " to the shape of the predicate, " + to_string(to));
  }
  return {{merge(call.dtype(1), call.dtype(2)), to}};
}

Array eval_select(const Call& call) {
  const DType type = call.output().dtype;
  return mlxc::where(operand_mask(call, 0), moved_as(call, 1, type), moved_as(call, 2, type));
}

// ---- clip

OutputTypes infer_clip(const Call& call) {
  for (const std::size_t bound : {1, 2}) {
    if (call.rank(bound) == 0) continue;
    call.shape_error(std::string(bound == 1 ? "min" : "max") + " must be a scalar, got shape " +
                     to_string(call.shape(bound)));
  }
  for (std::size_t i = 0; i < call.size(); ++i) {
    if (is_complex(call.dtype(i)))
      call.type_error("complex numbers have no order, got " + to_string(call.type(i)));
  }
  return {{types::merged(call), call.shape(0)}};
}

// Operand `i` in the type that is compared in; u64 saturates where it meets signed types, because
// wrapping would change its place in the order.
Array ordered_as(const Call& call, std::size_t i, DType type) {
  if (call.dtype(i) != DType::u64 || !is_signed_integer(type)) return operand_as(call, i, type);
  const Array limit = mlxc::scalar(std::numeric_limits<std::int64_t>::max(), DType::u64);
  return convert(mlxc::minimum(operand(call, i), limit), DType::u64, type);
}

// Whether min is less than max, where the call knows both.
std::optional<bool> known_order(const Call& call) {
  const auto value = [&call](std::size_t i) {
    const auto* bytes = static_cast<const std::byte*>(call.operands[i].known_data);
    return std::visit(
        [](auto number) {
          if constexpr (std::is_arithmetic_v<decltype(number)>) {
            return static_cast<double>(number);
          } else {
            return number.real();
          }
        },
        tensors::decode(call.dtype(i), bytes));
  };
  if (call.operands[1].known_data == nullptr || call.operands[2].known_data == nullptr)
    return std::nullopt;
  return value(1) < value(2);
}

// What becomes of NaN and of everything below: `low` unless `high` comes first or is no number. A
// NaN is neither above `low` nor below `high` in Nx, where MLX's maximum and minimum keep it.
Array lowest_result(const Call& call, const Array& low, const Array& high) {
  if (const auto ordered = known_order(call)) return Array::view(*ordered ? low : high);
  return mlxc::where(mlxc::less(low, high), low, high);
}

Array eval_clip(const Call& call) {
  const DType type = types::merged(call);
  const Array x = ordered_as(call, 0, type);
  const Array low = ordered_as(call, 1, type);
  const Array high = ordered_as(call, 2, type);
  if (is_integer(type)) return mlxc::minimum(mlxc::maximum(x, low), high);
  const Array lowest = lowest_result(call, low, high);
  return mlxc::where(mlxc::isnan(x), lowest, mlxc::minimum(mlxc::maximum(x, lowest), high));
}

OpDef selection(std::string_view name, InferFn infer, EvalFn eval, std::string_view doc) {
  return {.name = name,
          .group = Group::kIndexing,
          .min_operands = 3,
          .max_operands = 3,
          .attrs = {},
          .infer = infer,
          .eval = eval,
          .doc = doc};
}

const std::array kSelectionOps = {
    selection("clip", infer_clip, eval_clip,
              "Each element limited to a closed range; NaN becomes the lower bound."),
    selection("select", infer_select, eval_select,
              "Elements of the second tensor where the first is not zero, else of the third."),
};

}  // namespace

std::span<const OpDef> selection_ops() { return kSelectionOps; }

}  // namespace mlxnx::ops
