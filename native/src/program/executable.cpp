#include "program/executable.h"

#include <algorithm>
#include <set>
#include <utility>

#include "mlxc/engine.h"
#include "mlxnx/device.h"
#include "mlxnx/error.h"
#include "program/marks.h"
#include "program/region_plan.h"
#include "program/verifier.h"
#include "tensor/node.h"

namespace mlxnx::program {
namespace {

using mlxc::Array;

// Graphs of up to so many nodes are traced on the calling thread too, for which that is not long;
// chains are short there, since its stack may be small: MLX's recursion takes about 350 bytes for
// each of their nodes.
constexpr std::uint64_t kMostNodesAnywhere = 512;
constexpr std::uint64_t kLongestChainAnywhere = 128;

// Fusing compiles a kernel, which takes a second or, for a large one, several: not for what is
// called a few times.
constexpr std::uint32_t kRunsToBeHot = 16;

void collect_constants(const Region& region, std::vector<Tensor>& constants) {
  for (const Instruction& instruction : region.instructions) {
    if (instruction.constant) constants.push_back(*instruction.constant);
    for (const auto& nested : instruction.regions) collect_constants(*nested, constants);
  }
}

// Of all that a region captures, gradients included, each tensor once.
std::size_t captured_bytes_of(const Region& region) {
  std::vector<Tensor> constants;
  collect_constants(region, constants);
  std::set<const tensors::Node*> counted;
  std::size_t bytes = 0;
  for (const Tensor& tensor : constants) {
    if (counted.insert(&tensor.node()).second) bytes += tensor.byte_size();
  }
  return bytes;
}

// Fused or not, a graph is at most as deep as its program is long.
tensors::Weight weight_of(const Region& region) {
  constexpr std::size_t kMostDepth = 64;
  const std::size_t depth = std::min(region.instructions.size(), kMostDepth) + 1;
  return {static_cast<std::uint32_t>(depth), estimated_work(region)};
}

}  // namespace

struct Executable::Parts {
  // `region`: the program's, without marks.
  Parts(std::shared_ptr<const Program> program, const std::shared_ptr<const Region>& region,
        ExecutableOptions options)
      : program(std::move(program)),
        options(options),
        plan(region),
        output_types(region->output_types()),
        weight(weight_of(*region)) {}

  std::shared_ptr<const Program> program;
  ExecutableOptions options;
  RegionPlan plan;
  std::vector<TensorType> output_types;
  tensors::Weight weight;
  std::size_t captured_bytes = 0;
  std::atomic<std::uint32_t> runs{0};

