#include "replay/nn.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "mlxnx/error.h"
#include "mlxnx/transforms.h"
#include "nn/function.h"
#include "program/attrs_json.h"
#include "replay/compare.h"

namespace mlxnx::cli {
namespace {

using Runner = void (*)(const GoldenCase&, const RunOptions&, NnJudge&);

// What is more than a call of a function by its row.
struct NnKind {
  std::string_view name;
  Runner run;
};

constexpr NnKind kNnKinds[] = {
    {"draws", &run_llm_draws},        {"init", &run_nn_init},
    {"invalid", &run_llm_invalid},    {"layer", &run_nn_layer},
    {"optimizer", &run_nn_optimizer}, {"processors", &run_llm_processors},
    {"sampler", &run_llm_sampler},    {"schedule", &run_nn_schedule}};

Runner runner_of(const std::string& kind) {
  const auto* const found = std::find_if(std::begin(kNnKinds), std::end(kNnKinds),
                                         [&](const NnKind& row) { return row.name == kind; });
  if (found != std::end(kNnKinds)) return found->run;
  if (nn::family_called(kind)) return &run_nn_function;
  throw UnsupportedError(fmt::format("[{}] there is no such kind of case", kind));
}

double tolerance_of_values(DType type) {
  if (type == DType::bf16) return 2e-2;
  return type == DType::f16 ? 4e-3 : 1e-5;
}

double tolerance_of_gradients(DType type) {
  if (type == DType::bf16) return 4e-2;
  return type == DType::f16 ? 1e-2 : 1e-4;
}

// What is as true in this case as elsewhere only with fewer digits, by the case's own note.
double tolerance_by_note(const GoldenNn& nn) {
  const std::string note = nn.whole.value("note", "");
  if (nn.name == "layer_norm" && !note.empty()) return 1e-3;
  if (nn.name == "rope" && !note.empty()) return 2e-4;
  return 0;
}

}  // namespace

void NnJudge::outputs(const std::vector<Tensor>& got) {
  if (got.size() != golden_.outputs.size())
    throw ShapeError(fmt::format("{} outputs, expected {}", got.size(), golden_.outputs.size()));
  const auto& in_f32 = golden_.nn->outputs_f32;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const GoldenTensor& wanted = golden_.outputs[i];
    compare(fmt::format("output {}", i), wanted, i < in_f32.size() ? &in_f32[i] : nullptr, got[i],
            std::max(tolerance_of_values(wanted.type.dtype), tolerance_by_note(*golden_.nn)));
  }
}

void NnJudge::value(const std::string& what, const GoldenTensor& wanted, const Tensor& got) {
  compare(what, wanted, nullptr, got, tolerance_of_values(wanted.type.dtype));
}

void NnJudge::value(const std::string& what, const GoldenTensor& wanted, const Tensor& got,
                    double tolerance) {
  compare(what, wanted, nullptr, got, tolerance);
}

void NnJudge::gradient(const std::string& what, const GoldenTensor& wanted, const Tensor& got) {
  compare(what, wanted, nullptr, got, tolerance_of_gradients(wanted.type.dtype));
}

void NnJudge::compare(const std::string& what, const GoldenTensor& wanted,
                      const GoldenTensor* in_f32, const Tensor& got, double tolerance) {
  outcome_.types.push_back(got.type());
  outcome_.outputs.push_back(got.to_bytes());
  if (got.type() != wanted.type) {
    fail(fmt::format("{} is {}, expected {}", what, to_string(got.type()), to_string(wanted.type)));
    return;
  }
  const auto fault = difference(wanted, {got.type(), outcome_.outputs.back()}, tolerance);
  if (!fault) return;
  if (in_f32 != nullptr) {
    const std::vector<std::byte> wide = as_type(got, in_f32->type.dtype).to_bytes();
    if (!difference(*in_f32, {in_f32->type, wide}, tolerance)) return;
  }
  fail(fmt::format("{}: {}", what, *fault));
}

void judge_function(const GoldenNn& nn,
                    const std::function<std::vector<Tensor>(const std::vector<Tensor>&)>& function,
                    const std::vector<Tensor>& inputs, const GoldenList& wanted,
                    const std::vector<std::string>& names, NnJudge& judge) {
  judge.outputs(function(inputs));
  if (nn.cotangents.empty()) return;
  std::vector<Tensor> cotangents;
  const auto flat = [&](const std::vector<Tensor>& given) {
    // Outputs without a cotangent of their own are left out.
    std::vector<Tensor> results;
    const std::vector<Tensor> all = function(given);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (nn.cotangents.at(i)) results.push_back(all[i]);
    }
    return results;
  };
  for (const auto& cotangent : nn.cotangents) {
    if (cotangent) cotangents.push_back(Tensor::from_bytes(cotangent->bytes, cotangent->type));
  }
  const std::vector<Tensor> results = tracing::vjp(flat, inputs, cotangents, Tape::kAll);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (wanted.at(i))
      judge.gradient("gradient of " + names.at(i), *wanted[i], results[cotangents.size() + i]);
  }
}

ops::Attrs options_from_json(nlohmann::json values, std::span<const ops::AttrDef> schema) {
  for (const ops::AttrDef& row : schema) {
    const auto found = values.find(row.name);
    if (found == values.end() || !found->is_number()) continue;
    if (row.kind == ops::AttrKind::kInts || row.kind == ops::AttrKind::kFloats)
      *found = nlohmann::json::array({*found});
  }
  return program::attrs_from_json(values, schema);
}

Tensor tensor_of(const GoldenTensor& golden, const RunOptions& options) {
  return lay_out(golden.bytes, golden.type, options.layout);
}

Outcome run_nn(const GoldenCase& golden, const RunOptions& options) {
  Outcome outcome;
  NnJudge judge(golden, outcome);
  runner_of(golden.nn->kind)(golden, options, judge);
  outcome.passed = outcome.fault.empty();
  return outcome;
}

}  // namespace mlxnx::cli
