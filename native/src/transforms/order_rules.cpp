#include "transforms/algebra.h"
#include "transforms/rules.h"

namespace mlxnx::transforms {
namespace {

// By stable positions, in either direction.
Linears sort_forward(const Application& call, std::span<const Linear> tangents) {
  const auto axis = call.attr<std::int64_t>("axis");
  const Direction direction =
      call.attr<std::string>("direction") == "asc" ? Direction::kAscending : Direction::kDescending;
  const Tensor places = argsort(call.in[0], {.axis = axis, .direction = direction});
  return {take_along_axis(*tangents[0], places, {.axis = axis})};
}

Linears top_k_forward(const Application& call, std::span<const Linear> tangents) {
  return {take_along_axis(*tangents[0], call.out[1], {.axis = -1}), std::nullopt};
}

}  // namespace

std::span<const Rule> order_rules() {
  static const std::vector<Rule> rules = {
      forward("sort", sort_forward),
      zero("argsort"),
      forward("block:TopK", top_k_forward),
  };
  return rules;
}

}  // namespace mlxnx::transforms
