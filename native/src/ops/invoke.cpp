#include "ops/invoke.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "mlxc/check.h"
#include "mlxc/ending.h"
#include "mlxc/engine.h"
#include "mlxc/f64_on_gpu.h"
#include "mlxc/fusion.h"
#include "mlxc/graph.h"
#include "mlxc/host_kernels.h"
#include "mlxc/memory.h"
#include "ops/operands.h"
#include "ops/recorder.h"
#include "ops/registry.h"
#include "tensor/node.h"

namespace mlxnx::ops {
namespace {

void check_operand_count(const OpDef& op, std::size_t count) {
  const bool enough = static_cast<std::int64_t>(count) >= op.min_operands;
  const bool not_too_many =
      op.max_operands == kVariadic || static_cast<std::int64_t>(count) <= op.max_operands;
  if (enough && not_too_many) return;
  std::string takes = std::to_string(op.min_operands);
  if (op.max_operands == kVariadic) takes += " or more";
  if (op.max_operands > op.min_operands) takes += " to " + std::to_string(op.max_operands);
  throw ArgumentError("[" + std::string(op.name) + "] takes " + takes + " operands, got " +
                      std::to_string(count));
}

// What Nx's rules answer, unless MLX can't count it.
OutputTypes infer_countable(const Call& call) {
  OutputTypes outputs = call.op.infer(call);
  for (const TensorType& type : outputs) {
    mlxc::check_countable(type, call.op.name);
    if (std::any_of(type.shape.begin(), type.shape.end(), [](std::int64_t dim) { return dim < 0; }))
      call.shape_error("the output would be " + to_string(type));
  }
  return outputs;
}

Device place(const OpDef& op, std::span<const Operand> operands, const Attrs& attrs,
             std::span<const TensorType> outputs) {
  const Device device = default_device();
  if (device == Device::kCpu || op.placement == Placement::kCpuOnly) return Device::kCpu;
  const bool uses_f64 = std::any_of(operands.begin(), operands.end(),
                                    [](const Operand& o) { return o.type->dtype == DType::f64; }) ||
                        std::any_of(outputs.begin(), outputs.end(),
                                    [](const TensorType& t) { return t.dtype == DType::f64; });
  // Of a result that is wanted in another type.
  const auto* own = attrs.get_if<DType>("type");
  if (!uses_f64 && (own == nullptr || *own != DType::f64)) return device;
  mlxc::note_f64_on_cpu(op.name);
  return Device::kCpu;
}

// An evaluator's result as the array of an output: of the output's type, and not a view of an
// operand.
mlxc::Array finish(mlxc::Array array, DType type) {
  const mlx_dtype found = array.mlx_type();
  const bool same_bytes = found == mlxc::to_mlx(type) || (found == MLX_BOOL && type == DType::u8);
  if (!same_bytes)
    return is_float(type) ? convert(array, mlxc::from_mlx(found), type) : mlxc::astype(array, type);
  return array.is_view() ? mlxc::Array(std::as_const(array)) : std::move(array);
}

void check_wanted(const OpDef& op, std::span<const TensorType> inferred,
                  std::span<const TensorType> wanted) {
  bool fits = inferred.size() == wanted.size();
  for (std::size_t i = 0; fits && i < wanted.size(); ++i)
    fits = inferred[i].shape == wanted[i].shape;
  if (fits) return;
  std::string text = "[" + std::string(op.name) + "] the outputs are";
  for (const TensorType& type : inferred) text += " " + to_string(type);
  text += ", and were expected as";
  for (const TensorType& type : wanted) text += " " + to_string(type);
  throw ShapeError(text);
}

// Whether an evaluator may work towards `wanted` where the rules say `inferred`. It may not know
// what to do with a type of another kind: a float for a bitwise op, a complex number for erf_inv.
bool are_akin(DType inferred, DType wanted) {
  return is_integer(inferred) == is_integer(wanted) && is_complex(inferred) == is_complex(wanted);
}

Tensor cast(const Tensor& tensor, DType type) {
  static const OpDef& row = ops::op("as_type");
  return invoke(row, {tensor}, {{"type", type}});
}

// MLX's CPU kernels of these groups count through an operand in 32 bits, and would read outside of
// a longer one.
void check_kernel_counts(const OpDef& op, std::span<const Operand> operands, Device device) {
  if (device != Device::kCpu) return;
  if (op.group != Group::kReduction && op.group != Group::kWindow && op.group != Group::kSort &&
      op.group != Group::kFft)
    return;
  for (const Operand& operand : operands) {
    if (element_count(operand.type->shape) <= std::numeric_limits<std::int32_t>::max()) continue;
    throw UnsupportedError("[" + std::string(op.name) + "] an operand is " +
                           to_string(*operand.type) +
                           ", and on the CPU this op takes at most 2147483647 elements; split it");
  }
}

// What graph building needs on this thread: the stream of the op's device, the op's name for
// errors, and whether small arrays are to be computed at once.
class BuildScope {
 public:
  BuildScope(const OpDef& op, std::span<const Operand> operands, const Attrs& attrs,
             std::span<const TensorType> outputs, bool at_once)
      : device_(place(op, operands, attrs, outputs)),
        stream_(mlxc::Engine::current().stream(device_)),
        name_(op.name.data()),
        at_once_(at_once && default_device() == Device::kCpu) {
    check_kernel_counts(op, operands, device_);
    // First, so that evaluators may count the bytes of their outputs without overflow.
    for (const TensorType& type : outputs) mlxc::check_fits(type.shape, size_bytes(type.dtype));
  }

