// Values that are made of tensors: tensors, numbers, tuples, arrays, vectors, maps, optionals,
// variants, and structs that name their members:
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
#include <string>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

#include "mlxnx/tensor.h"

/// Inside a struct: the members that hold tensors, or values made of tensors, or numbers.
#define MLXNX_MEMBERS(...)                                             \
  static constexpr const char* member_names() { return #__VA_ARGS__; } \
  template <typename MlxnxVisit>                                       \
  void visit_members(MlxnxVisit&& v) {                                 \
    v(__VA_ARGS__);                                                    \
  }                                                                    \
  template <typename MlxnxVisit>                                       \
  void visit_members(MlxnxVisit&& v) const {                           \
    v(__VA_ARGS__);                                                    \
  }

/// The same for a struct that is a part of another one's: its members are named as if they were
/// that one's own, "weight" rather than "part.weight".
#define MLXNX_INLINE_MEMBERS(...)                  \
  static constexpr bool has_inline_members = true; \
  MLXNX_MEMBERS(__VA_ARGS__)

namespace mlxnx {

namespace tree {

template <typename T>
concept HasInlineMembers = T::has_inline_members;

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
concept VariantLike = requires {
  std::variant_size<std::remove_cv_t<T>>::value;
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
  } else if constexpr (tree::VariantLike<T>) {
    on_fixed(value.index());
    std::visit(each, value);
  } else {
    static_assert(tree::kUnknown<T>, "name this struct's members with MLXNX_MEMBERS");
  }
}

namespace tree {

template <typename T>
concept MapLike = requires {
  typename std::remove_cv_t<T>::mapped_type;
};

/// The names in "weights, bias".
std::vector<std::string> split_names(const char* names);

template <typename Key>
std::string text_of(const Key& key) {
  if constexpr (std::is_arithmetic_v<Key>) {
    return std::to_string(key);
  } else {
    return std::string(key);
  }
}

}  // namespace tree

/// Calls `on_tensor` with the name and each tensor of `value`, in the order of `visit_tree`. A name
/// is the path to the tensor: members by their names, elements of tuples and lists by their number,
/// those of maps by their key, with dots between: "layers.0.weight"; what optionals and variants
/// hold by the name of these. Empty for a tensor alone.
template <typename T, typename OnTensor>
void visit_named(T& value, OnTensor& on_tensor, const std::string& path = "") {
  const auto below = [&path](const std::string& name) {
    return path.empty() ? name : path + "." + name;
  };
  std::size_t number = 0;
  const auto each = [&](auto&... elements) {
    (visit_named(elements, on_tensor, below(std::to_string(number++))), ...);
  };
  if constexpr (std::same_as<std::remove_cv_t<T>, Tensor>) {
    on_tensor(path, value);
  } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
    return;
  } else if constexpr (tree::HasMembers<T>) {
    const std::vector<std::string> names = tree::split_names(std::remove_cv_t<T>::member_names());
    const auto one = [&]<typename Member>(Member& member) {
      const std::string& name = names.at(number++);
      visit_named(member, on_tensor,
                  tree::HasInlineMembers<std::remove_cv_t<Member>> ? path : below(name));
    };
    value.visit_members([&](auto&... members) { (one(members), ...); });
  } else if constexpr (tree::MapLike<T>) {
    for (auto& [key, element] : value) visit_named(element, on_tensor, below(tree::text_of(key)));
  } else if constexpr (std::ranges::sized_range<T>) {
    for (auto& element : value) each(element);
  } else if constexpr (tree::TupleLike<T>) {
    std::apply(each, value);
  } else if constexpr (tree::OptionalLike<T>) {
    if (value.has_value()) visit_named(*value, on_tensor, path);
  } else if constexpr (tree::VariantLike<T>) {
    std::visit([&](auto& held) { visit_named(held, on_tensor, path); }, value);
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
