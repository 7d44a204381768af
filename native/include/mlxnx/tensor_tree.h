// Values that are made of tensors: tensors, numbers, tuples, arrays, vectors, maps, optionals, and
// structs that name their members:
//
//     struct Layer {
//       Tensor weights, bias;
//       MLXNX_MEMBERS(weights, bias)
//     };
//
// `jit` and `while_loop` take and answer them. Only tensors vary from call to call; numbers, sizes
// and keys belong to what is traced.
#pragma once

#include <concepts>
#include <ranges>
#include <tuple>
#include <type_traits>

#include "mlxnx/tensor.h"

/// Inside a struct: the members that hold tensors, or values made of tensors, or numbers.
#define MLXNX_MEMBERS(...)                   \
  template <typename MlxnxVisit>             \
  void visit_members(MlxnxVisit&& v) {       \
    v(__VA_ARGS__);                          \
  }                                          \
  template <typename MlxnxVisit>             \
  void visit_members(MlxnxVisit&& v) const { \
    v(__VA_ARGS__);                          \
  }

namespace mlxnx {

namespace tree {

template <typename T>
concept HasMembers = requires(T& value) {
  value.visit_members([](auto&...) {});
};
template <typename T>
concept TupleLike = requires {
  std::tuple_size<std::remove_cv_t<T>>::value;
};
template <typename T>
concept OptionalLike = requires(T& value) {
  value.has_value();
  *value;
};
template <typename T>
inline constexpr bool kUnknown = false;

}  // namespace tree

/// Calls `on_tensor` with each tensor of `value`, in their order, and `on_fixed` with each number,
/// size and key.
template <typename T, typename OnTensor, typename OnFixed>
void visit_tree(T& value, OnTensor& on_tensor, OnFixed& on_fixed) {
  const auto each = [&](auto&... members) { (visit_tree(members, on_tensor, on_fixed), ...); };
  if constexpr (std::same_as<std::remove_cv_t<T>, Tensor>) {
    on_tensor(value);
  } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
    on_fixed(value);
  } else if constexpr (tree::HasMembers<T>) {
    value.visit_members(each);
  } else if constexpr (std::ranges::sized_range<T>) {
    on_fixed(std::ranges::size(value));
    for (auto& element : value) visit_tree(element, on_tensor, on_fixed);
  } else if constexpr (tree::TupleLike<T>) {
    std::apply(each, value);
  } else if constexpr (tree::OptionalLike<T>) {
    on_fixed(value.has_value());
    if (value.has_value()) visit_tree(*value, on_tensor, on_fixed);
  } else {
    static_assert(tree::kUnknown<T>, "name this struct's members with MLXNX_MEMBERS");
  }
}

/// The tensors of `value`, in their order.
template <typename T>
std::vector<Tensor> tensors_of(const T& value) {
  std::vector<Tensor> tensors;
  auto on_tensor = [&](const Tensor& tensor) { tensors.push_back(tensor); };
  auto on_fixed = [](const auto&) {};
  visit_tree(value, on_tensor, on_fixed);
  return tensors;
}

/// `value` with other tensors in place of its own, in their order.
template <typename T>
T with_tensors(T value, const std::vector<Tensor>& tensors) {
  std::size_t next = 0;
  auto on_tensor = [&](Tensor& tensor) { tensor = tensors.at(next++); };
  auto on_fixed = [](const auto&) {};
  visit_tree(value, on_tensor, on_fixed);
  return value;
}

}  // namespace mlxnx