 private:
  Device device_;
  mlxc::StreamScope stream_;
  mlxc::OpScope name_;
  mlxc::AtOnceScope at_once_;
};

// The types that an evaluator works towards where the caller wants `wanted`.
void approach(OutputTypes& outputs, std::span<const TensorType> wanted) {
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (are_akin(outputs[i].dtype, wanted[i].dtype)) outputs[i].dtype = wanted[i].dtype;
  }
}

[[noreturn]] void refuse_moved_from(const OpDef& op, std::size_t i) {
  throw ArgumentError("[" + std::string(op.name) + "] operand " + std::to_string(i) +
                      " is a moved-from tensor, which has no value");
}

std::vector<Tensor> record(const OpDef& op, const Operands& operands, const Attrs& attrs,
                           std::span<const TensorType> wanted) {
  Recorder* const recorder = current_recorder();
  if (recorder != nullptr) return recorder->record(op, operands, attrs, wanted);
  throw ArgumentError("[" + std::string(op.name) +
                      "] a tensor of a traced function was kept beyond its tracing");
}

// Everything that one eager call needs, kept on the stack.
class EagerCall {
 public:
  EagerCall(const OpDef& op, const Operands& operands, const Attrs& attrs)
      : op_(op), tensors_(operands), attrs_(&attrs) {
    check_operand_count(op, operands.size());
    if (!is_normal(attrs, op.attrs)) {
      normalised_ = normalise(attrs, op.attrs, op.name);
      attrs_ = &*normalised_;
    }
    for (std::size_t i = 0; i < operands.size(); ++i) {
      if (operands[i].is_moved_from()) [[unlikely]]
        refuse_moved_from(op, i);
      tensors::Node& node = operands[i].node();
      if (tensors::is_foreign(node)) [[unlikely]]
        eval(operands[i]);
      operands_.push_back({&node.type, &node.array, nullptr, &node.ready, &node.known});
      const bool is_ready = tensors::is_ready(node);
      weight_.depth = std::max(weight_.depth, node.depth.load(std::memory_order_relaxed));
      weight_.work = tensors::add_work(weight_.work, node.work.load(std::memory_order_relaxed));
      if (!is_ready) weight_.generation = std::min(weight_.generation, node.generation);
      all_ready_ &= is_ready;
      all_known_ &= !is_ready || node.known.load(std::memory_order_acquire);
    }
  }

  /// Whether an operand stands for a value of a function that is being traced, or all calls are
  /// recorded.
  bool is_traced() const { return weight_.depth == tensors::kTraced || records_all(); }

  OutputTypes infer() const { return infer_countable({op_, operands_, *attrs_}); }

  Tensor run_one(OutputTypes outputs) {
    find_known_data();
    const BuildScope scope(op_, operands_, *attrs_, outputs, all_ready_);
    const Call call{op_, operands_, *attrs_, outputs};
    const std::uint64_t before = mlxc::thread_state.nodes;
    mlxc::Array array = finish(op_.eval(call), outputs[0].dtype);
    const bool is_of_several = array.block() == nullptr && mlxc::thread_state.nodes > before + 1;
    if (is_of_several && array.size() >= kManyElements && !calls_function()) array = fused(array);
    return wrap(std::move(array), outputs, 0);
  }

