#include "program/straight_run.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "mlxc/engine.h"
#include "mlxc/evaluate.h"
#include "mlxc/graph.h"
#include "mlxc/kernel_compiler.h"
#include "mlxc/thread_state.h"
#include "mlxnx/device.h"
#include "mlxnx/error.h"
#include "ops/invoke.h"
#include "program/function_region.h"
#include "program/verifier.h"
#include "tensor/node.h"

namespace mlxnx::program {
namespace {

using mlxc::Array;

// The elements of a captured tensor, where ops may look at them. It has been evaluated.
const void* known_data(const Tensor& constant) {
  const Array& array = constant.node().array;
  if (default_device() != Device::kCpu || !mlxc::is_row_contiguous(array)) return nullptr;
  return mlxc::data_pointer(array);
}

// Builds the graph of a run's instructions.
class Tracing {
 public:
  explicit Tracing(std::span<const TensorType> types) : types_(types) {}

  void set(ValueId id, Array array, const void* known = nullptr) {
    values_.insert_or_assign(id, Value{std::move(array), known});
  }
  const Array& get(ValueId id) const { return values_.at(id).array; }

  void add(const Instruction& instruction) {
    if (instruction.kind == InstructionKind::kConstant) {
      add_number(instruction);
      return;
    }
    const std::size_t own = own_operands(instruction);
    std::vector<ops::Operand> operands;
    operands.reserve(own);
    for (std::size_t i = 0; i < own; ++i) {
      const ValueId id = instruction.operands[i];
      const Value& value = values_.at(id);
      operands.push_back({&types_[id], &value.array, value.known, nullptr});
    }
    std::vector<Array> outputs =
        instruction.regions.empty()
            ? ops::build_as(*instruction.op, operands, instruction.attrs, instruction.outputs)
            : build_with_function(instruction, operands);
    for (std::size_t i = 0; i < outputs.size(); ++i)
      set(instruction.first + static_cast<ValueId>(i), std::move(outputs[i]),
          known_scalar(instruction, outputs[i]));
  }

 private:
  struct Value {
    Array array;
    const void* known;
  };

  // A copy: MLX refuses to trace a function that uses one of its inputs in another way, and the
  // tensor may be passed as an input, too.
  void add_number(const Instruction& instruction) {
    const Tensor& constant = *instruction.constant;
    const mlxc::Ints shape(constant.shape());
    Array copy = mlxc::from_bytes(constant.to_bytes().data(), {shape.data(), shape.size()},
                                  mlxc::to_mlx(constant.dtype()));
    const void* const known = known_data(constant);
    set(instruction.first, std::move(copy), known);
  }

  std::vector<Array> build_with_function(const Instruction& instruction,
                                         std::span<const ops::Operand> operands) const {
    std::vector<Array> captures;
    for (std::size_t i = operands.size(); i < instruction.operands.size(); ++i)
      captures.push_back(get(instruction.operands[i]));
    const ops::Attrs attrs =
        with_function(instruction.attrs, *instruction.op,
                      as_function(*instruction.regions.front(), std::move(captures)));
    return ops::build_as(*instruction.op, operands, attrs, instruction.outputs);
  }

  static const void* known_scalar(const Instruction& instruction, const Array& output) {
    const bool known = instruction.op->group == ops::Group::kCreation &&
                       instruction.outputs.front().shape.empty() && mlxc::is_computed(output);
    return known ? mlxc::data_pointer(output) : nullptr;
  }

  std::span<const TensorType> types_;
  std::unordered_map<ValueId, Value> values_;
};

}  // namespace

bool folds_with_function(const Instruction& instruction) {
  return instruction.kind == InstructionKind::kOp && !instruction.regions.empty();
}

bool is_straight(const Instruction& instruction) {
  return instruction.kind == InstructionKind::kOp || instruction.kind == InstructionKind::kConstant;
}

bool is_inlined(const Tensor& constant) { return constant.size() == 1; }

StraightRun::StraightRun(std::span<const Instruction> instructions,
                         std::span<const TensorType> types, std::vector<ValueId> inputs,
                         std::vector<ValueId> outputs)
    : instructions_(instructions),
      types_(types),
      inputs_(std::move(inputs)),
      outputs_(std::move(outputs)),
      is_replayable_(std::none_of(instructions.begin(), instructions.end(), folds_with_function)) {}

std::vector<Array> StraightRun::build(std::span<const Array> inputs) const {
  const std::uint64_t before = mlxc::thread_state.nodes;
  Tracing tracing(types_);
  std::unordered_set<ValueId> given;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    given.insert(inputs_[i]);
    tracing.set(inputs_[i], inputs[i]);
  }
  for (const Instruction& instruction : instructions_) {
    if (instruction.kind != InstructionKind::kConstant || is_inlined(*instruction.constant)) {
      tracing.add(instruction);
    } else if (given.contains(instruction.first)) {
      // Came in as an input, so that MLX's caches hold no large tensor.
      tracing.set(instruction.first, tracing.get(instruction.first),
                  known_data(*instruction.constant));
    }
  }
  std::vector<Array> results;
  results.reserve(outputs_.size());
  const mlxc::StreamScope stream(mlxc::Engine::current().stream(default_device()));
  for (const ValueId id : outputs_) {
    const Array& result = tracing.get(id);
    // MLX merges equal numbers, and forgets (0.31.2) that one of them may be an output.
    results.push_back(mlxc::is_computed(result) ? mlxc::copy(result) : result);
  }
  node_count_.store(mlxc::thread_state.nodes - before + 1, std::memory_order_relaxed);
  return results;
}

const mlxc::CompiledClosure& StraightRun::closure(mlxc::CompileMode mode) const {
  Slot& slot =
      slots_[2 * static_cast<std::size_t>(default_device()) + static_cast<std::size_t>(mode)];
  std::call_once(slot.once, [&] {
    slot.closure = std::make_unique<mlxc::CompiledClosure>(
        [this](std::span<const Array> inputs) { return build(inputs); }, mode);
  });
  return *slot.closure;
}

std::vector<Array> StraightRun::operator()(std::span<const Array> inputs,
                                           mlxc::CompileMode mode) const {
  if (!is_replayable_ || mlxc::is_compilation_disabled()) return build(inputs);
  const bool fuse = mode == mlxc::CompileMode::kFuse && mlxc::can_fuse();
  return fuse ? run_fused(inputs) : closure(mlxc::CompileMode::kReplay)(inputs);
}

// The first time the results are computed at once: kernels are compiled then, which takes long and
// may fail, and nobody who reads the results later should meet that.
std::vector<Array> StraightRun::run_fused(std::span<const Array> inputs) const {
  std::vector<Array> results = closure(mlxc::CompileMode::kFuse)(inputs);
  if (kernels_are_made_.load(std::memory_order_relaxed)) return results;
  try {
    const mlxc::NativeKernelScope scope;
    mlxc::eval(mlxc::ArrayVector(results));
  } catch (const BackendError& error) {
    mlxc::stop_fusing(error.what());
    return closure(mlxc::CompileMode::kReplay)(inputs);
  }
  kernels_are_made_.store(true, std::memory_order_relaxed);
  return results;
}

bool StraightRun::has_kernels(mlxc::CompileMode mode) const {
  return mode != mlxc::CompileMode::kFuse || !mlxc::can_fuse() ||
         kernels_are_made_.load(std::memory_order_relaxed);
}

}  // namespace mlxnx::program
