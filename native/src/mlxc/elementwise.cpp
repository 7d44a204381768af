#include "mlxc/elementwise.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <utility>

#include "kernels/strided.h"
#include "mlxc/crew.h"
#include "mlxc/host_source.h"
#include "mlxc/kernel_node.h"
#include "mlxc/memory.h"
#include "mlxc/stream.h"
#include "mlxc/version.h"

namespace mlxnx::mlxc {
namespace {

using kernels::Function;
using kernels::Step;
using kernels::TilePlan;
using kernels::Type;

constexpr std::pair<mlx_dtype, Type> kTypes[] = {
    {MLX_BOOL, Type::kBool},     {MLX_UINT8, Type::kU8},    {MLX_UINT16, Type::kU16},
    {MLX_UINT32, Type::kU32},    {MLX_UINT64, Type::kU64},  {MLX_INT8, Type::kS8},
    {MLX_INT16, Type::kS16},     {MLX_INT32, Type::kS32},   {MLX_INT64, Type::kS64},
    {MLX_FLOAT32, Type::kF32},   {MLX_FLOAT64, Type::kF64}, {MLX_FLOAT16, Type::kF16},
    {MLX_BFLOAT16, Type::kBf16},
};

// The plan of a single step, made once.
std::shared_ptr<const TilePlan> plan_of(Step step) {
  constexpr std::size_t kFunctions = static_cast<std::size_t>(Function::k_cast) + 1;
  constexpr std::size_t kTypes = kernels::kTypeCount;
  static std::mutex mutex;
  static auto& plans =
      *new std::array<std::shared_ptr<const TilePlan>, kFunctions * kTypes * kTypes>;
  const std::size_t place =
      (static_cast<std::size_t>(step.function) * kTypes + static_cast<std::size_t>(step.type)) *
          kTypes +
      static_cast<std::size_t>(step.result);
  const std::lock_guard lock(mutex);
  std::shared_ptr<const TilePlan>& plan = plans[place];
  if (plan == nullptr) {
    kernels::Program program;
    const int count = kernels::operand_count(step.function);
    for (int i = 0; i < count; ++i) {
      const bool is_mask = step.function == Function::k_select && i == 0;
      program.inputs.push_back(is_mask ? Type::kBool : step.type);
      step.operands[static_cast<std::size_t>(i)] = static_cast<std::uint16_t>(i);
    }
    program.steps.push_back(step);
    program.results.push_back(static_cast<std::uint16_t>(count));
    plan = std::make_shared<const TilePlan>(std::move(program));
  }
  return plan;
}

// The shape that all are broadcast to; none where they can't be.
std::optional<InlineVector<int, 6>> broadcast(std::span<const Array* const> operands) {
  std::size_t rank = 0;
  for (const Array* const operand : operands) rank = std::max(rank, operand->rank());
  InlineVector<int, 6> shape(rank, 1);
  for (const Array* const operand : operands) {
    const std::span<const int> own = operand->shape();
    for (std::size_t i = 0; i < own.size(); ++i) {
      int& dim = shape[rank - own.size() + i];
      if (dim != own[i] && dim != 1 && own[i] != 1) return std::nullopt;
      if (dim == 1) dim = own[i];
    }
  }
  return shape;
}

// What MLX means by a function may depend on its version, what a kernel means does not.
bool means_the_same(const Step& step) {
  static const bool is_older = mlx_is_older_than(0, 32);
  if (!is_older) return true;
  return step.function != Function::k_floor_divide &&
         !(step.function == Function::k_remainder && kernels::is_half(step.type));
}

using OperandStrides = InlineVector<std::int64_t, 6>;

// Of rows that are repeated to fill `shape`.
OperandStrides repeated(std::span<const int> own, std::span<const int> shape) {
  OperandStrides strides(shape.size(), 0);
  std::int64_t step = 1;
  for (std::size_t i = own.size(); i-- > 0; step *= own[i])
    strides[shape.size() - own.size() + i] = own[i] == 1 ? 0 : step;
  return strides;
}

// Operands that are small and there; empty where they are not.
Array at_once(const Step& step, std::span<const Array* const> operands,
              std::span<const int> shape) {
  Array out = host::result(shape, to_mlx(step.result));
  if (out.empty() || out.size() == 0) return out;
  const auto size = static_cast<std::size_t>(out.size());
  bool are_alike = !kernels::is_half(step.type) && !kernels::is_half(step.result);
  std::array<const void*, 3> places;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const host::Source source(*operands[i]);
    if (!source) return {};
    places[i] = source.data;
    are_alike = are_alike && source.size == size;
  }
  if (are_alike) {
    const kernels::Kernel kernel = step.function == Function::k_cast
                                       ? kernels::cast_kernel(step.type, step.result)
                                       : kernels::kernel_of(step.function, step.type);
    kernel(places.data(), out.host_data(), size);
    return out;
  }
  std::array<OperandStrides, 3> strides;
  std::array<kernels::ProgramInput, 3> inputs;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    strides[i] = repeated(operands[i]->shape(), shape);
    inputs[i] = {places[i], strides[i]};
  }
  const InlineVector<std::int64_t, 6> dims(shape.begin(), shape.end());
  void* const results[] = {out.host_data()};
  plan_of(step)->run(dims, {inputs.data(), operands.size()}, results, 0, out.size());
  return out;
}