  std::vector<Tensor> run_all(OutputTypes outputs) {
    if (op_.eval != nullptr) return {run_one(std::move(outputs))};
    find_known_data();
    const BuildScope scope(op_, operands_, *attrs_, outputs, all_ready_);
    std::vector<mlxc::Array> arrays = build(op_, operands_, *attrs_, outputs);
    std::vector<Tensor> results;
    results.reserve(arrays.size());
    for (std::size_t i = 0; i < arrays.size(); ++i)
      results.push_back(wrap(std::move(arrays[i]), outputs, i));
    return results;
  }

 private:
  // From so many elements on, a pass through memory costs more than to look at the nodes of an op.
  static constexpr std::int64_t kManyElements = 4096;

  // A function takes what it captures from anywhere.
  bool calls_function() const {
    return std::ranges::any_of(
        op_.attrs, [](const AttrDef& attr) { return attr.kind == AttrKind::kFunction; });
  }

  // The nodes that the op was made of, as few as can be.
  mlxc::Array fused(const mlxc::Array& array) const {
    if (mlxc::fusion() != mlxc::Fusion::kByKernels) return array;
    std::vector<mlxc::Array> given;
    for (const Operand& operand : operands_) given.push_back(mlxc::Array::view(*operand.array));
    mlxc::Array result = std::move(mlxc::fused({&array, 1}, given).front());
    result.set_axis_order(array.axis_order());
    return result;
  }

  // What was computed at once, or is a constant, needs no evaluation: ops may look at its elements.
  Tensor wrap(mlxc::Array array, const OutputTypes& outputs, std::size_t i) const {
    if (array.block() != nullptr || (all_ready_ && mlxc::is_computed(array)))
      return tensors::wrap_ready(std::move(array), outputs[i], all_known_);
    const tensors::Work own = work_of(op_, operands_, outputs);
    return tensors::wrap(
        std::move(array), outputs[i],
        {weight_.depth + 1, tensors::add_work(weight_.work, own), weight_.generation});
  }

  // Only ops that index look at their operands' values, and only host memory may be read here.
  void find_known_data() {
    const bool wants = op_.group == Group::kIndexing || op_.group == Group::kLinalg ||
                       op_.group == Group::kQuantization;
    if (!wants || default_device() != Device::kCpu) return;
    for (std::size_t i = 0; i < operands_.size(); ++i) {
      const tensors::Node& node = tensors_[i].node();
      if (!node.known.load(std::memory_order_acquire) || !mlxc::is_row_contiguous(node.array))
        continue;
      operands_[i].known_data = mlxc::data_pointer(node.array);
    }
  }

  const mlxc::ShortCall call_;
  const OpDef& op_;
  const Operands& tensors_;
  const Attrs* attrs_;
  std::optional<Attrs> normalised_;
  InlineVector<Operand, 4> operands_;
  tensors::Weight weight_;  // of the operands' graphs
  bool all_ready_ = true;
  bool all_known_ = true;  // of those that are ready: a result that is there needed no others
};

}  // namespace

void Call::shape_error(const std::string& what) const {
  throw ShapeError("[" + std::string(op.name) + "] " + what);
}
void Call::type_error(const std::string& what) const {
  throw TypeError("[" + std::string(op.name) + "] " + what);
}
void Call::argument_error(const std::string& what) const {
  throw ArgumentError("[" + std::string(op.name) + "] " + what);
}
void Call::value_error(const std::string& what_nx_says) const {
  throw ValueError(std::string(op.name), what_nx_says);
}
void Call::arithmetic_error(const std::string& what_nx_says) const {
  throw ArithmeticError(std::string(op.name), what_nx_says);
}
void Call::unsupported(const std::string& what) const {
  throw UnsupportedError("[" + std::string(op.name) + "] " + what);
}

// A rough bound on the time of a call. A kernel starts in one or two microseconds; rows of some
// groups are made of many kernels, f64 and complex ones of more still, and contractions and their
// like combine all elements with all.
tensors::Work work_of(const OpDef& op, std::span<const Operand> operands,
                      std::span<const TensorType> outputs) {
  double in = 0, out = 0;
  for (const Operand& operand : operands)
    in += static_cast<double>(element_count(operand.type->shape));
  for (const TensorType& type : outputs) out += static_cast<double>(element_count(type.shape));
  double nanoseconds = 0;
  switch (op.group) {
    case Group::kCreation:
    case Group::kBinary:
    case Group::kShape:
      nanoseconds = 2'500 + 5 * std::max(in, out);
      break;
    case Group::kUnary:
    case Group::kIndexing:
    case Group::kReduction:
    case Group::kRandom:
      nanoseconds = 10'000 + 20 * std::max(in, out);
      break;
    case Group::kWindow:
    case Group::kContraction:
    case Group::kQuantization:
    case Group::kFast:
    case Group::kSort:
    case Group::kFft:
      nanoseconds = 20'000 + 5 * in * out;
      break;
    case Group::kLinalg:
      return tensors::kMuchWork;
  }
  const DType type = outputs[0].dtype;
  if (type == DType::f64 || is_complex(type)) nanoseconds *= 8;
  return static_cast<tensors::Work>(std::min<double>(nanoseconds, tensors::kMuchWork));
}

