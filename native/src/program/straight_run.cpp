#include "program/straight_run.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "mlxc/ending.h"
#include "mlxc/engine.h"
#include "mlxc/evaluate.h"
#include "mlxc/f64_on_gpu.h"
#include "mlxc/fusion.h"
#include "mlxc/graph.h"
#include "mlxc/host_kernels.h"
#include "mlxc/kernel_compiler.h"
#include "mlxc/kernel_node.h"
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

// To have MLX trace a run costs three times what building its graph costs, and pays from the third
// replay on: a long one is only built until it has been run so often.
constexpr std::size_t kLongToTrace = 512;
constexpr std::uint32_t kRunsToTrace = 3;

// The elements of a captured tensor, where ops may look at them. It has been evaluated.
const void* known_data(const Tensor& constant) {
  const Array& array = constant.node().array;
  if (default_device() != Device::kCpu || !mlxc::is_row_contiguous(array)) return nullptr;
  return mlxc::data_pointer(array);
}

// What a run costs in nanoseconds, computed at once and as a graph that is fused as far as can be.
struct Costs {
  double at_once = 0;
  double graph = 20'000;  // to evaluate anything

  /// Returns: whether the instruction can be computed at once.
  bool add(const Instruction& instruction, std::span<const TensorType> types) {
    if (instruction.kind == InstructionKind::kConstant) return true;
    if (!instruction.regions.empty() && instruction.op->name != "reduce") return false;
    if (instruction.op->group == ops::Group::kQuantization)
      return add_quantized(instruction, types);
    // What the host computes at once holds no more, in bytes.
    constexpr double kMost = mlxc::HostBlock::kMostBytes;
    double elements = 0;
    const auto look_at = [&elements](const TensorType& type) {
      elements = std::max(elements, static_cast<double>(element_count(type.shape)));
      return !is_complex(type.dtype) && elements <= kMost;
    };
    // Of a large tensor that is there, parts are read where they lie.
    const std::size_t read = instruction.op->reads_a_part ? 1 : 0;
    for (const ValueId id : std::span(instruction.operands).subspan(read)) {
      if (!look_at(types[id])) return false;
    }
    for (const TensorType& type : instruction.outputs) {
      if (!look_at(type) || elements * static_cast<double>(size_bytes(type.dtype)) > kMost)
        return false;
    }
    switch (instruction.op->group) {
      case ops::Group::kCreation:
      case ops::Group::kBinary:
      case ops::Group::kShape:
        return add(300 + 0.15 * elements, 300 + 0.1 * elements);
      case ops::Group::kUnary:
        return add(400 + 2 * elements, 300 + 2 * elements);
      case ops::Group::kIndexing:
      case ops::Group::kReduction:
        if (!instruction.regions.empty()) return add_fold(elements);
        return add(800 + 4 * elements, 5'000 + elements);
      case ops::Group::kSort:
        return add(800 + 40 * elements, 5'000 + 40 * elements);
      case ops::Group::kContraction:
        return add_product(instruction, types);
      default:
        return false;
    }
  }

 private:
  bool add(double now, double later) {
    at_once += now;
    graph += later;
    return true;
  }
  // With a function, from which a kernel is made each time.
  bool add_fold(double elements) {
    if (!mlxc::has_kernels()) return false;
    return add(15'000 + 50 * elements, 20'000 + 50 * elements);
  }
  // The same kernel serves both, and takes some ten weights in a nanosecond. The left operand has
  // to be small, or the packed matrix where there is none.
  bool add_quantized(const Instruction& instruction, std::span<const TensorType> types) {
    const std::string_view name = instruction.op->name;
    const bool is_product = name == "fast:quantized_dot" || name == "fast:gather_quantized_dot";
    if (!mlxc::has_kernels() || (!is_product && name != "fast:dequantize")) return false;
    const auto size = [&types](ValueId id) {
      return static_cast<double>(element_count(types[id].shape));
    };
    constexpr double kMost = 1 << 14;
    if (size(instruction.operands[0]) > kMost) return false;
    const double work = is_product ? size(instruction.operands[1]) : size(instruction.operands[0]);
    return add(1'500 + work, 5'000 + work);
  }
  bool add_product(const Instruction& instruction, std::span<const TensorType> types) {
    const bool is_f32 = instruction.outputs.front().dtype == DType::f32;
    if (instruction.op->name != "dot" || !is_f32) return false;
    const auto size = [&types](ValueId id) {
      return static_cast<double>(element_count(types[id].shape));
    };
    const double out = static_cast<double>(element_count(instruction.outputs.front().shape));
    // Of a product of matrices; batches make it more than it is.
    const double products =
        std::sqrt(size(instruction.operands[0]) * size(instruction.operands[1]) * out);
    return add(1'500 + 0.2 * products, 5'000 + 0.2 * products);
  }
};

bool may_pay_at_once(std::span<const Instruction> instructions, std::span<const TensorType> types) {
  if (!mlxc::AtOnceScope::is_allowed()) return false;
  Costs costs;
  for (const Instruction& instruction : instructions) {
    if (!costs.add(instruction, types) || costs.at_once > costs.graph) return false;
  }
  return true;
}

// A kernel over so many elements takes much longer than one over a single element.
constexpr std::int64_t kManyElements = 4096;

// The same single element, as something that MLX does not fuse with what reads it.
Array set_apart(const Array& single, DType type) {
  const mlxc::StreamScope stream(mlxc::Engine::current().stream(mlxc::device_for(type)));
  return mlxc::squeeze_axes(mlxc::expand_dims_axes(single, {0}), {0});
}

// Builds the graph of a run's instructions, or computes them.
class RunBuilder {
 public:
  RunBuilder(std::span<const TensorType> types, Building building)
      : types_(types),
        at_once_(building == Building::kAtOnce),
        fuses_(building == Building::kFusedGraph),
        values_(types.size()) {}

  void set(ValueId id, Array array, const void* known = nullptr) {
    values_[id] = Value{std::move(array), known};
  }
  const Array& get(ValueId id) const { return values_[id].array; }
  /// No chain of nodes that ends here is longer.
  std::uint64_t chain(ValueId id) const { return values_[id].chain; }

  void add_number(const Instruction& instruction) {
    const Tensor& constant = *instruction.constant;
    Array number = at_once_ ? Array::view(constant.node().array) : copy_of(constant);
    set(instruction.first, std::move(number), known_data(constant));
  }

  /// `targets`: as for `ops::build_towards`, where they are known.
  void add(const Instruction& instruction, const ops::OutputTypes* targets) {
    const std::size_t own = own_operands(instruction);
    InlineVector<ops::Operand, 4> operands;
    for (std::size_t i = 0; i < own; ++i) {
      const ValueId id = instruction.operands[i];
      const Value& value = values_[id];
      operands.push_back({&types_[id], &operand(id, instruction), value.known, nullptr});
    }
    const bool takes_long = is_long_for_one_element(instruction);
    const std::uint64_t before = mlxc::thread_state.nodes;
    std::vector<Array> outputs = build(instruction, operands, targets);
    std::uint64_t chain = 0;
    for (const ValueId id : instruction.operands) chain = std::max(chain, values_[id].chain);
    chain += mlxc::thread_state.nodes - before;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const void* known = known_scalar(instruction, outputs[i]);
      const ValueId id = instruction.first + static_cast<ValueId>(i);
      set(id, std::move(outputs[i]), known);
      values_[id].takes_long = takes_long;
      values_[id].chain = chain;
    }
  }

 private:
  struct Value {
    Array array;
    const void* known = nullptr;
    bool takes_long = false;  // a single element that a kernel should not compute again
    Array apart = {};         // then: as what reads many elements takes it
    std::uint64_t chain = 0;
  };

  // MLX fuses what computes a single element into every kernel that reads it.
  const Array& operand(ValueId id, const Instruction& reader) {
    Value& value = values_[id];
    if (!value.takes_long || element_count(reader.outputs.front().shape) < kManyElements)
      return value.array;
    if (value.apart.empty()) value.apart = set_apart(value.array, types_[id].dtype);
    return value.apart;
  }

  // Whether a kernel should not compute it again for each of its elements, while its operands are
  // the same for all of them.
  bool is_long_for_one_element(const Instruction& instruction) const {
    if (!fuses_) return false;
    const auto is_single = [](const TensorType& type) { return element_count(type.shape) == 1; };
    const Operands& operands = instruction.operands;
    if (!is_single(instruction.outputs.front()) || operands.empty() ||
        !std::all_of(operands.begin(), operands.end(),
                     [&](ValueId id) { return is_single(types_[id]); }))
      return false;
    return instruction.op->takes_long ||
           std::any_of(operands.begin(), operands.end(),
                       [this](ValueId id) { return values_[id].takes_long; });
  }

  // MLX refuses to trace a function that uses one of its inputs in another way, and the tensor may
  // be passed as an input, too.
  static Array copy_of(const Tensor& constant) {
    const mlxc::Ints shape(constant.shape());
    return mlxc::from_bytes(constant.to_bytes().data(), {shape.data(), shape.size()},
                            mlxc::to_mlx(constant.dtype()));
  }

  std::vector<Array> build(const Instruction& instruction, std::span<const ops::Operand> operands,
                           const ops::OutputTypes* targets) const {
    const ops::OpDef& op = *instruction.op;
    ops::Attrs attrs = instruction.attrs;
    if (!instruction.regions.empty()) {
      std::vector<Array> captures;
      for (std::size_t i = operands.size(); i < instruction.operands.size(); ++i)
        captures.push_back(get(instruction.operands[i]));
      attrs =
          with_function(attrs, op, as_function(*instruction.regions.front(), std::move(captures)));
    }
    if (targets == nullptr) return ops::build_as(op, operands, attrs, instruction.outputs);
    return ops::build_towards(op, operands, attrs, *targets, instruction.outputs, at_once_);
  }

  static const void* known_scalar(const Instruction& instruction, const Array& output) {
    const bool known = instruction.op->group == ops::Group::kCreation &&
                       instruction.outputs.front().shape.empty() && mlxc::is_computed(output);
    return known ? mlxc::data_pointer(output) : nullptr;
  }

  std::span<const TensorType> types_;
  bool at_once_;
  bool fuses_;
  std::vector<Value> values_;
};

// The types that the instructions' evaluators work towards.
std::vector<ops::OutputTypes> targets_of(std::span<const Instruction> instructions,
                                         std::span<const TensorType> types) {
  std::vector<ops::OutputTypes> targets;
  for (const Instruction& instruction : instructions) {
    if (instruction.kind == InstructionKind::kConstant) {
      targets.emplace_back();
      continue;
    }
    std::vector<ops::Operand> operands;
    for (std::size_t i = 0; i < own_operands(instruction); ++i)
      operands.push_back({&types[instruction.operands[i]]});
    targets.push_back(
        ops::targets(*instruction.op, operands, instruction.attrs, instruction.outputs));
  }
  return targets;
}

}  // namespace

