#include "replay/attrs_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "mlxnx/error.h"
#include "replay/json_values.h"

namespace mlxnx::cli {
namespace {

using nlohmann::json;
using ops::AttrDef;
using ops::AttrKind;
using ops::AttrValue;

[[noreturn]] void refuse(const json& value, std::string_view wanted) {
  throw FormatError(fmt::format("{} is not of the kind {}", value.dump(), wanted));
}

// A float, which JSON can't write where it is not finite.
double real(const json& value) {
  if (value.is_number()) return value.get<double>();
  if (value == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (value == "infinity") return std::numeric_limits<double>::infinity();
  if (value == "neg_infinity") return -std::numeric_limits<double>::infinity();
  refuse(value, "number");
}

Number number(const json& value) {
  if (value.is_number_unsigned() &&
      value.get<std::uint64_t>() >
          static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return value.get<std::uint64_t>();
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_object()) return std::complex<double>(real(value.at("re")), real(value.at("im")));
  return real(value);
}

template <std::size_t N>
std::vector<std::array<std::int64_t, N>> tuples(const json& value) {
  std::vector<std::array<std::int64_t, N>> result;
  for (const json& entry : value) {
    if (!entry.is_array() || entry.size() != N)
      throw FormatError(fmt::format("{} is not a list of {} integers", entry.dump(), N));
    auto& tuple = result.emplace_back();
    for (std::size_t i = 0; i < N; ++i) tuple[i] = integer<std::int64_t>(entry[i]);
  }
  return result;
}

std::vector<ops::Start> starts(const json& value) {
  std::vector<ops::Start> result;
  for (const json& entry : value) {
    if (entry.is_object()) {
      result.emplace_back(ops::DynamicStart{integer<std::int64_t>(entry.at("operand"))});
    } else {
      result.emplace_back(integer<std::int64_t>(entry));
    }
  }
  return result;
}

Axes ints(const json& value) {
  Axes result;
  for (const json& entry : value) result.push_back(integer<std::int64_t>(entry));
  return result;
}

AttrValue value_of_kind(const json& value, AttrKind kind) {
  if (value.is_null()) return std::monostate{};
  const bool list_wanted = kind == AttrKind::kInts || kind == AttrKind::kPairs ||
                           kind == AttrKind::kTriples || kind == AttrKind::kStarts;
  if (list_wanted && !value.is_array()) refuse(value, name(kind));
  switch (kind) {
    case AttrKind::kBool:
      return value.get<bool>();
    case AttrKind::kInt:
      return integer<std::int64_t>(value);
    case AttrKind::kFloat:
      return real(value);
    case AttrKind::kNumber:
      return number(value);
    case AttrKind::kString:
      return value.get<std::string>();
    case AttrKind::kType:
      return dtype_from_name(value.get<std::string>());
    case AttrKind::kInts:
      return ints(value);
    case AttrKind::kPairs:
      return tuples<2>(value);
    case AttrKind::kTriples:
      return tuples<3>(value);
    case AttrKind::kStarts:
      return starts(value);
    case AttrKind::kNil:
    case AttrKind::kFunction:
      break;
  }
  refuse(value, name(kind));
}

// For a name outside the schema: the op refuses it whatever it holds.
AttrValue value_of_any_kind(const json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  return std::monostate{};
}

}  // namespace

ops::Attrs attrs_from_json(const json& values, std::span<const AttrDef> schema,
                           const TensorType& output) {
  ops::Attrs attrs;
  for (const auto& [name, value] : values.items()) {
    const auto def = std::find_if(schema.begin(), schema.end(),
                                  [&name = name](const AttrDef& row) { return row.name == name; });
    try {
      attrs.set(name,
                def == schema.end() ? value_of_any_kind(value) : value_of_kind(value, def->kind));
    } catch (const json::exception& error) {
      throw FormatError(
          fmt::format("the attribute {} is {}: {}", name, value.dump(), error.what()));
    } catch (const FormatError& error) {
      throw FormatError(fmt::format("the attribute {}: {}", name, error.what()));
    }
  }
  for (const AttrDef& def : schema) {
    if (attrs.find(def.name) != nullptr) continue;
    if (def.name == "type" && def.kind == AttrKind::kType) attrs.set(def.name, output.dtype);
    if (def.name == "shape" && def.kind == AttrKind::kInts) {
      attrs.set(def.name, Axes(output.shape.begin(), output.shape.end()));
    }
  }
  return attrs;
}

}  // namespace mlxnx::cli
