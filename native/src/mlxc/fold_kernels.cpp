#include "mlxc/fold_kernels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "mlxc/crew.h"
#include "mlxc/elementwise.h"
#include "mlxc/kernel_node.h"

namespace mlxnx::mlxc {
namespace {

using kernels::Fold;
using kernels::Folded;
using kernels::Type;

struct FoldAxis {
  std::int64_t length, stride;
  bool is_folded;
};

std::int64_t count_along(const std::vector<FoldAxis>& axes) {
  std::int64_t count = 1;
  for (const FoldAxis& axis : axes) count *= axis.length;
  return count;
}

// The longer axes of an operand.
std::vector<FoldAxis> axes_of(const KernelMemory& x, std::uint32_t folded) {
  std::vector<FoldAxis> axes;
  std::int64_t in_rows = 1;
  for (std::size_t i = x.shape.size(); i-- > 0;) {
    const std::int64_t stride = x.strides.empty() ? in_rows : x.strides[i];
    in_rows *= x.shape[i];
    if (x.shape[i] != 1) axes.push_back({x.shape[i], stride, (folded >> i & 1) != 0});
  }
  std::reverse(axes.begin(), axes.end());
  return axes;
}

// Takes away the folded axes along which all elements are one. Returns: how often that one is
// there.
std::int64_t take_repeats(std::vector<FoldAxis>& axes) {
  std::int64_t repeats = 1;
  std::erase_if(axes, [&repeats](const FoldAxis& axis) {
    const bool repeated = axis.is_folded && axis.stride == 0;
    if (repeated) repeats *= axis.length;
    return repeated;
  });
  return repeats;
}

template <typename T>
T times(T x, std::int64_t count) {
  if constexpr (std::is_integral_v<T>) {
    // Integers wrap.
    return static_cast<T>(static_cast<std::uint64_t>(x) * static_cast<std::uint64_t>(count));
  } else {
    return static_cast<T>(static_cast<double>(x) * static_cast<double>(count));
  }
}

template <typename T>
T raised(T x, std::int64_t count) {
  if constexpr (std::is_integral_v<T>) {
    std::uint64_t result = 1, square = static_cast<std::uint64_t>(x);
    for (; count > 0; count >>= 1, square *= square) {
      if ((count & 1) != 0) result *= square;
    }
    return static_cast<T>(result);
  } else {
    return static_cast<T>(std::pow(static_cast<double>(x), static_cast<double>(count)));
  }
}

// What elements that are each there `repeats` times fold to, from what they fold to once.
void repeat(Fold fold, Type type, std::int64_t repeats, std::int64_t count, void* results) {
  if (repeats == 1 || (fold != Fold::k_sum && fold != Fold::k_prod)) return;
  kernels::with_type(type, [&]<typename T>() {
    T* const at = static_cast<T*>(results);
    for (std::int64_t i = 0; i < count; ++i)
      at[i] = fold == Fold::k_sum ? times(at[i], repeats) : raised(at[i], repeats);
  });
}

// The axes as they lie in memory, if that leaves those that are kept in their order.
bool sort_by_memory(std::vector<FoldAxis>& axes) {
  std::vector<FoldAxis> sorted = axes;
  std::ranges::stable_sort(
      sorted, [](const FoldAxis& a, const FoldAxis& b) { return a.stride > b.stride; });
  std::int64_t step = 1;
  for (std::size_t i = sorted.size(); i-- > 0; step *= sorted[i].length) {
    if (sorted[i].stride != step) return false;
  }
  const auto kept = [](const std::vector<FoldAxis>& all) {
    std::vector<std::int64_t> strides;
    for (const FoldAxis& axis : all) {
      if (!axis.is_folded) strides.push_back(axis.stride);
    }
    return strides;
  };
  if (kept(axes) != kept(sorted)) return false;
  axes = std::move(sorted);
  return true;
}

std::vector<std::byte> copied_in_rows(const KernelMemory& x, Type type,
                                      const std::vector<FoldAxis>& axes) {
  std::vector<std::int64_t> shape, strides;
  for (const FoldAxis& axis : axes) {
    shape.push_back(axis.length);
    strides.push_back(axis.stride);
  }
  std::vector<std::byte> rows(static_cast<std::size_t>(count_along(axes)) * kernels::size_of(type));
  using kernels::Function;
  const kernels::TilePlan copy({{type}, {{Function::k_copy, type, type, {0, 0, 0}}}, {1}});
  const kernels::ProgramInput input{x.data, strides};
  void* const results[] = {rows.data()};
  run_shared(copy, shape, {&input, 1}, results);
  return rows;
}

Type held_by(Fold fold, Type type) {
  return fold == Fold::k_all || fold == Fold::k_any ? Type::kBool : type;
}

// One fold over all cores: each makes some of the results, or, where these are few, folds a stretch
// of what makes them.
void fold_shared(const Folded& call) {
  const std::int64_t results = call.outer * call.inner;
  const int threads = threads_for(static_cast<double>(results * call.length), kLeastAdditions);
  if (threads == 1) return kernels::fold(call, 0, results);
  const std::int64_t parts = 4 * threads;
  constexpr std::int64_t kColumns = 64;  // whole vectors, whatever they are
  const std::int64_t unit = call.inner == 1 ? 1 : kColumns;
  // Whole rows are read faster than pieces of them, where few results come of many.
  constexpr std::int64_t kLongStretch = 64;
  const bool has_long_rows =
      call.inner > 1 && call.outer < parts && call.length >= parts * kLongStretch;
  if (results >= parts * unit && !has_long_rows) {
    const std::int64_t units = (results + unit - 1) / unit;
    return share(parts, threads, [&](std::int64_t part) {
      const std::int64_t first = units * part / parts * unit;
      const std::int64_t end = std::min(units * (part + 1) / parts * unit, results);
      kernels::fold(call, first, end - first);
    });
  }
  const std::size_t in_size = kernels::size_of(call.type);
  const Type held = held_by(call.fold, call.type);
  const std::size_t out_size = kernels::size_of(held);
  std::vector<std::byte> some(static_cast<std::size_t>(parts * results) * out_size);
  const std::int64_t stretches = std::min(parts, call.length);
  share(stretches, threads, [&](std::int64_t part) {
    const std::int64_t first = call.length * part / stretches;
    Folded one = call;
    one.length = call.length * (part + 1) / stretches - first;
    one.outer = 1;
    for (std::int64_t block = 0; block < call.outer; ++block) {
      const std::int64_t from = (block * call.length + first) * call.inner;
      const std::int64_t to = (part * call.outer + block) * call.inner;
      one.x = static_cast<const std::byte*>(call.x) + static_cast<std::size_t>(from) * in_size;
      one.out = some.data() + static_cast<std::size_t>(to) * out_size;
      kernels::fold(one, 0, call.inner);
    }
  });
  kernels::fold({call.fold, held, some.data(), 1, stretches, results, call.out}, 0, results);
}

// Whether MLX's result is of the operand's type, or a mask.
bool keeps_type(Fold fold, Type type) {
  switch (fold) {
    case Fold::k_all:
    case Fold::k_any:
      return !kernels::is_half(type);
    case Fold::k_sum:
    case Fold::k_prod:
      return kernels::size_of(type) >= 4;
    default:
      return !kernels::is_half(type) && type != Type::kBool;
  }
}

}  // namespace

void run(const FoldTask& task, KernelOperands operands, const KernelMemory& result) {
  const KernelMemory& x = operands[0];
  Type type = *kernel_type(x.type);
  std::vector<FoldAxis> axes = axes_of(x, task.axes);
  const std::int64_t repeats = take_repeats(axes);
  const std::byte* data = static_cast<const std::byte*>(x.data);
  std::vector<std::byte> rows, held;
  if (!sort_by_memory(axes)) {
    rows = copied_in_rows(x, type, axes);
    data = rows.data();
  }
  // Stretches of axes that are folded or kept alike are one.
  std::vector<FoldAxis> merged;
  for (const FoldAxis& axis : axes) {
    if (!merged.empty() && merged.back().is_folded == axis.is_folded) {
      merged.back().length *= axis.length;
    } else {
      merged.push_back(axis);
    }
  }
  if (std::ranges::none_of(merged, &FoldAxis::is_folded)) merged.push_back({1, 1, true});
  while (true) {
    const auto last = std::find_if(merged.rbegin(), merged.rend(),
                                   [](const FoldAxis& axis) { return axis.is_folded; });
    const auto at = merged.rend() - last - 1;
    Folded call{task.fold, type, data, 1, merged[static_cast<std::size_t>(at)].length, 1, nullptr};
    for (std::ptrdiff_t i = 0; i < std::ssize(merged); ++i) {
      if (i != at) (i < at ? call.outer : call.inner) *= merged[static_cast<std::size_t>(i)].length;
    }
    merged.erase(merged.begin() + at);
    const bool is_last = std::ranges::none_of(merged, &FoldAxis::is_folded);
    type = held_by(task.fold, type);
    std::vector<std::byte> next;
    if (!is_last)
      next.resize(static_cast<std::size_t>(call.outer * call.inner) * kernels::size_of(type));
    call.out = is_last ? result.data : next.data();
    fold_shared(call);
    if (is_last) return repeat(task.fold, type, repeats, call.outer * call.inner, result.data);
    held = std::move(next);
    data = held.data();
  }
}

bool folds_by_kernels(const Array& a) {
  return builds_kernel_nodes() && kernel_type(a.mlx_type()).has_value();
}

Array folded(Fold fold, const Array& a, const Ints& axes, bool keep_axes) {
  if (!folds_by_kernels(a)) return {};
  const std::optional<Type> type = kernel_type(a.mlx_type());
  const std::span<const int> dims = a.shape();
  if (!type || !keeps_type(fold, *type) || dims.size() > 32 || a.size() == 0) return {};
  FoldTask task{fold, 0};
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const int axis = axes.data()[i];
    const std::size_t at =
        static_cast<std::size_t>(axis < 0 ? axis + static_cast<int>(dims.size()) : axis);
    if (at >= dims.size()) return {};
    task.axes |= std::uint32_t{1} << at;
  }
  InlineVector<int, 6> shape;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const bool is_folded = (task.axes >> i & 1) != 0;
    if (!is_folded || keep_axes) shape.push_back(is_folded ? 1 : dims[i]);
  }
  const std::array operands = {&a};
  return kernel_node(task, operands, {shape.data(), shape.size()}, to_mlx(held_by(fold, *type)));
}

}  // namespace mlxnx::mlxc