void require_engine() {
  if (!mlxc::Engine::current().inside()) throw NeedsEngine();
}

bool folds_with_function(const Instruction& instruction) {
  return instruction.kind == InstructionKind::kOp && !instruction.regions.empty();
}

bool is_straight(const Instruction& instruction) {
  return instruction.kind == InstructionKind::kOp || instruction.kind == InstructionKind::kConstant;
}

bool is_inlined(const Tensor& constant) { return constant.size() == 1; }

namespace {
bool answers_f64(const Instruction& instruction) {
  return std::any_of(instruction.outputs.begin(), instruction.outputs.end(),
                     [](const TensorType& type) { return type.dtype == DType::f64; });
}
}  // namespace

StraightRun::StraightRun(std::span<const Instruction> instructions,
                         std::span<const TensorType> types, std::vector<ValueId> inputs,
                         std::vector<ValueId> outputs)
    : instructions_(instructions),
      types_(types),
      inputs_(std::move(inputs)),
      outputs_(std::move(outputs)),
      is_replayable_(std::none_of(instructions.begin(), instructions.end(), folds_with_function)),
      uses_f64_(std::any_of(instructions.begin(), instructions.end(), answers_f64)),
      pays_at_once_(may_pay_at_once(instructions, types)) {
  if (pays_at_once_.load(std::memory_order_relaxed)) targets_ = targets_of(instructions, types);
}

