#include "replay/runner.h"

#include <fmt/format.h>

#include "mlxnx/error.h"
#include "ops/invoke.h"
#include "ops/registry.h"
#include "program/attrs_json.h"
#include "program/builder.h"
#include "program/executable.h"
#include "program/serializer.h"
#include "replay/compare.h"
#include "replay/factorisation.h"
#include "replay/gradients.h"
#include "replay/llm.h"
#include "replay/nn.h"

namespace mlxnx::cli {
namespace {

std::vector<TensorType> types_of(const std::vector<GoldenTensor>& tensors) {
  std::vector<TensorType> types;
  for (const GoldenTensor& tensor : tensors) types.push_back(tensor.type);
  return types;
}

std::vector<Tensor> tensors_of(const std::vector<GoldenTensor>& golden, Layout layout) {
  std::vector<Tensor> tensors;
  for (const GoldenTensor& tensor : golden)
    tensors.push_back(lay_out(tensor.bytes, tensor.type, layout));
  return tensors;
}

std::string type_fault(std::span<const TensorType> wanted, std::span<const TensorType> inferred) {
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (i < inferred.size() && inferred[i] == wanted[i]) continue;
    return fmt::format("output {} was inferred as {}, expected {}", i,
                       i < inferred.size() ? to_string(inferred[i]) : "nothing",
                       to_string(wanted[i]));
  }
  return {};
}

std::string value_fault(const GoldenCase& golden, std::span<const GoldenTensor> got) {
  std::string fault;
  for (std::size_t i = 0; i < got.size() && fault.empty(); ++i) {
    if (auto found = difference(golden.outputs[i], got[i]))
      fault = fmt::format("output {}: {}", i, *found);
  }
  if (fault.empty() || !is_factorisation(golden.op)) return fault;
  return factorisation_fault(golden, got).value_or("");
}

// The outputs' elements, and what is wrong with them.
void judge(const GoldenCase& golden, std::span<const Tensor> results, Outcome& outcome) {
  eval(results);
  std::vector<GoldenTensor> got;
  for (const Tensor& result : results) {
    outcome.types.push_back(result.type());
    outcome.outputs.push_back(result.to_bytes());
  }
  for (std::size_t i = 0; i < results.size(); ++i)
    got.push_back({outcome.types[i], outcome.outputs[i]});
  outcome.fault = value_fault(golden, got);
  outcome.passed = outcome.fault.empty();
}

program::Fusion fusion(const RunOptions& options) {
  return options.fuse ? program::Fusion::kAlways : program::Fusion::kNever;
}

// The call as a program, by way of a file's bytes.
program::Program one_call(const GoldenCase& golden, const ops::Attrs& attrs,
                          std::span<const TensorType> wanted) {
  program::RegionBuilder builder;
  std::vector<program::ValueId> operands;
  for (const GoldenTensor& input : golden.inputs) operands.push_back(builder.input("", input.type));
  const auto outputs = builder.ops(golden.op, operands, attrs, wanted);
  return program::deserialize(program::serialize(builder.program(outputs)));
}

void run_op(const GoldenCase& golden, const RunOptions& options, Outcome& outcome) {
  const ops::OpDef& op = ops::op(golden.op);
  const std::vector<TensorType> wanted = types_of(golden.outputs);
  const ops::Attrs attrs = program::attrs_from_json(golden.attrs, op.attrs, wanted.front());
  if (options.check_types) {
    outcome.fault = type_fault(wanted, ops::infer_types(op, types_of(golden.inputs), attrs));
    if (!outcome.fault.empty()) return;
  }
  const std::vector<Tensor> operands = tensors_of(golden.inputs, options.layout);
  const std::vector<Tensor> results =
      options.as_program
          ? program::Executable(one_call(golden, attrs, wanted), {.fusion = fusion(options)})
                .run(operands)
          : ops::invoke_all(op, std::span<const Tensor>(operands), attrs, wanted);
  if (results.size() != wanted.size())
    throw ShapeError(fmt::format("{} outputs, expected {}", results.size(), wanted.size()));
  judge(golden, results, outcome);
}

// Answers callbacks as they were answered when the program was recorded.
class RecordedHost : public program::CallbackHost {
 public:
  RecordedHost(const GoldenProgram& golden, Layout layout) : golden_(golden), layout_(layout) {}

  void start(program::CallbackRequest request, std::shared_ptr<program::Reply> reply) override {
    const std::string fault = fault_of(request);
    if (!fault.empty()) {
      reply->fail(std::make_exception_ptr(ArgumentError(fault)));
      return;
    }
    reply->answer(tensors_of(golden_.callbacks[next_++].outputs, layout_));
  }
  std::size_t answered() const { return next_; }

 private:
  std::string fault_of(const program::CallbackRequest& request) const {
    if (next_ == golden_.callbacks.size())
      return fmt::format("callback {} was not recorded", request.callback);
    const GoldenCallback& expected = golden_.callbacks[next_];
    if (expected.name != request.callback || expected.inputs.size() != request.values.size())
      return fmt::format("callback {} came, expected {}", request.callback, expected.name);
    for (std::size_t i = 0; i < request.values.size(); ++i) {
      const Tensor& value = request.values[i];
      if (value.type() != expected.inputs[i].type)
        return fmt::format("callback {} got {}", request.callback, to_string(value.type()));
      const TensorView view(value);
      if (auto found = difference(expected.inputs[i], {value.type(), view.bytes()}))
        return fmt::format("callback {}: {}", request.callback, *found);
    }
    return {};
  }

  const GoldenProgram& golden_;
  Layout layout_;
  std::size_t next_ = 0;
};

void run_program(const GoldenCase& golden, const RunOptions& options, Outcome& outcome) {
  const program::Executable executable(program::load(golden.program->file),
                                       {.fusion = fusion(options)});
  RecordedHost host(*golden.program, options.layout);
  const std::vector<Tensor> results =
      executable.run(tensors_of(golden.inputs, options.layout), {.host = &host});
  if (host.answered() != golden.program->callbacks.size()) {
    throw ArgumentError(fmt::format("{} callbacks, expected {}", host.answered(),
                                    golden.program->callbacks.size()));
  }
  if (results.size() != golden.outputs.size())
    throw ShapeError(fmt::format("{} outputs, expected {}", results.size(), golden.outputs.size()));
  outcome.fault = type_fault(types_of(golden.outputs), executable.program().main.output_types());
  if (outcome.fault.empty()) judge(golden, results, outcome);
}

}  // namespace

Outcome run(const GoldenCase& golden, const RunOptions& options) {
  Outcome outcome;
  try {
    if (golden.transform != nullptr) {
      outcome = run_transform(golden, options);
    } else if (golden.nn != nullptr) {
      outcome = run_nn(golden, options);
    } else if (golden.llm != nullptr) {
      outcome = run_llm(golden);
    } else if (golden.program != nullptr) {
      run_program(golden, options, outcome);
    } else {
      run_op(golden, options, outcome);
    }
  } catch (const std::exception& error) {
    outcome.fault = error.what();
  }
  return outcome;
}

}  // namespace mlxnx::cli
