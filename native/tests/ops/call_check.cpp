// Running random calls, printing them, and judging the answers.
#include <algorithm>
#include <sstream>

#include "mlxc/engine.h"
#include "mlxc/graph.h"
#include "mlxnx/ops/indexing.h"
#include "mlxnx/ops/shape.h"
#include "ops/invoke.h"
#include "ops/random_call.h"
#include "tensor/node.h"

namespace mlxnx::testing_support {
namespace {

using ops::AttrValue;

std::string_view name(Form form) {
  constexpr std::array<std::string_view, 6> kNames = {"known",    "offset",   "transposed",
                                                      "reversed", "repeated", "mask"};
  return kNames[static_cast<std::size_t>(form)];
}

// ---- printing

struct Print {
  std::ostream& out;
  void operator()(std::monostate) { out << "nil"; }
  void operator()(bool flag) { out << (flag ? "true" : "false"); }
  void operator()(std::int64_t value) { out << value; }
  void operator()(std::uint64_t value) { out << value; }
  void operator()(double value) { out << value; }
  void operator()(std::complex<double> value) { out << value; }
  void operator()(const Number& number) { std::visit(*this, number); }
  void operator()(const std::string& text) {
    out << '"' << text.substr(0, 40) << '"';
    if (text.size() > 40) out << "… (" << text.size() << " bytes)";
  }
  void operator()(DType type) { out << mlxnx::name(type); }
  void operator()(const ops::DynamicStart& start) { out << "operand " << start.operand; }
  void operator()(const ops::Start& start) { std::visit(*this, start); }
  void operator()(const std::shared_ptr<const ops::Function>& function) {
    out << "function " << (function == nullptr ? "null" : function->name);
  }
  template <typename List>
  requires requires(List list) { list.begin(); }
  void operator()(const List& list) {
    out << '[';
    for (auto it = list.begin(); it != list.end(); ++it) {
      if (it != list.begin()) out << ", ";
      (*this)(*it);
    }
    out << ']';
  }
};

// ---- operands in their forms

Tensor as_mask(const Tensor& bytes) {
  const mlxc::StreamScope stream(mlxc::Engine::current().stream(default_device()));
  return tensors::wrap(mlxc::asbool(bytes.node().array), bytes.type());
}

Tensor behind_an_offset(const RandomOperand& operand) {
  std::vector<std::byte> twice(operand.bytes);
  twice.insert(twice.end(), operand.bytes.begin(), operand.bytes.end());
  const std::int64_t count = element_count(operand.type.shape);
  const Tensor flat = Tensor::from_bytes(twice, {operand.type.dtype, {2 * count}});
  return reshape(slice(flat, {count}, {count}), operand.type.shape);
}

Tensor transposed(const RandomOperand& operand) {
  Shape shape = operand.type.shape;
  std::reverse(shape.begin(), shape.end());
  return transpose(Tensor::from_bytes(operand.bytes, {operand.type.dtype, shape}));
}

Tensor repeated(const RandomOperand& operand) {
  const std::span first(operand.bytes.data(), size_bytes(operand.type.dtype));
  return broadcast(Tensor::from_bytes(first, {operand.type.dtype, {}}), operand.type.shape);
}

// ---- judging

// The exception that a call ended with.
struct Refusal {
  std::string class_name;  // empty for one that is not mlxnx's
  std::string text;
  bool operator==(const Refusal&) const = default;
};

Refusal current_refusal() {
  try {
    throw;
  } catch (const ShapeError& error) {
    return {"ShapeError", error.what()};
  } catch (const TypeError& error) {
    return {"TypeError", error.what()};
  } catch (const ArgumentError& error) {
    return {"ArgumentError", error.what()};
  } catch (const UnsupportedError& error) {
    return {"UnsupportedError", error.what()};
  } catch (const BackendError& error) {
    return {"BackendError", error.what()};
  } catch (const std::exception& error) {
    return {"", error.what()};
  } catch (...) {
    return {"", "something that is no std::exception"};
  }
}

std::string fault_of(const Refusal& refusal) {
  if (refusal.class_name.empty()) return "threw an exception of another class: " + refusal.text;
  if (!refusal.text.starts_with('[')) return "the text has no [op] in front: " + refusal.text;
  // The op's rules let it pass, and then MLX found something wrong with it.
  if (refusal.class_name == "BackendError" &&
      refusal.text.find("memory limit") == std::string::npos)
    return "MLX had to refuse it: " + refusal.text;
  return {};
}

std::string fault_of(const Tensor& output, const TensorType& expected) {
  if (output.type() != expected)
    return "is " + to_string(output.type()) + ", the rules said " + to_string(expected);
  const mlxc::Array& array = output.node().array;
  const auto dims = array.shape();
  const TensorType found{array.dtype(), Shape(dims.begin(), dims.end())};
  if (found != expected)
    return "holds an array " + to_string(found) + ", the rules said " + to_string(expected);
  if (output.to_bytes().size() != output.byte_size()) return "has another number of bytes";
  return {};
}

std::string fault_of(const std::vector<Tensor>& outputs, const ops::OutputTypes& expected) {
  if (outputs.size() != expected.size()) return "another number of outputs than the rules said";
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::string fault = fault_of(outputs[i], expected[i]);
    if (!fault.empty()) return "output " + std::to_string(i) + " " + fault;
  }
  return {};
}

}  // namespace

