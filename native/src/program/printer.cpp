#include "program/printer.h"

#include <fmt/format.h>

#include <array>
#include <complex>
#include <type_traits>
#include <utility>
#include <variant>

#include "tensor/printable.h"

namespace mlxnx::program {
namespace {

template <typename Items, typename Show>
std::string joined(const Items& items, Show show) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : ", ") + show(item);
  return text;
}

std::string value_name(ValueId id) { return fmt::format("%{}", id); }

std::string show(double number) { return fmt::format("{}", number); }

std::string show(const Number& number) {
  return std::visit(
      [](const auto& value) -> std::string {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::complex<double>>) {
          return fmt::format("{}{:+}i", value.real(), value.imag());
        } else {
          return fmt::format("{}", value);
        }
      },
      number);
}

template <std::size_t N>
std::string show(const std::array<std::int64_t, N>& numbers) {
  return "{" + joined(numbers, [](std::int64_t n) { return std::to_string(n); }) + "}";
}

struct ShowAttr {
  std::string operator()(std::monostate) const { return "nil"; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const { return show(value); }
  std::string operator()(const Number& value) const { return show(value); }
  std::string operator()(const std::string& value) const { return fmt::format("{:?}", value); }
  std::string operator()(DType value) const { return std::string(mlxnx::name(value)); }
  std::string operator()(const Axes& value) const {
    return "[" + joined(value, [](std::int64_t n) { return std::to_string(n); }) + "]";
  }
  template <typename T>
  std::string operator()(const std::vector<T>& values) const {
    return "[" + joined(values, [](const T& value) { return show(value); }) + "]";
  }
  std::string operator()(const std::vector<ops::Start>& starts) const {
    return "[" +
           joined(starts,
                  [](const ops::Start& start) {
                    const auto* operand = std::get_if<ops::DynamicStart>(&start);
                    return operand != nullptr ? fmt::format("operand {}", operand->operand)
                                              : std::to_string(std::get<std::int64_t>(start));
                  }) +
           "]";
  }
  std::string operator()(const std::shared_ptr<const ops::Function>&) const { return "function"; }
};

std::string show_attrs(const Instruction& instruction) {
  std::string text;
  for (const auto& [name, value] : instruction.attrs.entries())
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", name, std::visit(ShowAttr(), value));
  if (instruction.kind == InstructionKind::kCond)
    text = fmt::format("predicates: {}", instruction.predicates);
  if (instruction.kind == InstructionKind::kHook ||
      instruction.kind == InstructionKind::kRuntimeCall)
    text = fmt::format("callback: {:?}", instruction.callback);
  if (instruction.kind == InstructionKind::kWhileReverse)
    text = fmt::format("values: {}, tape: {}", instruction.values, name(instruction.tape));
  if (instruction.kind == InstructionKind::kCustomVjp) {
    text = fmt::format("values: {}", instruction.values);
    if (!instruction.callback.empty()) text += fmt::format(", reason: {:?}", instruction.callback);
  }
  return text.empty() ? "" : " {" + text + "}";
}

std::string results(const Instruction& instruction) {
  std::string text;
  for (std::size_t i = 0; i < instruction.outputs.size(); ++i)
    text += (i == 0 ? "" : ", ") + value_name(instruction.first + static_cast<ValueId>(i));
  return text;
}

std::string region_role(const Instruction& instruction, std::size_t i) {
  if (instruction.kind == InstructionKind::kWhile) return i == 0 ? "condition" : "body";
  if (instruction.kind == InstructionKind::kWhileReverse)
    return i == 0 ? "condition" : i == 1 ? "body" : "back";
  if (instruction.kind == InstructionKind::kCheckpoint) return "piece";
  if (instruction.kind == InstructionKind::kCustomVjp) return "gradient";
  if (instruction.kind != InstructionKind::kCond) return "fun";
  return i < instruction.predicates ? fmt::format("branch {}", i) : "else";
}

class TextPrinter {
 public:
  void print(const Region& region, std::string_view heading, int indent) {
    ValueId id = 0;
    const std::string inputs = joined(region.inputs, [&id](const Input& input) {
      return fmt::format("%{}{}{}: {}", id++, input.name.empty() ? "" : " ",
                         tensors::printable(input.name), to_string(input.type));
    });
    line(indent, fmt::format("{}({}) {{", heading, inputs));
    for (const Instruction& instruction : region.instructions) print(instruction, indent + 1);
    line(indent + 1, "return " + joined(region.outputs, value_name));
    line(indent, "}");
  }
  std::string text;