std::vector<Array> StraightRun::build(std::span<const Array> inputs, Building building) const {
  const bool at_once = building == Building::kAtOnce;
  RunBuilder builder(types_, building);
  std::vector<bool> is_given(types_.size(), false);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    is_given[inputs_[i]] = true;
    builder.set(inputs_[i], Array::view(inputs[i]));
  }
  for (std::size_t i = 0; i < instructions_.size(); ++i) {
    const Instruction& instruction = instructions_[i];
    const bool is_constant = instruction.kind == InstructionKind::kConstant;
    if (!is_constant) {
      builder.add(instruction, at_once ? &targets_[i] : nullptr);
    } else if (is_inlined(*instruction.constant)) {
      builder.add_number(instruction);
    } else if (is_given[instruction.first]) {
      // Came in as an input, so that MLX's caches hold no large tensor.
      builder.set(instruction.first, Array::view(builder.get(instruction.first)),
                  known_data(*instruction.constant));
    }
  }
  std::vector<Array> results;
  results.reserve(outputs_.size());
  std::uint64_t chain = 0;
  for (const ValueId id : outputs_) {
    results.emplace_back(std::as_const(builder.get(id)));
    chain = std::max(chain, builder.chain(id));
  }
  if (!at_once) longest_chain_.store(chain, std::memory_order_relaxed);
  return results;
}