std::string to_string(const RandomCall& call) {
  std::ostringstream out;
  out << call.op->name << '(';
  for (const RandomOperand& operand : call.operands)
    out << mlxnx::to_string(operand.type) << ' ' << name(operand.form) << ", ";
  out << '{';
  for (const auto& [name, value] : call.attrs.entries()) {
    out << ' ' << name << ": ";
    std::visit(Print{out}, value);
    out << ';';
  }
  out << " })";
  if (call.wanted) out << " as " << mlxnx::name(*call.wanted);
  return out.str();
}

Tensor tensor_of(const RandomOperand& operand) {
  const bool has_elements = !operand.bytes.empty();
  switch (operand.form) {
    case Form::kOffset:
      if (has_elements) return behind_an_offset(operand);
      break;
    case Form::kTransposed:
      return transposed(operand);
    case Form::kReversed:
      return reverse(Tensor::from_bytes(operand.bytes, operand.type));
    case Form::kRepeated:
      if (has_elements) return repeated(operand);
      break;
    case Form::kMask:
      if (operand.type.dtype == DType::u8)
        return as_mask(Tensor::from_bytes(operand.bytes, operand.type));
      break;
    case Form::kKnown:
      break;
  }
  return Tensor::from_bytes(operand.bytes, operand.type);
}

Verdict judge(const RandomCall& call) {
  std::vector<TensorType> types;
  std::vector<Tensor> operands;
  for (const RandomOperand& operand : call.operands) {
    types.push_back(operand.type);
    operands.push_back(tensor_of(operand));
  }
  ops::OutputTypes expected;
  Refusal inferred;
  try {
    expected = ops::infer_types(*call.op, types, call.attrs);
  } catch (...) {
    inferred = current_refusal();
    if (const std::string fault = fault_of(inferred); !fault.empty())
      return {"infer_types " + fault};
  }
  std::vector<TensorType> wanted;
  if (call.wanted) {
    wanted.assign(expected.begin(), expected.end());
    for (TensorType& type : wanted) type.dtype = *call.wanted;
    expected.assign(wanted);
  }
  std::vector<Tensor> outputs;
  try {
    outputs = ops::invoke_all(*call.op, std::span<const Tensor>(operands), call.attrs, wanted);
    eval(std::span<const Tensor>(outputs));
  } catch (...) {
    const Refusal refusal = current_refusal();
    if (!inferred.text.empty() && refusal != inferred)
      return {"infer_types threw " + inferred.text + ", the call " + refusal.text};
    return {fault_of(refusal)};
  }
  if (!inferred.text.empty())
    return {"evaluated although infer_types threw " + inferred.text, true};
  return {fault_of(outputs, expected), true};
}

}  // namespace mlxnx::testing_support
