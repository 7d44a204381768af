// Keyword lists of options as C++ values, by tables: a row for each option says its name, where its
// value goes and how it is read.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "files/nearest.h"
#include "mlxnx/error.h"
#include "nif/codec.h"

namespace mlxnx::nif {

template <typename Options>
struct OptionRow {
  std::string_view name;
  std::uint8_t groups;  ///< of callers that know it, a bit each
  void (*set)(ErlNifEnv*, Term, Options&);
};

/// Reads a value by the type of its place.
struct Plain {
  template <typename T>
  static T read(ErlNifEnv* env, Term term) {
    return decode<T>(env, term);
  }
};

/// A text that is there, since none at all would stand for no option.
struct SomeText {
  template <typename>
  static std::string read(ErlNifEnv* env, Term term) {
    std::string text = enif_is_binary(env, term) ? decode<std::string>(env, term) : "";
    if (text.empty()) throw_unexpected(term, "a text");
    return text;
  }
};

namespace detail {

template <typename T>
struct Inner {
  using Type = T;
};
template <typename T>
struct Inner<std::optional<T>> {
  using Type = T;
};

}  // namespace detail

/// Puts what the term says, as `Reader` reads it, to the member of a member and so on that
/// `members` lead to.
template <typename Options, typename Reader, auto... members>
void set_member(ErlNifEnv* env, Term term, Options& options) {
  auto& place = (options.*....*members);
  using Value = detail::Inner<std::remove_reference_t<decltype(place)>>::Type;
  place = Reader::template read<Value>(env, term);
}

/// The options of a keyword list; nil stands for the default. Throws: ArgumentError for an option
/// that there is not in these groups, with the nearest one, and for values that are none of its.
template <typename Options>
Options decode_options(ErlNifEnv* env, Term list, std::span<const OptionRow<Options>> table,
                       std::uint8_t groups = 0xFF) {
  const auto row_of = [&](std::string_view name) -> const OptionRow<Options>& {
    std::vector<std::string_view> names;
    for (const auto& row : table) {
      if ((row.groups & groups) == 0) continue;
      if (row.name == name) return row;
      names.push_back(row.name);
    }
    throw ArgumentError(
        fmt::format("there is no option :{}{}", name, files::nearest_hint(name, names)));
  };
  Options options;
  Term head, tail = list;
  while (enif_get_list_cell(env, tail, &head, &tail)) {
    const auto pair = decode_tuple(env, head, 2, "an option with its value");
    const OptionRow<Options>& row = row_of(decode<std::string>(env, pair[0]));
    if (pair[1] == atoms.nil) continue;
    try {
      row.set(env, pair[1], options);
    } catch (const ArgumentError& error) {
      throw ArgumentError(fmt::format(":{}: {}", row.name, error.what()));
    }
  }
  if (!enif_is_empty_list(env, tail)) throw_unexpected(list, "a list of options");
  return options;
}

}  // namespace mlxnx::nif
