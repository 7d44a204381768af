// The public face of programs, and of tracing.
#include "mlxnx/program.h"

#include <algorithm>
#include <utility>

#include "mlxnx/jit.h"
#include "ops/recorder.h"
#include "program/executable.h"
#include "program/printer.h"
#include "program/serializer.h"
#include "program/trace.h"
#include "program/verifier.h"

namespace mlxnx {
namespace {

// Answers on the engine's thread, at once.
class CallbackAdapter : public program::CallbackHost {
 public:
  explicit CallbackAdapter(const Program::Callback& callback) : callback_(callback) {}
  void start(program::CallbackRequest request, std::shared_ptr<program::Reply> reply) override {
    try {
      reply->answer(callback_(request.callback, request.values));
    } catch (...) {
      reply->fail(std::current_exception());
    }
  }

 private:
  const Program::Callback& callback_;
};

std::vector<program::Input> as_inputs(const std::vector<Program::Port>& ports) {
  std::vector<program::Input> inputs;
  for (const Program::Port& port : ports) inputs.push_back({port.name, port.type});
  return inputs;
}

Program compile(program::Program program) {
  return Program(std::make_shared<const program::Executable>(std::move(program)));
}

bool is_traced(const Tensor& tensor) { return tensor.node().is_traced(); }

}  // namespace

Program Program::trace(const std::vector<Port>& inputs, const Function& function) {
  program::Trace trace;
  trace.run(as_inputs(inputs), function);
  if (!trace.captures().empty())
    throw ArgumentError("[trace] the function uses tensors of another that is being traced");
  return compile(trace.program());
}

Program Program::load(const std::filesystem::path& path) { return compile(program::load(path)); }

void Program::save(const std::filesystem::path& path) const {
  program::save(executable_->program(), path);
}

std::vector<Tensor> Program::run(const std::vector<Tensor>& inputs,
                                 const Callback& callback) const {
  if (ops::records_all() || std::any_of(inputs.begin(), inputs.end(), is_traced)) {
    program::Trace* const trace = program::Trace::current();
    if (trace == nullptr)
      throw ArgumentError("[trace] a tensor of a traced function was kept beyond its tracing");
    executable_->check_inputs(inputs);
    return trace->record_program(executable_->program().main, inputs);
  }
  CallbackAdapter host(callback);
  return executable_->run(inputs, {.host = callback ? &host : nullptr});
}

std::vector<Program::Port> Program::inputs() const {
  std::vector<Port> ports;
  for (const program::Input& input : executable_->program().main.inputs)
    ports.push_back({input.name, input.type});
  return ports;
}

std::vector<Program::Port> Program::outputs() const {
  const program::Program& program = executable_->program();
  std::vector<Port> ports;
  for (const TensorType& type : program.main.output_types()) {
    const bool is_named = ports.size() < program.output_names.size();
    ports.push_back({is_named ? program.output_names[ports.size()] : "", type});
  }
  return ports;
}

std::string Program::to_string() const { return program::to_text(executable_->program()); }
std::string Program::to_dot() const { return program::to_dot(executable_->program()); }

namespace tracing {

bool is_active() { return program::Trace::current() != nullptr; }

std::vector<Tensor> while_loop(
    const std::vector<Tensor>& initial,
    const std::function<Tensor(const std::vector<Tensor>& state)>& condition,
    const Program::Function& body) {
  const auto test = [&](const std::vector<Tensor>& state) { return std::vector{condition(state)}; };
  if (program::Trace* const trace = program::Trace::current())
    return trace->record_while(initial, test, body);
  std::vector<program::Input> inputs;
  for (const Tensor& tensor : initial) inputs.push_back({"", tensor.type()});
  program::Trace trace;
  trace.run(inputs, [&](const std::vector<Tensor>& state) {
    return program::Trace::current()->record_while(state, test, body);
  });
  return program::Executable(trace.program()).run(initial);
}

std::vector<Tensor> cond(const Tensor& predicate,
                         const std::function<std::vector<Tensor>()>& on_true,
                         const std::function<std::vector<Tensor>()>& on_false) {
  const bool is_recorded = is_traced(predicate) || ops::records_all();
  if (is_recorded && program::Trace::current() != nullptr) {
    return program::Trace::current()->record_cond(
        predicate, [&](const std::vector<Tensor>&) { return on_true(); },
        [&](const std::vector<Tensor>&) { return on_false(); });
  }
  program::check_predicate(predicate.type());
  const bool holds =
      std::visit([](const auto& value) { return value != std::decay_t<decltype(value)>{}; },
                 predicate.to_number());
  std::vector<Tensor> results = holds ? on_true() : on_false();
  // What the other branch would answer is learnt without computing any of it.
  program::Trace other;
  other.run(
      {}, [&](const std::vector<Tensor>&) { return holds ? on_false() : on_true(); }, true);
  std::vector<TensorType> types;
  for (const Tensor& result : results) types.push_back(result.type());
  const std::vector<TensorType> others = other.region()->output_types();
  program::check_branches(holds ? others : types, holds ? types : others);
  return results;
}

void require_same_fixed(const char* op, const char* what, const std::vector<std::string>& first,
                        const std::vector<std::string>& second) {
  const auto [a, b] = std::mismatch(first.begin(), first.end(), second.begin(), second.end());
  if (a == first.end() && b == second.end()) return;
  const std::string none = "nothing";
  throw ArgumentError("[" + std::string(op) + "] " + what + " " + (a != first.end() ? *a : none) +
                      " and " + (b != second.end() ? *b : none) +
                      " where only tensors may differ: a number that varies has to be a tensor, "
                      "as in Tensor(1), and containers must keep their sizes and keys");
}

}  // namespace tracing
}  // namespace mlxnx