OutputTypes infer_types(const OpDef& op, std::span<const TensorType> operands, const Attrs& attrs) {
  check_operand_count(op, operands.size());
  InlineVector<Operand, 4> views;
  for (const TensorType& type : operands) views.push_back({&type, nullptr, nullptr, nullptr});
  if (is_normal(attrs, op.attrs)) return infer_countable({op, views, attrs});
  const Attrs normalised = normalise(attrs, op.attrs, op.name);
  return infer_countable({op, views, normalised});
}

std::vector<mlxc::Array> build(const OpDef& op, std::span<const Operand> operands,
                               const Attrs& attrs, std::span<const TensorType> outputs) {
  const Call call{op, operands, attrs, outputs};
  std::vector<mlxc::Array> arrays;
  if (op.eval != nullptr) {
    arrays.push_back(op.eval(call));
  } else {
    arrays = op.eval_many(call);
  }
  for (std::size_t i = 0; i < arrays.size(); ++i)
    arrays[i] = finish(std::move(arrays[i]), outputs[i].dtype);
  return arrays;
}

Tensor invoke_as(const OpDef& op, const Operands& operands, const Attrs& attrs,
                 const TensorType& wanted) {
  EagerCall call(op, operands, attrs);
  if (call.is_traced()) [[unlikely]]
    return record(op, operands, attrs, {&wanted, 1}).front();
  OutputTypes outputs = call.infer();
  check_wanted(op, outputs, {&wanted, 1});
  approach(outputs, {&wanted, 1});
  Tensor result = call.run_one(std::move(outputs));
  return result.dtype() == wanted.dtype ? result : cast(result, wanted.dtype);
}

OutputTypes targets(const OpDef& op, std::span<const Operand> operands, const Attrs& attrs,
                    std::span<const TensorType> wanted) {
  OutputTypes outputs = infer_countable({op, operands, attrs});
  check_wanted(op, outputs, wanted);
  approach(outputs, wanted);
  return outputs;
}

std::vector<mlxc::Array> build_towards(const OpDef& op, std::span<const Operand> operands,
                                       const Attrs& attrs, const OutputTypes& targets,
                                       std::span<const TensorType> wanted, bool at_once) {
  const bool wants_f64 = std::any_of(wanted.begin(), wanted.end(),
                                     [](const TensorType& t) { return t.dtype == DType::f64; });
  const BuildScope scope(op, operands, attrs, wants_f64 ? wanted : targets, at_once);
  std::vector<mlxc::Array> arrays = build(op, operands, attrs, targets);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const DType from = targets[i].dtype;
    const DType to = wanted[i].dtype;
    if (from == to) continue;
    arrays[i] = arrays[i].is_bool() ? mlxc::astype(arrays[i], to) : convert(arrays[i], from, to);
  }
  return arrays;
}

std::vector<mlxc::Array> build_as(const OpDef& op, std::span<const Operand> operands,
                                  const Attrs& attrs, std::span<const TensorType> wanted) {
  return build_towards(op, operands, attrs, targets(op, operands, attrs, wanted), wanted, false);
}

std::vector<Tensor> invoke_all(const OpDef& op, const Operands& operands, const Attrs& attrs,
                               std::span<const TensorType> wanted) {
  EagerCall call(op, operands, attrs);
  if (call.is_traced()) [[unlikely]]
    return record(op, operands, attrs, wanted);
  OutputTypes outputs = call.infer();
  if (!wanted.empty()) {
    check_wanted(op, outputs, wanted);
    approach(outputs, wanted);
  }
  std::vector<Tensor> results = call.run_all(std::move(outputs));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (results[i].dtype() != wanted[i].dtype) results[i] = cast(results[i], wanted[i].dtype);
  }
  return results;
}

Tensor invoke(const OpDef& op, const Operands& operands, const Attrs& attrs) {
  EagerCall call(op, operands, attrs);
  if (call.is_traced()) [[unlikely]]
    return record(op, operands, attrs, {}).front();
  return call.run_one(call.infer());
}

}  // namespace mlxnx::ops
