#include "program/control.h"

#include <cstddef>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "mlxc/engine.h"
#include "mlxc/evaluate.h"
#include "mlxnx/error.h"
#include "program/straight_run.h"
#include "tensor/element.h"
#include "tensor/node.h"

namespace mlxnx::program {
namespace {

using mlxc::Array;

std::vector<Tensor> as_tensors(std::span<const Array> arrays, std::span<const TensorType> types) {
  std::vector<Tensor> tensors;
  tensors.reserve(arrays.size());
  for (std::size_t i = 0; i < arrays.size(); ++i)
    tensors.push_back(tensors::wrap(Array(arrays[i]), types[i], {1, tensors::kMuchWork}));
  return tensors;
}

std::string quoted(const Instruction& instruction) {
  return "[" + std::string(instruction.name()) + "] \"" + instruction.callback + "\"";
}

// Waits for the host's answer; the engine serves other jobs meanwhile.
std::vector<Tensor> ask(CallbackRequest request, RunState& state) {
  mlxc::Engine& engine = mlxc::Engine::current();
  const auto reply = std::make_shared<Reply>(engine);
  struct Abandon {
    Reply& reply;
    ~Abandon() { reply.abandon(); }
  } abandon{*reply};
  state.host()->start(std::move(request), reply);
  engine.serve_until([&] { return reply->is_answered() || state.is_cancelled(); });
  state.check_cancelled();
  return reply->take();
}

}  // namespace

void compute(std::span<const Array> arrays) {
  if (arrays.empty()) return;
  require_engine();
  mlxc::eval(mlxc::ArrayVector(arrays));
}

void compute_pending(std::span<const Array> arrays) {
  std::vector<Array> pending;
  for (const Array& array : arrays) {
    if (!mlxc::is_computed(array)) pending.push_back(Array::view(array));
  }
  compute(pending);
}

Number read_scalar(const Array& array) {
  if (!mlxc::is_computed(array)) compute(std::span(&array, 1));
  return tensors::decode(array.dtype(), static_cast<const std::byte*>(mlxc::data_pointer(array)));
}

bool holds(const Array& predicate) {
  return std::visit([](const auto& value) { return value != std::decay_t<decltype(value)>{}; },
                    read_scalar(predicate));
}

std::vector<Array> run_cond(const Instruction& instruction, std::span<const RegionPlan> branches,
                            std::span<const Array> operands, RunState& state) {
  const std::size_t count = instruction.predicates;
  std::size_t branch = 0;
  while (branch < count && !holds(operands[branch])) ++branch;
  const RegionPlan& taken = branches[branch];
  if (!taken.may_pay_at_once()) require_engine();
  return taken.run(state, operands.subspan(count));
}

std::vector<Array> run_callback(const Instruction& instruction, std::span<const Array> operands,
                                std::span<const TensorType> types, RunState& state) {
  const bool is_hook = instruction.kind == InstructionKind::kHook;
  if (state.host() == nullptr) {
    if (is_hook) return {operands.begin(), operands.end()};
    throw ArgumentError(quoted(instruction) + " needs a host that answers it, and there is none");
  }
  CallbackRequest request{instruction.kind, instruction.callback, as_tensors(operands, types), {}};
  eval(request.values);
  if (!is_hook) request.outputs.assign(instruction.outputs.begin(), instruction.outputs.end());
  const std::vector<Tensor> answer = ask(std::move(request), state);
  if (is_hook) return {operands.begin(), operands.end()};
  bool fits = answer.size() == instruction.outputs.size();
  for (std::size_t i = 0; fits && i < answer.size(); ++i)
    fits = answer[i].type() == instruction.outputs[i];
  if (!fits) {
    std::string text = quoted(instruction) + " should answer";
    for (const TensorType& type : instruction.outputs) text += " " + to_string(type);
    text += ", got";
    for (const Tensor& tensor : answer) text += " " + to_string(tensor.type());
    throw ShapeError(text);
  }
  std::vector<Array> results;
  for (const Tensor& tensor : answer) {
    if (tensors::is_foreign(tensor.node())) eval(tensor);
    results.push_back(tensor.node().array);
  }
  return results;
}

}  // namespace mlxnx::program
