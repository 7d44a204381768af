// Members of JSON objects that may be anything, with errors in words of our own.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace mlxnx::cli {

/// The JSON value of `text`.
/// Throws: FormatError where it is none, or nested too deep.
nlohmann::json json_of(std::string_view text);

/// Member `name` of an object.
/// Throws: FormatError when `object` is none, or has no such member.
const nlohmann::json& member(const nlohmann::json& object, const char* name);

/// That member, which must be a text.
std::string text_member(const nlohmann::json& object, const char* name);

/// That member, which must be a list.
const nlohmann::json& list_member(const nlohmann::json& object, const char* name);

/// That member, or an empty list where there is none.
nlohmann::json optional_list(const nlohmann::json& object, const char* name);

}  // namespace mlxnx::cli
