#include "replay/json_fields.h"

#include <fmt/format.h>

#include "mlxnx/error.h"
#include "program/json_values.h"

namespace mlxnx::cli {
namespace {

using nlohmann::json;

[[noreturn]] void refuse(const char* name, const json& value, const char* wanted) {
  throw FormatError(fmt::format("{} is a JSON {}, not a {}", name, value.type_name(), wanted));
}

}  // namespace

json json_of(std::string_view text) {
  try {
    return program::parse_json(text);
  } catch (const json::parse_error& error) {
    throw FormatError(fmt::format("no JSON, at byte {}", error.byte));
  }
}

const json& member(const json& object, const char* name) {
  if (!object.is_object())
    throw FormatError(
        fmt::format("a JSON {} where an object with {} belongs", object.type_name(), name));
  const auto found = object.find(name);
  if (found == object.end()) throw FormatError(fmt::format("{} is missing", name));
  return *found;
}

std::string text_member(const json& object, const char* name) {
  const json& value = member(object, name);
  if (!value.is_string()) refuse(name, value, "text");
  return value.get<std::string>();
}

const json& list_member(const json& object, const char* name) {
  const json& value = member(object, name);
  if (!value.is_array()) refuse(name, value, "list");
  return value;
}

json optional_list(const json& object, const char* name) {
  return object.is_object() && !object.contains(name) ? json::array() : list_member(object, name);
}

}  // namespace mlxnx::cli
