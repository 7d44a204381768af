// mlxnx ops: the op registry as a table, for people (text), documents (md) and programs (json).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command.h"
#include "ops/registry.h"
#include "output.h"
#include "transforms/batch.h"
#include "transforms/rules.h"

namespace mlxnx::cli {
namespace {

using ops::AttrDef;
using ops::AttrValue;
using ops::OpDef;
using OrderedJson = nlohmann::ordered_json;

constexpr std::array<std::string_view, 14> kGroupNames = {"Creation",
                                                          "Element-wise, one operand",
                                                          "Element-wise, several operands",
                                                          "Shape",
                                                          "Indexing",
                                                          "Reduction and scan",
                                                          "Window",
                                                          "Contraction",
                                                          "Quantization",
                                                          "Sorting",
                                                          "Fourier transform",
                                                          "Linear algebra",
                                                          "Random",
                                                          "Fused"};

std::string_view group_name(const OpDef& op) {
  return kGroupNames[static_cast<std::size_t>(op.group)];
}

OrderedJson number_json(const Number& value) {
  return std::visit(
      [](auto v) -> OrderedJson {
        if constexpr (std::is_same_v<decltype(v), std::complex<double>>) {
          return {{"re", v.real()}, {"im", v.imag()}};
        } else {
          return v;
        }
      },
      value);
}

OrderedJson start_json(const ops::Start& start) {
  if (const auto* dynamic = std::get_if<ops::DynamicStart>(&start))
    return {{"operand", dynamic->operand}};
  return std::get<std::int64_t>(start);
}

template <typename T>
OrderedJson value_json(const T& value) {
  if constexpr (std::is_same_v<T, std::monostate>) {
    return nullptr;
  } else if constexpr (std::is_same_v<T, DType>) {
    return name(value);
  } else if constexpr (std::is_same_v<T, Number>) {
    return number_json(value);
  } else if constexpr (std::is_same_v<T, Axes>) {
    return std::vector<std::int64_t>(value.begin(), value.end());
  } else if constexpr (std::is_same_v<T, std::vector<ops::Start>>) {
    OrderedJson list = OrderedJson::array();
    for (const ops::Start& start : value) list.push_back(start_json(start));
    return list;
  } else if constexpr (std::is_same_v<T, std::shared_ptr<const ops::Function>>) {
    return value->name;
  } else {
    return value;
  }
}

OrderedJson default_json(const AttrValue& value) {
  return std::visit([](const auto& v) { return value_json(v); }, value);
}

std::string operands_text(const OpDef& op) {
  if (op.max_operands == ops::kVariadic) return fmt::format("{} or more", op.min_operands);
  if (op.max_operands == op.min_operands) return std::to_string(op.min_operands);
  return fmt::format("{} to {}", op.min_operands, op.max_operands);
}

std::string placement_text(const OpDef& op) {
  return op.placement == ops::Placement::kCpuOnly ? "CPU" : "any";
}

// How the op is differentiated.
std::string derivative_text(const OpDef& op) {
  using transforms::Derivative;
  const transforms::Rule* rule = transforms::find_rule(op);
  if (rule == nullptr) return "none";
  switch (rule->derivative) {
    case Derivative::kZero:
      return "zero";
    case Derivative::kElementwise:
      return "rule (element by element)";
    case Derivative::kJointly:
      return "rule (linear)";
    case Derivative::kEach:
      return "rule (linear in each)";
    case Derivative::kForward:
      return "rule";
    case Derivative::kComposed:
      return "rule (of other ops)";
    case Derivative::kForwardOnly:
      return fmt::format("rule (tangents only: {})", rule->reason);
  }
  return {};
}

// How the op is applied to many examples at once.
std::string_view vmap_text(const OpDef& op) {
  if (op.max_operands == 0) return "nothing to map";
  return transforms::find_batch_rule(op) != nullptr ? "rule" : "example by example";
}

// A bar would end the cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string escaped;
  for (const char character : text) {
    if (character == '|') escaped += '\\';
    escaped += character;
  }
  return escaped;
}

std::string attr_text(const AttrDef& def) {
  if (def.fallback)
    return fmt::format("{} = {}", name(def.kind), default_json(*def.fallback).dump());
  return fmt::format("{}{}", name(def.kind), def.optional ? ", may be nil" : "");
}

std::string json_text() {
  OrderedJson table = OrderedJson::array();
  for (const OpDef* op : ops::all_ops()) {
    OrderedJson attrs = OrderedJson::array();
    for (const AttrDef& def : op->attrs) {
      OrderedJson row = {{"name", def.name}, {"kind", name(def.kind)}};
      if (def.fallback) row["default"] = default_json(*def.fallback);
      row["required"] = !def.fallback && !def.optional;
      attrs.push_back(std::move(row));
    }
    const OrderedJson max = op->max_operands == ops::kVariadic ? OrderedJson(nullptr)
                                                               : OrderedJson(int{op->max_operands});
    table.push_back({{"name", op->name},
                     {"group", group_name(*op)},
                     {"operands", {{"min", int{op->min_operands}}, {"max", max}}},
                     {"attrs", std::move(attrs)},
                     {"device", placement_text(*op)},
                     {"derivative", derivative_text(*op)},
                     {"vmap", vmap_text(*op)},
                     {"doc", op->doc}});
  }
  return table.dump(2) + "\n";
}

std::string markdown_text() {
  std::string text = fmt::format(
      "# Ops\n\n"
      "The {} ops of the registry, one row each, as `mlxnx ops --format md` prints them. The names "
      "are\nthose of `Nx.Backend` callbacks, `block:` with the name of an `Nx.Block` struct, and "
      "`fast:` with "
      "MLX's name of a fused\nop. An attribute with neither a default nor \"may be nil\" has to be "
      "given.\n\n"
      "The derivative is zero where results jump or do not depend on the operands. It has a rule "
      "of "
      "its own,\nor follows from an op being linear in its operands, all together or each alone, "
      "or "
      "from the other ops\nthat it is made of.\n\n"
      "Mapped over examples (vmap), an op has a rule that takes all of them at once, or goes "
      "example by\nexample in a loop; so do slices whose starts differ by example, and reductions "
      "whose functions or\naccumulators do.\n",
      ops::all_ops().size());
  for (std::size_t group = 0; group < kGroupNames.size(); ++group) {
    bool opened = false;
    for (const OpDef* op : ops::all_ops()) {
      if (static_cast<std::size_t>(op->group) != group) continue;
      if (!opened) {
        text += fmt::format(
            "\n## {}\n\n| op | operands | attributes | device | derivative | vmap | "
            "|\n|---|---|---|---|---|---|---|\n",
            kGroupNames[group]);
        opened = true;
      }
      std::string attrs;
      for (const AttrDef& def : op->attrs)
        attrs += fmt::format("{}`{}` {}", attrs.empty() ? "" : "<br>", def.name, attr_text(def));
      text += fmt::format("| `{}` | {} | {} | {} | {} | {} | {} |\n", op->name, operands_text(*op),
                          cell(attrs), placement_text(*op), cell(derivative_text(*op)),
                          vmap_text(*op), cell(op->doc));
    }
  }
  return text;
}

std::string plain_text() {
  std::string text;
  for (const OpDef* op : ops::all_ops()) {
    std::string attrs;
    for (const AttrDef& def : op->attrs)
      attrs += fmt::format("{}{}: {}", attrs.empty() ? "" : "; ", def.name, attr_text(def));
    text +=
        fmt::format("{} ({}, operands: {}, device: {})\n    {}\n    derivative: {}\n    vmap: {}\n",
                    op->name, group_name(*op), operands_text(*op), placement_text(*op), op->doc,
                    derivative_text(*op), vmap_text(*op));
    if (!attrs.empty()) text += fmt::format("    {}\n", attrs);
  }
  return text;
}

struct Format {
  const char* name;
  std::string (*text)();
};

constexpr std::array kFormats = {Format{"text", plain_text}, Format{"md", markdown_text},
                                 Format{"json", json_text}};

}  // namespace

Action add_ops(CLI::App& app) {
  auto chosen = std::make_shared<std::string>("text");
  std::vector<std::string> names;
  for (const Format& format : kFormats) names.emplace_back(format.name);
  app.footer(
      "Example: mlxnx ops --format json | jq '.[].name'\n"
      "The names are those that Nx's backends and blocks use; docs/ops.md is the output of md.");
  app.add_option("--format", *chosen, "For people, for documents or for programs")
      ->check(CLI::IsMember(names))
      ->capture_default_str();
  return [chosen] {
    for (const Format& format : kFormats) {
      if (*chosen == format.name) print(format.text());
    }
    return 0;
  };
}

}  // namespace mlxnx::cli
