#include "program/attrs_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <limits>
#include <type_traits>

#include "files/json_values.h"
#include "mlxnx/error.h"

namespace mlxnx::program {
namespace {

using files::integer;
using files::member;
using files::shown;
using files::text;

using nlohmann::json;
using ops::AttrDef;
using ops::AttrKind;
using ops::AttrValue;

[[noreturn]] void refuse(const json& value, std::string_view wanted) {
  throw FormatError(fmt::format("{} is not of the kind {}", shown(value), wanted));
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
  if (value.is_object())
    return std::complex<double>(real(member(value, "re")), real(member(value, "im")));
  return real(value);
}

template <std::size_t N>
std::vector<std::array<std::int64_t, N>> tuples(const json& value) {
  std::vector<std::array<std::int64_t, N>> result;
  for (const json& entry : value) {
    if (!entry.is_array() || entry.size() != N)
      throw FormatError(fmt::format("{} is not a list of {} integers", shown(entry), N));
    auto& tuple = result.emplace_back();
    for (std::size_t i = 0; i < N; ++i) tuple[i] = integer<std::int64_t>(entry[i]);
  }
  return result;
}

std::vector<ops::Start> starts(const json& value) {
  std::vector<ops::Start> result;
  for (const json& entry : value) {
    if (entry.is_object()) {
      result.emplace_back(ops::DynamicStart{integer<std::int64_t>(member(entry, "operand"))});
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

std::vector<double> reals(const json& value) {
  std::vector<double> result;
  for (const json& entry : value) result.push_back(real(entry));
  return result;
}

AttrValue value_of_kind(const json& value, AttrKind kind) {
  if (value.is_null()) return std::monostate{};
  const bool list_wanted = kind == AttrKind::kInts || kind == AttrKind::kPairs ||
                           kind == AttrKind::kTriples || kind == AttrKind::kStarts ||
                           kind == AttrKind::kFloats;
  if (list_wanted && !value.is_array()) refuse(value, name(kind));
  switch (kind) {
    case AttrKind::kBool:
      if (!value.is_boolean()) break;
      return value.get<bool>();
    case AttrKind::kInt:
      return integer<std::int64_t>(value);
    case AttrKind::kFloat:
      return real(value);
    case AttrKind::kNumber:
      return number(value);
    case AttrKind::kString:
      return text(value);
    case AttrKind::kType:
      return dtype_from_name(text(value));
    case AttrKind::kInts:
      return ints(value);
    case AttrKind::kPairs:
      return tuples<2>(value);
    case AttrKind::kTriples:
      return tuples<3>(value);
    case AttrKind::kStarts:
      return starts(value);
    case AttrKind::kFloats:
      return reals(value);
    case AttrKind::kNil:
    case AttrKind::kFunction:
      break;
  }
  refuse(value, name(kind));
}

json from_real(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "infinity" : "neg_infinity";
  return value;
}

struct ToJson {
  json operator()(std::monostate) const { return nullptr; }
  json operator()(bool value) const { return value; }
  json operator()(std::int64_t value) const { return value; }
  json operator()(double value) const { return from_real(value); }
  json operator()(const std::string& value) const { return value; }
  json operator()(DType value) const { return name(value); }
  json operator()(const Axes& value) const { return std::vector(value.begin(), value.end()); }
  template <std::size_t N>
  json operator()(const std::vector<std::array<std::int64_t, N>>& value) const {
    return value;
  }
  json operator()(const std::vector<double>& values) const {
    json result = json::array();
    for (const double value : values) result.push_back(from_real(value));
    return result;
  }
  json operator()(const Number& value) const {
    return std::visit(
        [](const auto& number) -> json {
          using T = std::decay_t<decltype(number)>;
          if constexpr (std::is_same_v<T, std::complex<double>>) {
            return {{"re", from_real(number.real())}, {"im", from_real(number.imag())}};
          } else if constexpr (std::is_same_v<T, double>) {
            return from_real(number);
          } else {
            return number;
          }
        },
        value);
  }
  json operator()(const std::vector<ops::Start>& starts) const {
    json result = json::array();
    for (const ops::Start& start : starts) {
      if (const auto* operand = std::get_if<ops::DynamicStart>(&start)) {
        result.push_back({{"operand", operand->operand}});
      } else {
        result.push_back(std::get<std::int64_t>(start));
      }
    }
    return result;
  }
  json operator()(const std::shared_ptr<const ops::Function>&) const {
    throw ArgumentError("[program] a function is not a value that a file can hold");
  }
};

// For a name outside the schema: the op refuses it whatever it holds.
AttrValue value_of_any_kind(const json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  return std::monostate{};
}

}  // namespace

ops::Attrs attrs_from_json(const json& values, std::span<const AttrDef> schema) {
  ops::Attrs attrs;
  for (const auto& [name, value] : values.items()) {
    const auto def = std::find_if(schema.begin(), schema.end(),
                                  [&name = name](const AttrDef& row) { return row.name == name; });
    try {
      attrs.set(name,
                def == schema.end() ? value_of_any_kind(value) : value_of_kind(value, def->kind));
    } catch (const FormatError& error) {
      throw FormatError(fmt::format("the attribute {}: {}", name, error.what()));
    }
  }
  return attrs;
}

ops::Attrs attrs_from_json(const json& values, std::span<const AttrDef> schema,
                           const TensorType& output) {
  ops::Attrs attrs = attrs_from_json(values, schema);
  for (const AttrDef& def : schema) {
    if (attrs.find(def.name) != nullptr) continue;
    if (def.name == "type" && def.kind == AttrKind::kType) attrs.set(def.name, output.dtype);
    if (def.name == "shape" && def.kind == AttrKind::kInts) {
      attrs.set(def.name, Axes(output.shape.begin(), output.shape.end()));
    }
  }
  return attrs;
}

json attrs_to_json(const ops::Attrs& attrs) {
  json values = json::object();
  for (const auto& [name, value] : attrs.entries()) values[name] = std::visit(ToJson(), value);
  return values;
}

}  // namespace mlxnx::program
