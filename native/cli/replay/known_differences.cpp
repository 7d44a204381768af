#include "replay/known_differences.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "files/json_values.h"
#include "mlxnx/error.h"
#include "tensor/element.h"

namespace mlxnx::cli {
namespace {

using nlohmann::json;
using Tensors = std::vector<GoldenTensor>;

// `wanted` is a string or a list of strings.
bool is_or_contains(const json& wanted, std::string_view text) {
  if (wanted.is_array())
    return std::any_of(wanted.begin(), wanted.end(),
                       [&](const json& entry) { return entry == text; });
  return wanted == text;
}

bool tensor_matches(const json& wanted, const GoldenTensor& tensor) {
  if (wanted.is_null()) return true;
  if (wanted.contains("type") && !is_or_contains(wanted["type"], name(tensor.type.dtype)))
    return false;
  if (!wanted.contains("shape")) return true;
  const json& shape = wanted["shape"];
  return std::equal(shape.begin(), shape.end(), tensor.type.shape.begin(), tensor.type.shape.end());
}

bool tensors_match(const json& wanted, const Tensors& tensors) {
  if (wanted.size() > tensors.size()) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!tensor_matches(wanted[i], tensors[i])) return false;
  }
  return true;
}

bool some_type_matches(const json& wanted, const Tensors& tensors) {
  return std::any_of(tensors.begin(), tensors.end(), [&](const GoldenTensor& tensor) {
    return is_or_contains(wanted, name(tensor.type.dtype));
  });
}

bool number_is(const json& wanted, double value) {
  return (std::isnan(value) && is_or_contains(wanted, "nan")) ||
         (std::isinf(value) && is_or_contains(wanted, "infinity"));
}

bool holds(const json& wanted, const GoldenTensor& tensor) {
  const std::size_t step = size_bytes(tensor.type.dtype);
  for (std::size_t at = 0; at < tensor.bytes.size(); at += step) {
    const Number value = tensors::decode(tensor.type.dtype, tensor.bytes.data() + at);
    if (const auto* real = std::get_if<double>(&value)) {
      if (number_is(wanted, *real)) return true;
    } else if (const auto* complex = std::get_if<std::complex<double>>(&value)) {
      if (number_is(wanted, complex->real()) || number_is(wanted, complex->imag())) return true;
    }
  }
  return false;
}

bool attrs_match(const json& wanted, const json& attrs) {
  for (const auto& [name, value] : wanted.items()) {
    if (!attrs.contains(name) || attrs[name] != value) return false;
  }
  return true;
}

using Matches = bool (*)(const json& wanted, const GoldenCase& golden);

struct Field {
  std::string_view name;
  Matches matches;
};

constexpr std::array kFields = {
    Field{"op", [](const json& w, const GoldenCase& c) { return is_or_contains(w, c.op); }},
    Field{"attrs", [](const json& w, const GoldenCase& c) { return attrs_match(w, c.attrs); }},
    Field{"in", [](const json& w, const GoldenCase& c) { return tensors_match(w, c.inputs); }},
    Field{"out", [](const json& w, const GoldenCase& c) { return tensors_match(w, c.outputs); }},
    Field{"in_type",
          [](const json& w, const GoldenCase& c) { return some_type_matches(w, c.inputs); }},
    Field{"out_type",
          [](const json& w, const GoldenCase& c) { return some_type_matches(w, c.outputs); }},
    Field{"in_has",
          [](const json& w, const GoldenCase& c) {
            return std::any_of(c.inputs.begin(), c.inputs.end(),
                               [&](const GoldenTensor& tensor) { return holds(w, tensor); });
          }},
    Field{"case", [](const json& w, const GoldenCase& c) { return is_or_contains(w, case_id(c)); }},
};

const Field* find_field(std::string_view name) {
  const auto* field = std::find_if(kFields.begin(), kFields.end(),
                                   [&](const Field& row) { return row.name == name; });
  return field == kFields.end() ? nullptr : field;
}

void check(const json& entry) {
  if (!entry.is_object() || !entry.contains("op") || !entry.contains("reason")) {
    throw FormatError(fmt::format("an entry needs op and reason, got {}", entry.dump()));
  }
  for (const char* name : {"in", "out"}) {
    for (const json& tensor : files::optional_list(entry, name)) {
      if (!tensor.is_null() && !tensor.is_object())
        throw FormatError(fmt::format("{} is no tensor in {}", tensor.dump(), entry.dump()));
    }
  }
  for (const auto& item : entry.items()) {
    if (item.key() != "reason" && find_field(item.key()) == nullptr)
      throw FormatError(fmt::format("unknown field {} in {}", item.key(), entry.dump()));
  }
}

}  // namespace

KnownDifferences::KnownDifferences(const std::string& json_text) {
  try {
    const json list = files::parse_json(json_text);
    if (!list.is_array()) throw FormatError("no list");
    for (const json& entry : list) {
      check(entry);
      entries_.push_back({entry, files::text_member(entry, "reason")});
    }
  } catch (const std::exception& error) {
    throw FormatError(fmt::format("[known differences] {}", error.what()));
  }
}

const std::string* KnownDifferences::reason(const GoldenCase& golden) const {
  for (const Entry& entry : entries_) {
    bool matches = true;
    for (const auto& [name, wanted] : entry.matcher.items()) {
      const Field* field = find_field(name);
      matches = matches && (field == nullptr || field->matches(wanted, golden));
    }
    if (matches) return &entry.reason;
  }
  return nullptr;
}

}  // namespace mlxnx::cli
