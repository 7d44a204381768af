// JSON read without trust: the JSON library turns any number into an integer type, cutting
// fractions and wrapping what does not fit, follows any depth of nesting with the stack, and its
// errors speak of itself. All functions throw FormatError.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "files/file_errors.h"
#include "mlxnx/error.h"

namespace mlxnx::files {

/// `value` for an error's text, cut where it is long.
inline std::string shown(const nlohmann::json& value) { return cut(value.dump()); }

/// The member of an object.
inline const nlohmann::json& member(const nlohmann::json& object, const char* key) {
  if (!object.is_object()) throw FormatError(fmt::format("{} is no object", shown(object)));
  const auto found = object.find(key);
  if (found == object.end()) throw FormatError(fmt::format("{} has no {}", shown(object), key));
  return *found;
}

/// `value`, which must be a list.
inline const nlohmann::json& list(const nlohmann::json& value) {
  if (value.is_array()) return value;
  throw FormatError(fmt::format("{} is no list", shown(value)));
}

/// `value`, which must be a text.
inline const std::string& text(const nlohmann::json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>();
  throw FormatError(fmt::format("{} is no text", shown(value)));
}

/// The member of an object, which must be a text.
inline const std::string& text_member(const nlohmann::json& object, const char* key) {
  const nlohmann::json& value = member(object, key);
  if (value.is_string()) return value.get_ref<const std::string&>();
  throw FormatError(fmt::format("{}: {} is no text", key, shown(value)));
}

/// The member of an object, which must be a list.
inline const nlohmann::json& list_member(const nlohmann::json& object, const char* key) {
  const nlohmann::json& value = member(object, key);
  if (value.is_array()) return value;
  throw FormatError(fmt::format("{}: {} is no list", key, shown(value)));
}

/// That member, or an empty list where there is none.
inline nlohmann::json optional_list(const nlohmann::json& object, const char* key) {
  const bool is_absent = object.is_object() && !object.contains(key);
  return is_absent ? nlohmann::json::array() : list_member(object, key);
}

/// `value`, which must be an integer that T holds.
template <typename T>
T integer(const nlohmann::json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (std::in_range<T>(number)) return static_cast<T>(number);
  } else if (value.is_number_integer()) {
    const auto number = value.get<std::int64_t>();
    if (std::in_range<T>(number)) return static_cast<T>(number);
  }
  throw FormatError(fmt::format("{} is not an integer of {} bits", shown(value), 8 * sizeof(T)));
}

constexpr int kMostDepth = 64;

/// How deep the brackets of a JSON text are nested; of any other text, at least as deep as a parser
/// gets in it.
inline int json_depth(std::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool is_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_string) {
      if (c == '\\') ++i;
      if (c == '"') is_string = false;
      continue;
    }
    if (c == '"') is_string = true;
    if (c == '[' || c == '{') deepest = std::max(deepest, ++depth);
    if (c == ']' || c == '}') --depth;
  }
  return deepest;
}

/// The JSON value of `text`, nested at most `most_depth` deep. The library isn't asked for the
/// depth: its parser takes quadratic time when it calls back.
inline nlohmann::json parse_json(std::string_view text, int most_depth = kMostDepth) {
  if (json_depth(text) > most_depth)
    throw FormatError(fmt::format("nested deeper than {}", most_depth));
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    throw FormatError(fmt::format("no JSON from byte {} of {} on", error.byte, text.size()));
  } catch (const nlohmann::json::exception&) {
    throw FormatError("a number in it is larger than any type holds");
  }
}

/// `text`, whose numbers that JSON has no form for, as Python writes them, are
/// `{"__float__": "Infinity"}`, as transformers writes them.
inline std::string with_tagged_floats(std::string_view text) {
  constexpr std::string_view kWords[] = {"Infinity", "-Infinity", "NaN"};
  std::string tagged;
  bool is_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto* word = std::ranges::find_if(
        kWords, [&](std::string_view each) { return text.substr(i).starts_with(each); });
    if (!is_string && word != std::end(kWords)) {
      tagged += fmt::format("{{\"__float__\":\"{}\"}}", *word);
      i += word->size() - 1;
      continue;
    }
    if (text[i] == '"') is_string = !is_string;
    tagged += text[i];
    if (is_string && text[i] == '\\' && i + 1 < text.size()) tagged += text[++i];
  }
  return tagged;
}

/// The same as `parse_json` of JSON as Python writes it. Errors count bytes of what is tagged.
inline nlohmann::json parse_python_json(std::string_view text, int most_depth = kMostDepth) {
  return parse_json(with_tagged_floats(text), most_depth);
}

}  // namespace mlxnx::files
