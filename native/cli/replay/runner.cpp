#include "replay/runner.h"

#include <fmt/format.h>

#include "mlxnx/error.h"
#include "ops/invoke.h"
#include "ops/registry.h"
#include "program/attrs_json.h"
#include "replay/compare.h"
#include "replay/factorisation.h"

namespace mlxnx::cli {
namespace {

std::vector<TensorType> types_of(const std::vector<GoldenTensor>& tensors) {
  std::vector<TensorType> types;
  for (const GoldenTensor& tensor : tensors) types.push_back(tensor.type);
  return types;
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

void run_op(const GoldenCase& golden, const RunOptions& options, Outcome& outcome) {
  const ops::OpDef& op = ops::op(golden.op);
  const std::vector<TensorType> wanted = types_of(golden.outputs);
  const ops::Attrs attrs = program::attrs_from_json(golden.attrs, op.attrs, wanted.front());
  if (options.check_types) {
    outcome.fault = type_fault(wanted, ops::infer_types(op, types_of(golden.inputs), attrs));
    if (!outcome.fault.empty()) return;
  }
  std::vector<Tensor> operands;
  for (const GoldenTensor& input : golden.inputs)
    operands.push_back(Tensor::from_bytes(input.bytes, input.type));
  const std::vector<Tensor> results =
      ops::invoke_all(op, std::span<const Tensor>(operands), attrs, wanted);
  if (results.size() != wanted.size())
    throw ShapeError(fmt::format("{} outputs, expected {}", results.size(), wanted.size()));
  eval(std::span<const Tensor>(results));

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

}  // namespace

Outcome run(const GoldenCase& golden, const RunOptions& options) {
  Outcome outcome;
  try {
    run_op(golden, options, outcome);
  } catch (const std::exception& error) {
    outcome.fault = error.what();
  }
  return outcome;
}

}  // namespace mlxnx::cli
