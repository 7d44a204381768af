// Kernels that go along one axis: running folds and sorting.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "mlxc/host_kernels.h"
#include "mlxc/host_source.h"

namespace mlxnx::mlxc::host {
namespace {

// The runs along one axis of a row-major array: `length` elements, `stride` apart.
struct HostRuns {
  std::size_t length = 1, stride = 1, outer = 1;
  bool valid = false;

  HostRuns(std::span<const int> shape, int axis) {
    const std::size_t at = axis_of(axis, shape.size());
    if (at >= shape.size()) return;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      const auto dim = static_cast<std::size_t>(shape[i]);
      (i < at ? outer : i == at ? length : stride) *= dim;
    }
    valid = true;
  }

  /// Calls `run` with the position of each run's first element.
  template <typename F>
  void for_each(F run) const {
    for (std::size_t i = 0; i < outer; ++i) {
      for (std::size_t j = 0; j < stride; ++j) run(i * length * stride + j);
    }
  }
};

template <typename T, typename F>
void scan_run(const T* from, T* to, const HostRuns& runs, bool reverse, bool inclusive, T initial,
              F f) {
  const auto position = [&](std::size_t i) {
    return (reverse ? runs.length - 1 - i : i) * runs.stride;
  };
  T held = inclusive ? from[position(0)] : initial;
  to[position(0)] = held;
  for (std::size_t i = 1; i < runs.length; ++i) {
    held = f(held, from[position(inclusive ? i : i - 1)]);
    to[position(i)] = held;
  }
}

template <typename T>
Array summed(const Source& in, const HostRuns& runs, bool reverse, bool inclusive) {
  Array out = result(in.shape, in.type);
  if (out.empty()) return out;
  const T* from = in.as<T>();
  T* to = elements<T>(out);
  runs.for_each([&](std::size_t first) {
    RunningSum<T> sum;
    for (std::size_t i = 0; i < runs.length; ++i) {
      const std::size_t at = first + (reverse ? runs.length - 1 - i : i) * runs.stride;
      const T before = sum.value();
      sum.add(from[at]);
      to[at] = inclusive ? sum.value() : before;
    }
  });
  return out;
}

template <typename T, typename F>
Array scanned(const Source& in, const HostRuns& runs, bool reverse, bool inclusive, T initial,
              F f) {
  Array out = result(in.shape, in.type);
  if (out.empty()) return out;
  const T* from = in.as<T>();
  T* to = elements<T>(out);
  runs.for_each([&](std::size_t first) {
    scan_run<T>(from + first, to + first, runs, reverse, inclusive, initial, f);
  });
  return out;
}

// MLX's order: NaN behind all numbers.
template <typename T>
bool is_less(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a)) return false;
    if (std::isnan(b)) return true;
  }
  return a < b;
}

}  // namespace

Array scan(Scan op, const Array& a, int axis, bool reverse, bool inclusive) {
  const Source in(a);
  const HostRuns runs(in.shape, axis);
  if (!in || !runs.valid || in.size == 0 || in.type == MLX_BOOL) return {};
  return with_type(in.type, [&]<typename T>() -> Array {
    const auto run = [&](T initial, auto f) {
      return scanned<T>(in, runs, reverse, inclusive, initial, f);
    };
    switch (op) {
      case Scan::k_cumsum:
        return summed<T>(in, runs, reverse, inclusive);
      case Scan::k_cumprod:
        return run(T{1}, [](T x, T y) { return static_cast<T>(wrapping(x) * wrapping(y)); });
      case Scan::k_cummax:
        return run(lowest<T>(), [](T x, T y) { return is_less(x, y) ? y : x; });
      case Scan::k_cummin:
        return run(highest<T>(), [](T x, T y) { return y != y || y < x ? y : x; });
    }
    return {};
  });
}

Array sort(Sort op, const Array& a, int axis) {
  if (is_half(a.mlx_type())) {
    const Array wide = widened(a);
    return wide.empty() ? Array() : narrowed(sort(op, wide, axis), a.mlx_type());
  }
  const Source in(a);
  const HostRuns runs(in.shape, axis);
  if (!in || !runs.valid || in.size == 0) return {};
  return with_type(in.type, [&]<typename T>() -> Array {
    const bool wants_positions = op == Sort::k_argsort;
    Array out = result(in.shape, wants_positions ? MLX_UINT32 : in.type);
    if (out.empty()) return out;
    const T* from = in.as<T>();
    std::vector<std::uint32_t> order(runs.length);
    runs.for_each([&](std::size_t first) {
      const auto at = [&](std::uint32_t i) { return from[first + i * runs.stride]; };
      std::iota(order.begin(), order.end(), 0u);
      std::stable_sort(order.begin(), order.end(),
                       [&](std::uint32_t i, std::uint32_t j) { return is_less(at(i), at(j)); });
      for (std::size_t i = 0; i < runs.length; ++i) {
        const std::size_t to = first + i * runs.stride;
        if (wants_positions) {
          elements<std::uint32_t>(out)[to] = order[i];
        } else {
          elements<T>(out)[to] = at(order[i]);
        }
      }
    });
    return out;
  });
}

}  // namespace mlxnx::mlxc::host