std::vector<Array> StraightRun::trace(std::span<const Array> inputs, mlxc::CompileMode mode) const {
  const std::uint64_t before = mlxc::thread_state.nodes;
  const bool fuses = mode == mlxc::CompileMode::kFuse;
  std::vector<Array> results = build(inputs, fuses ? Building::kFusedGraph : Building::kGraph);
  for (Array& result : results) {
    // MLX merges equal numbers, and forgets (0.31.2) that one of them may be an output.
    if (!mlxc::is_computed(result)) continue;
    const Device device = mlxc::device_for(result.dtype());
    const mlxc::StreamScope stream(mlxc::Engine::current().stream(device));
    result = mlxc::copy(result);
  }
  node_count_.store(mlxc::thread_state.nodes - before + 1, std::memory_order_relaxed);
  return mlxc::fusion() == mlxc::Fusion::kByKernels ? mlxc::fused(results, inputs) : results;
}

bool StraightRun::pays_at_once() const {
  return pays_at_once_.load(std::memory_order_relaxed) && default_device() == Device::kCpu;
}

std::vector<Array> StraightRun::compute_at_once(std::span<const Array> inputs) const {
  std::vector<Array> results = build(inputs, Building::kAtOnce);
  if (!std::all_of(results.begin(), results.end(), mlxc::is_computed))
    pays_at_once_.store(false, std::memory_order_relaxed);
  return results;
}

const mlxc::CompiledClosure& StraightRun::closure(mlxc::CompileMode mode) const {
  Slot& slot =
      slots_[2 * static_cast<std::size_t>(default_device()) + static_cast<std::size_t>(mode)];
  std::call_once(slot.once, [&] {
    slot.closure = std::make_unique<mlxc::CompiledClosure>(
        [this, mode](std::span<const Array> inputs) { return trace(inputs, mode); }, mode);
  });
  return *slot.closure;
}

std::vector<Array> StraightRun::operator()(std::span<const Array> inputs,
                                           mlxc::CompileMode mode) const {
  const mlxc::ShortCall call;
  if (pays_at_once() && std::all_of(inputs.begin(), inputs.end(), mlxc::is_computed))
    return compute_at_once(inputs);
  require_engine();
  if (!is_replayable_ || mlxc::is_compilation_disabled())
    return trace(inputs, mlxc::CompileMode::kReplay);
  if (mode == mlxc::CompileMode::kFuse && may_fuse()) return run_fused(inputs);
  const bool is_long = instructions_.size() >= kLongToTrace;
  if (is_long && runs_.fetch_add(1, std::memory_order_relaxed) < kRunsToTrace)
    return trace(inputs, mlxc::CompileMode::kReplay);
  return closure(mlxc::CompileMode::kReplay)(inputs);
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
    mlxc::note_failed_kernel(error.what());
    is_unfusable_.store(true, std::memory_order_relaxed);
    return closure(mlxc::CompileMode::kReplay)(inputs);
  }
  kernels_are_made_.store(true, std::memory_order_relaxed);
  return results;
}

bool StraightRun::may_fuse() const {
  // On a GPU machine f64 runs on the CPU, where fusing takes a compiler that may not be there.
  const bool needs_cpu_kernels = uses_f64_ && default_device() == Device::kGpu;
  return !needs_cpu_kernels && !is_unfusable_.load(std::memory_order_relaxed) &&
         mlxc::fusion() == mlxc::Fusion::kByCompiler;
}

bool StraightRun::has_kernels(mlxc::CompileMode mode) const {
  return mode != mlxc::CompileMode::kFuse || !may_fuse() ||
         kernels_are_made_.load(std::memory_order_relaxed);
}

}  // namespace mlxnx::program