Array apply(const Step& step, std::span<const Array* const> operands) {
  const bool is_at_once = thread_state.at_once;
  if (!is_at_once && !builds_kernel_nodes()) return {};
  if (!kernels::has_kernel(step.function, step.type) || !means_the_same(step)) return {};
  const auto dims = broadcast(operands);
  if (!dims) return {};
  const std::span<const int> shape = *dims;
  if (is_at_once) {
    Array result = at_once(step, operands, shape);
    if (!result.empty()) return result;
    if (!builds_kernel_nodes()) return {};
  }
  return count_of(shape) == 0 ? Array() : elementwise_node(plan_of(step), operands, shape);
}

}  // namespace

std::optional<Type> kernel_type(mlx_dtype type) {
  for (const auto& [mlx, own] : kTypes) {
    if (mlx == type) return own;
  }
  return std::nullopt;
}

mlx_dtype to_mlx(Type type) {
  for (const auto& [mlx, own] : kTypes) {
    if (own == type) return mlx;
  }
  return MLX_FLOAT32;
}

Array elementwise(Function function, std::initializer_list<const Array*> operands) {
  const bool is_select = function == Function::k_select;
  const mlx_dtype mlx = operands.begin()[is_select ? 1 : 0]->mlx_type();
  for (const Array* const operand : operands) {
    const bool is_mask = is_select && operand == *operands.begin();
    if (operand->mlx_type() != (is_mask ? MLX_BOOL : mlx)) return {};
  }
  const std::optional<Type> type = kernel_type(mlx);
  if (!type) return {};
  return apply({function, *type, kernels::result_type(function, *type)}, operands);
}

Array elementwise_cast(const Array& a, mlx_dtype type) {
  const std::optional<Type> from = kernel_type(a.mlx_type()), to = kernel_type(type);
  if (!from || !to) return {};
  if (*from == *to) return a;
  const std::array operands = {&a};
  return apply({Function::k_cast, *from, *to}, operands);
}

void run_shared(const TilePlan& plan, std::span<const std::int64_t> shape,
                std::span<const kernels::ProgramInput> inputs, std::span<void* const> results) {
  constexpr std::int64_t kWhole = 1024;  // elements that parts consist of
  std::int64_t size = 1;
  for (const std::int64_t dim : shape) size *= dim;
  const double cost = static_cast<double>(size) * (1 + plan.cost() / 2);
  const std::int64_t wholes = (size + kWhole - 1) / kWhole;
  const auto threads =
      static_cast<int>(std::min<std::int64_t>(threads_for(cost, kLeastAdditions), wholes));
  // So small that nobody waits long for the last one.
  const auto small = static_cast<std::int64_t>(cost / (2 * kLeastAdditions));
  const std::int64_t parts =
      threads == 1 ? 1
                   : std::min(std::clamp<std::int64_t>(small, 4 * threads, 64 * threads), wholes);
  std::vector<kernels::ProgramInput> all(inputs.begin(), inputs.end());
  std::vector<std::int64_t> in_rows(shape.size(), 1);
  for (std::size_t axis = shape.size(); axis-- > 1;)
    in_rows[axis - 1] = in_rows[axis] * shape[axis];
  std::vector<std::unique_ptr<std::byte[]>> copies;
  for (std::size_t i = 0; i < all.size(); ++i) {
    kernels::ProgramInput& input = all[i];
    if (!kernels::should_be_copied(shape, input.strides)) continue;
    const std::size_t width = kernels::size_of(plan.program().inputs[i]);
    copies.push_back(
        std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(size) * width));
    share(kernels::copied_parts(shape, input.strides), threads, [&](std::int64_t part) {
      kernels::copy_in_rows(width, input.data, shape, input.strides, copies.back().get(), part);
    });
    input = {copies.back().get(), in_rows};
  }
  share(parts, threads, [&](std::int64_t part) {
    const std::int64_t first = wholes * part / parts * kWhole;
    const std::int64_t end = std::min(wholes * (part + 1) / parts * kWhole, size);
    plan.run(shape, all, results, first, end - first);
  });
}

}  // namespace mlxnx::mlxc
