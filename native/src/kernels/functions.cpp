// What functions of single elements are called, take and answer.
#include <algorithm>
#include <iterator>

#include "kernels/elementwise.h"

namespace mlxnx::kernels {
namespace {

constexpr std::string_view kNames[] = {
#define MLXNX_UNARY(name) #name,
#define MLXNX_BINARY(name) #name,
#include "kernels/functions.def"
#undef MLXNX_UNARY
#undef MLXNX_BINARY
};

constexpr Function kFirstBinary = Function::k_add;

}  // namespace

std::optional<Function> function_named(std::string_view name) {
  const auto* const found = std::ranges::find(kNames, name);
  if (found == std::end(kNames)) return std::nullopt;
  return static_cast<Function>(found - std::begin(kNames));
}

int operand_count(Function function) {
  if (function == Function::k_select) return 3;
  return function == Function::k_cast || function < kFirstBinary ? 1 : 2;
}

Type result_type(Function function, Type type) {
  using enum Function;
  switch (function) {
    case k_equal:
    case k_greater:
    case k_greater_equal:
    case k_isfinite:
    case k_isinf:
    case k_isnan:
    case k_less:
    case k_less_equal:
    case k_logical_and:
    case k_logical_not:
    case k_logical_or:
    case k_not_equal:
      return Type::kBool;
    default:
      return type;
  }
}

}  // namespace mlxnx::kernels
