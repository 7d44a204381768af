// Runs what mlx.nn, mlx.optimizers, mx.fast, mx.quantize and mx.random answered, and judges it. A
// kind of case is a row of the table in nn.cpp.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mlxnx/tensor.h"
#include "ops/attrs.h"
#include "replay/golden_data.h"
#include "replay/runner.h"

namespace mlxnx::cli {

/// Throws: what the functions throw.
Outcome run_nn(const GoldenCase& golden, const RunOptions& options);

/// What a case computes, as it comes.
class NnJudge {
 public:
  NnJudge(const GoldenCase& golden, Outcome& outcome) : golden_(golden), outcome_(outcome) {}

  /// Compares the outputs of the case. An output in f16 or bf16 passes if it is near the recorded
  /// one, or near that of the same case in f32.
  void outputs(const std::vector<Tensor>& got);
  /// Compares one tensor with what was recorded for it.
  void value(const std::string& what, const GoldenTensor& wanted, const Tensor& got);
  /// The same within a tolerance that is given.
  void value(const std::string& what, const GoldenTensor& wanted, const Tensor& got,
             double tolerance);
  /// The same for gradients, and whatever went through several steps.
  void gradient(const std::string& what, const GoldenTensor& wanted, const Tensor& got);
  void fail(const std::string& fault) {
    if (outcome_.fault.empty()) outcome_.fault = fault;
  }

 private:
  void compare(const std::string& what, const GoldenTensor& wanted, const GoldenTensor* in_f32,
               const Tensor& got, double tolerance);

  const GoldenCase& golden_;
  Outcome& outcome_;
};

/// Runs `function`, a function of the tensors `inputs`, and compares its outputs; `wanted` are
/// their gradients, none where they are not known.
void judge_function(const GoldenNn& nn,
                    const std::function<std::vector<Tensor>(const std::vector<Tensor>&)>& function,
                    const std::vector<Tensor>& inputs, const GoldenList& wanted,
                    const std::vector<std::string>& names, NnJudge& judge);

/// Recorded options; a number stands for a list of it.
ops::Attrs options_from_json(nlohmann::json values, std::span<const ops::AttrDef> schema);

/// The tensors of a case, laid out as the options say.
Tensor tensor_of(const GoldenTensor& golden, const RunOptions& options);

/// The kinds' runners, each in its own file.
void run_nn_function(const GoldenCase& golden, const RunOptions& options, NnJudge& judge);
void run_nn_optimizer(const GoldenCase& golden, const RunOptions& options, NnJudge& judge);
void run_nn_schedule(const GoldenCase& golden, const RunOptions& options, NnJudge& judge);
void run_nn_init(const GoldenCase& golden, const RunOptions& options, NnJudge& judge);
void run_nn_layer(const GoldenCase& golden, const RunOptions& options, NnJudge& judge);
void run_llm_sampler(const GoldenCase& golden, const RunOptions& options, NnJudge& judge);
void run_llm_invalid(const GoldenCase& golden, const RunOptions& options, NnJudge& judge);
void run_llm_draws(const GoldenCase& golden, const RunOptions& options, NnJudge& judge);
void run_llm_processors(const GoldenCase& golden, const RunOptions& options, NnJudge& judge);

}  // namespace mlxnx::cli