  void check_inputs(std::span<const Tensor> inputs) const;
  std::vector<Tensor> run(std::span<const Tensor> inputs, const RunOptions& options);
  bool may_run_on_any_thread() const;
  bool is_quick() const;
  std::optional<std::vector<Tensor>> run_at_once(std::span<const Tensor> inputs,
                                                 const RunOptions& options);
};

void Executable::Parts::check_inputs(std::span<const Tensor> inputs) const {
  const std::vector<Input>& expected = program->main.inputs;
  if (inputs.size() != expected.size()) {
    throw ArgumentError("[program] takes " + std::to_string(expected.size()) + " inputs, got " +
                        std::to_string(inputs.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].type() == expected[i].type) continue;
    const std::string name = expected[i].name.empty() ? "" : " (" + expected[i].name + ")";
    throw ShapeError("[program] input " + std::to_string(i) + name + " should be " +
                     to_string(expected[i].type) + ", got " + to_string(inputs[i].type()));
  }
}

bool Executable::Parts::may_run_on_any_thread() const {
  const StraightRun* only = plan.only_run();
  return only != nullptr && only->node_count() != 0 && only->node_count() <= kMostNodesAnywhere &&
         only->longest_chain() <= kLongestChainAnywhere;
}

bool Executable::Parts::is_quick() const {
  const bool is_hot = runs.load(std::memory_order_relaxed) >= kRunsToBeHot;
  const bool fuses =
      options.fusion == Fusion::kAlways || (options.fusion == Fusion::kWhenHot && is_hot);
  const auto mode = fuses ? mlxc::CompileMode::kFuse : mlxc::CompileMode::kReplay;
  return may_run_on_any_thread() && plan.only_run()->has_kernels(mode);
}

// Runs the program without an engine where all of it is computed at once.
std::optional<std::vector<Tensor>> Executable::Parts::run_at_once(std::span<const Tensor> inputs,
                                                                  const RunOptions& run_options) {
  const bool is_ready = std::all_of(inputs.begin(), inputs.end(), [](const Tensor& input) {
    return tensors::is_ready(input.node());
  });
  if (!is_ready || !plan.may_pay_at_once()) return std::nullopt;
  try {
    return run(inputs, run_options);
  } catch (const NeedsEngine&) {
    return std::nullopt;
  }
}

std::vector<Tensor> Executable::Parts::run(std::span<const Tensor> inputs,
                                           const RunOptions& run_options) {
  std::vector<Array> arrays;
  arrays.reserve(inputs.size());
  tensors::Weight sum{weight.depth, weight.work};
  bool all_known = true;  // of those that are ready
  for (const Tensor& input : inputs) {
    if (tensors::is_foreign(input.node())) eval(input);
    arrays.push_back(Array::view(input.node().array));
    const tensors::Node& node = input.node();
    if (node.ready.load(std::memory_order_acquire)) {
      all_known &= node.known.load(std::memory_order_acquire);
    } else {
      mlxc::require_kept(node.generation);
    }
    sum.depth = std::max(sum.depth, weight.depth + node.depth.load(std::memory_order_relaxed));
    sum.work = tensors::add_work(sum.work, node.work.load(std::memory_order_relaxed));
  }
  const bool is_hot = runs.fetch_add(1, std::memory_order_relaxed) >= kRunsToBeHot;
  RunState state(run_options, options.fusion, is_hot);
  std::vector<Array> results = plan.run(state, arrays);

  std::vector<Tensor> outputs;
  outputs.reserve(results.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    outputs.push_back(results[i].block() != nullptr
                          ? tensors::wrap_ready(std::move(results[i]), output_types[i], all_known)
                          : tensors::wrap(std::move(results[i]), output_types[i], sum));
  }
  return outputs;
}

Executable::Executable(Program program, ExecutableOptions options) {
  verify(program);
  auto kept = std::make_shared<const Program>(std::move(program));
  const std::shared_ptr<const Region> region =
      without_marks(std::shared_ptr<const Region>(kept, &kept->main));
  std::vector<Tensor> constants;
  collect_constants(*region, constants);
  eval(constants);
  parts_ = std::make_unique<Parts>(std::move(kept), region, options);
  parts_->captured_bytes = captured_bytes_of(parts_->program->main);
}

Executable::~Executable() = default;

void Executable::check_inputs(std::span<const Tensor> inputs) const {
  parts_->check_inputs(inputs);
}

bool Executable::lasts() const { return parts_->plan.has_loops(); }

const Program& Executable::program() const { return *parts_->program; }

std::size_t Executable::captured_bytes() const { return parts_->captured_bytes; }

std::vector<Tensor> Executable::run(std::span<const Tensor> inputs,
                                    const RunOptions& options) const {
  parts_->check_inputs(inputs);
  if (auto outputs = parts_->run_at_once(inputs, options)) return *std::move(outputs);
  std::vector<Tensor> outputs;
  const Device device = default_device();
  const auto job = [&] {
    const DeviceScope scope(device);
    outputs = parts_->run(inputs, options);
  };
  mlxc::Engine& engine = mlxc::Engine::current();
  if (parts_->may_run_on_any_thread()) {
    engine.run(job);
  } else {
    engine.run_on_own_thread(job);
  }
  return outputs;
}

std::optional<std::vector<Tensor>> Executable::try_run(std::span<const Tensor> inputs) const {
  parts_->check_inputs(inputs);
  const auto is_foreign = [](const Tensor& input) { return tensors::is_foreign(input.node()); };
  if (std::any_of(inputs.begin(), inputs.end(), is_foreign)) return std::nullopt;
  if (!parts_->plan.has_loops()) {
    if (auto outputs = parts_->run_at_once(inputs, {})) return outputs;
  }
  if (!parts_->is_quick()) return std::nullopt;
  std::vector<Tensor> outputs;
  if (!mlxc::Engine::current().try_run([&] { outputs = parts_->run(inputs, {}); }))
    return std::nullopt;
  return outputs;
}

}  // namespace mlxnx::program