 private:
  void print(const Instruction& instruction, int indent) {
    std::string types =
        joined(instruction.outputs, [](const TensorType& t) { return to_string(t); });
    if (types.empty()) types = "nothing";
    line(indent, label(instruction) + show_attrs(instruction) + " : " + types);
    for (std::size_t i = 0; i < instruction.regions.size(); ++i)
      print(*instruction.regions[i], region_role(instruction, i), indent + 1);
  }
  void line(int indent, const std::string& content) {
    text += std::string(static_cast<std::size_t>(2 * indent), ' ') + content + "\n";
  }
};

class DotPrinter {
 public:
  explicit DotPrinter(const Program& program) {
    text = "digraph program {\n  rankdir=TB;\n  node [shape=box, fontname=\"monospace\"];\n";
    print(program.main, "program");
    text += "}\n";
  }
  std::string text;

 private:
  // Values of a region are drawn by the node that makes them.
  void print(const Region& region, const std::string& title) {
    const int scope = next_scope_++;
    text += fmt::format("subgraph cluster_{} {{ label=\"{}\";\n", scope, escaped(title));
    std::vector<std::string> makers;
    for (const Input& input : region.inputs) {
      const std::string node = fmt::format("r{}_v{}", scope, makers.size());
      add_node(node,
               fmt::format("%{} {}\n{}", makers.size(), tensors::printable(input.name),
                           to_string(input.type)),
               "ellipse");
      makers.push_back(node);
    }
    for (const Instruction& instruction : region.instructions) {
      const std::string node = fmt::format("r{}_v{}_{}", scope, makers.size(), next_node_++);
      const std::string types =
          joined(instruction.outputs, [](const TensorType& t) { return to_string(t); });
      add_node(node, std::string(instruction.name()) + show_attrs(instruction) + "\n" + types,
               instruction.kind == InstructionKind::kConstant ? "note" : "box");
      for (const ValueId id : instruction.operands)
        text += fmt::format("{} -> {};\n", makers[id], node);
      for (std::size_t i = 0; i < instruction.regions.size(); ++i)
        print(*instruction.regions[i], label(instruction) + " " + region_role(instruction, i));
      makers.insert(makers.end(), instruction.outputs.size(), node);
    }
    const std::string end = fmt::format("r{}_return", scope);
    add_node(end, "return", "ellipse");
    for (const ValueId id : region.outputs) text += fmt::format("{} -> {};\n", makers[id], end);
    text += "}\n";
  }
  void add_node(const std::string& node, const std::string& shown, std::string_view shape) {
    text += fmt::format("{} [label=\"{}\", shape={}];\n", node, escaped(shown), shape);
  }
  static std::string escaped(std::string_view raw) {
    std::string result;
    for (const char c : raw) {
      if (c == '"' || c == '\\') result += '\\';
      if (c == '\n') {
        result += "\\n";
      } else {
        result += c;
      }
    }
    return result;
  }

  int next_scope_ = 0;
  int next_node_ = 0;
};

}  // namespace

std::string label(const Instruction& instruction) {
  std::string text = results(instruction);
  if (!text.empty()) text += " = ";
  text += instruction.name();
  if (!instruction.operands.empty()) text += " " + joined(instruction.operands, value_name);
  return text;
}

std::string to_text(const Program& program) {
  TextPrinter printer;
  printer.print(program.main, "program", 0);
  return std::move(printer.text);
}

std::string to_text(const Region& region) {
  TextPrinter printer;
  printer.print(region, "region", 0);
  return std::move(printer.text);
}

std::string to_dot(const Program& program) { return std::move(DotPrinter(program).text); }

}  // namespace mlxnx::program
