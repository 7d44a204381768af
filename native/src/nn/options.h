// Structs of options as schemas: the members that a struct names with MLXNX_MEMBERS, with the
// values that they have in a new one as defaults, are written once for C++ and for those who have
// only names. A member that is `kRequired`, or an empty list, has to be given.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "mlxnx/error.h"
#include "mlxnx/nn/layer.h"
#include "ops/attrs.h"

namespace mlxnx::nn {

/// The names of an enumeration's values, as `values`, which is specialised where it is used.
template <typename Enum>
struct EnumNames;

namespace options {

template <typename T>
struct Kind;
template <ops::AttrKind the_kind, typename Held>
struct KindOf {
  static constexpr ops::AttrKind kind = the_kind;
  using Value = Held;
};
template <>
struct Kind<bool> : KindOf<ops::AttrKind::kBool, bool> {};
template <>
struct Kind<std::int64_t> : KindOf<ops::AttrKind::kInt, std::int64_t> {};
template <>
struct Kind<double> : KindOf<ops::AttrKind::kFloat, double> {};
template <>
struct Kind<std::string> : KindOf<ops::AttrKind::kString, std::string> {};
template <>
struct Kind<DType> : KindOf<ops::AttrKind::kType, DType> {};
template <>
struct Kind<PerAxis> : KindOf<ops::AttrKind::kInts, Axes> {};
template <>
struct Kind<PerAxisFactor> : KindOf<ops::AttrKind::kFloats, std::vector<double>> {};
template <std::size_t count>
struct Kind<std::array<double, count>> : KindOf<ops::AttrKind::kFloats, std::vector<double>> {};
template <typename Enum>
requires std::is_enum_v<Enum>
struct Kind<Enum> : KindOf<ops::AttrKind::kString, std::string> {
};
template <typename T>
struct Kind<std::optional<T>> : Kind<T> {};

template <typename T>
std::optional<ops::AttrValue> default_of(const T& value) {
  if constexpr (tree::OptionalLike<T>) {
    return value.has_value() ? default_of(*value) : std::nullopt;
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    return value == kRequired ? std::nullopt : std::optional<ops::AttrValue>(value);
  } else if constexpr (std::is_same_v<T, PerAxis> || std::is_same_v<T, PerAxisFactor>) {
    return value.values.empty() ? std::nullopt : std::optional<ops::AttrValue>(value.values);
  } else if constexpr (tree::TupleLike<T>) {
    return std::vector<double>(value.begin(), value.end());
  } else if constexpr (std::is_enum_v<T> && !std::is_same_v<T, DType>) {
    return std::string(EnumNames<T>::values.at(static_cast<std::size_t>(value)));
  } else if constexpr (std::is_same_v<T, typename Kind<T>::Value>) {
    return value;
  } else {
    return std::nullopt;  // more than the value of an option, which can't be read from it
  }
}

template <typename T>
void assign(T& member, const ops::Attrs& attrs, std::string_view name, std::string_view owner) {
  using Held = typename Kind<T>::Value;
  const Held* const given = attrs.get_if<Held>(name);
  if (given == nullptr) return;
  if constexpr (std::is_enum_v<T> && !std::is_same_v<T, DType>) {
    const auto& names = EnumNames<T>::values;
    const auto found = std::find(names.begin(), names.end(), *given);
    if (found == names.end()) {
      std::string text =
          "[" + std::string(owner) + "] " + std::string(name) + " is \"" + *given + "\"; it can be";
      for (const std::string_view known : names)
        text += (known == names.front() ? " " : ", ") + std::string(known);
      throw ArgumentError(text);
    }
    member = static_cast<T>(found - names.begin());
  } else if constexpr (tree::TupleLike<T>) {
    if (given->size() != member.size())
      throw ArgumentError("[" + std::string(owner) + "] " + std::string(name) + " are " +
                          std::to_string(member.size()) + " numbers, got " +
                          std::to_string(given->size()));
    std::copy(given->begin(), given->end(), member.begin());
  } else {
    member = T(*given);
  }
}

}  // namespace options

/// The options of a struct.
template <typename Options>
std::span<const ops::AttrDef> schema_of() {
  // Never destroyed: other threads may be making layers while the process exits.
  static const auto& rows = *[] {
    static const auto& names =
        *new std::vector<std::string>(tree::split_names(Options::member_names()));
    auto* const all = new std::vector<ops::AttrDef>();
    const auto one = [all]<typename T>(const T& member) {
      all->push_back({.name = names.at(all->size()),
                      .kind = options::Kind<T>::kind,
                      .fallback = options::default_of(member),
                      .optional = tree::OptionalLike<T>});
    };
    Options().visit_members([&](const auto&... members) { (one(members), ...); });
    return all;
  }();
  return rows;
}

/// The struct from options that are complete. `owner` is named in errors.
template <typename Options>
Options options_from(const ops::Attrs& attrs, std::string_view owner) {
  Options result;
  const auto schema = schema_of<Options>();
  std::size_t next = 0;
  result.visit_members([&](auto&... members) {
    (options::assign(members, attrs, schema[next++].name, owner), ...);
  });
  return result;
}

/// Throws: ArgumentError where a number is not given, or is less than `least`.
inline std::int64_t at_least(std::int64_t least, std::int64_t value, std::string_view name,
                             std::string_view owner) {
  if (value >= least) return value;
  throw ArgumentError(
      "[" + std::string(owner) + "] " + std::string(name) +
      (value == kRequired
           ? " has to be given"
           : " is " + std::to_string(value) + ", it has to be at least " + std::to_string(least)));
}

}  // namespace mlxnx::nn
