#include "ops/attrs.h"

#include <algorithm>

#include "mlxnx/error.h"

namespace mlxnx::ops {
namespace {

constexpr std::array<std::string_view, 13> kKindNames = {
    "nil",      "bool",      "int",         "float",      "number",   "string",    "type",
    "int list", "pair list", "triple list", "start list", "function", "float list"};

AttrKind kind_of(const AttrValue& value) { return static_cast<AttrKind>(value.index()); }

// A value of one kind where a wider kind is wanted.
std::optional<AttrValue> widen(const AttrValue& value, AttrKind wanted) {
  if (kind_of(value) == wanted) return value;
  const auto* integer = std::get_if<std::int64_t>(&value);
  const auto* real = std::get_if<double>(&value);
  if (wanted == AttrKind::kFloat && integer != nullptr)
    return AttrValue(static_cast<double>(*integer));
  if (wanted == AttrKind::kNumber && integer != nullptr) return AttrValue(Number(*integer));
  if (wanted == AttrKind::kNumber && real != nullptr) return AttrValue(Number(*real));
  const auto* ints = std::get_if<Axes>(&value);
  if (ints == nullptr) return std::nullopt;
  if (wanted == AttrKind::kStarts) {
    std::vector<Start> starts(ints->begin(), ints->end());
    return AttrValue(std::move(starts));
  }
  if (wanted == AttrKind::kFloats)
    return AttrValue(std::vector<double>(ints->begin(), ints->end()));
  if (ints->empty() && wanted == AttrKind::kPairs) return AttrValue(std::vector<Pair>{});
  if (ints->empty() && wanted == AttrKind::kTriples) return AttrValue(std::vector<Triple>{});
  return std::nullopt;
}

[[noreturn]] void refuse(std::string_view op, const std::string& what) {
  throw ArgumentError("[" + std::string(op) + "] " + what);
}

std::string known_names(std::span<const AttrDef> schema) {
  std::string names;
  for (const AttrDef& def : schema) names += (names.empty() ? "" : ", ") + std::string(def.name);
  return names.empty() ? "none" : names;
}

bool is_callable(const AttrValue& value) {
  const auto* function = std::get_if<std::shared_ptr<const Function>>(&value);
  return function == nullptr || (*function != nullptr && (*function)->apply != nullptr);
}

// Whether `resolve` would answer `value` itself.
bool is_resolved(const AttrValue& value, const AttrDef& def) {
  if (std::holds_alternative<std::monostate>(value)) return def.optional && !def.fallback;
  return kind_of(value) == def.kind && is_callable(value);
}

AttrValue resolve(const AttrValue* value, const AttrDef& def, std::string_view op) {
  const bool is_set = value != nullptr && !std::holds_alternative<std::monostate>(*value);
  if (!is_set) {
    if (def.fallback) return *def.fallback;
    if (def.optional) return std::monostate{};
    refuse(op, "the attribute " + std::string(def.name) + " (" + std::string(name(def.kind)) +
                   ") is missing");
  }
  if (!is_callable(*value))
    refuse(op, "the attribute " + std::string(def.name) + " holds no function to call");
  if (auto widened = widen(*value, def.kind)) return *std::move(widened);
  refuse(op, "the attribute " + std::string(def.name) + " takes a value of kind " +
                 std::string(name(def.kind)) + ", got " + std::string(name(kind_of(*value))));
}

}  // namespace

std::string_view name(AttrKind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

void Attrs::set(std::string_view name, AttrValue value) {
  if (entries_ == nullptr) {
    entries_ = std::make_shared<Entries>();
  } else if (entries_.use_count() > 1) {
    entries_ = std::make_shared<Entries>(*entries_);
  }
  for (auto& [known, slot] : *entries_) {
    if (known == name) {
      slot = std::move(value);
      return;
    }
  }
  auto& [own_name, slot] = entries_->add();
  own_name = name;
  slot = std::move(value);
}

const AttrValue* Attrs::find(std::string_view name) const {
  for (const auto& [known, value] : entries()) {
    if (known == name) return &value;
  }
  return nullptr;
}

void Attrs::throw_missing(std::string_view name) {
  throw ArgumentError("[attributes] " + std::string(name) + " is missing or of another kind");
}

bool is_normal(const Attrs& attrs, std::span<const AttrDef> schema) {
  return std::equal(attrs.entries().begin(), attrs.entries().end(), schema.begin(), schema.end(),
                    [](const auto& entry, const AttrDef& def) {
                      return entry.first == def.name && is_resolved(entry.second, def);
                    });
}

Attrs normalise(const Attrs& attrs, std::span<const AttrDef> schema, std::string_view op) {
  for (const auto& entry : attrs.entries()) {
    const bool known = std::any_of(schema.begin(), schema.end(),
                                   [&](const AttrDef& def) { return def.name == entry.first; });
    if (!known)
      refuse(op, "unknown attribute " + entry.first + "; it takes: " + known_names(schema));
  }
  Attrs result;
  for (const AttrDef& def : schema) result.set(def.name, resolve(attrs.find(def.name), def, op));
  return result;
}

}  // namespace mlxnx::ops
