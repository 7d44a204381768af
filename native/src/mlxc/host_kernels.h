// Small arrays computed at once, on the calling thread. A kernel over some hundred elements takes
// less than a microsecond, its way through MLX's graph, engine and stream ten times as long and
// more. So where all operands of an op are small, computed and on the CPU, the op layer opens an
// AtOnceScope, in which the functions of graph.h ask these kernels first.
//
// A kernel computes what MLX's kernel of that name computes, elementary functions rounded at most
// once more or less. Each answers an empty Array where MLX has to do the work: an operand that is
// not computed, a result that is not small, a type or a case that has no kernel.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "kernels/folds.h"
#include "mlxc/graph.h"

namespace mlxnx::mlxc::host {

enum class Arg : std::uint8_t {
#define MLXC_ARG(name) k_##name,
#include "mlxc/functions.def"
};

enum class Scan : std::uint8_t {
#define MLXC_SCAN(name) k_##name,
#include "mlxc/functions.def"
};

enum class Sort : std::uint8_t {
#define MLXC_SORT(name) k_##name,
#include "mlxc/functions.def"
};

enum class Shaped : std::uint8_t {
#define MLXC_SHAPED(name) k_##name,
#include "mlxc/functions.def"
};

Array reduce(kernels::Fold op, const Array& a, const Ints& axes, bool keep_axes);
Array arg_reduce(Arg op, const Array& a, int axis, bool keep_axis);
Array scan(Scan op, const Array& a, int axis, bool reverse, bool inclusive);
/// Stable.
Array sort(Sort op, const Array& a, int axis);

/// `numbers` is the shape, or the axes, as the function takes it.
Array shaped(Shaped op, const Array& a, const Ints& numbers);
Array slice(const Array& a, const Ints& start, const Ints& stop, const Ints& strides);
Array slice_update(const Array& a, const Array& update, const Ints& start, const Ints& stop,
                   const Ints& strides);
/// Writes `update` where it belongs in the memory of `a`, which no other array may use meanwhile.
/// Returns: whether it did; not for large updates, and what is not there or not in rows.
bool update_in_place(Array& a, const Array& update, const Ints& start);
Array slice_update_dynamic(const Array& a, const Array& update, const Array& start,
                           const Ints& axes);
Array pad(const Array& a, const Ints& axes, const Ints& low, const Ints& high, const Array& value);
Array concatenate(std::span<const Array> arrays, int axis);
Array stack(std::span<const Array> arrays, int axis);
Array take(const Array& a, const Array& indices, int axis);
Array take_along_axis(const Array& a, const Array& indices, int axis);
Array put_along_axis(const Array& a, const Array& indices, const Array& values, int axis);
Array scatter_add_axis(const Array& a, const Array& indices, const Array& values, int axis);
Array gather(const Array& a, std::span<const Array> indices, const Ints& axes,
             const Ints& slice_sizes);
/// Of f32, f64 or c64 matrices, with so few multiplications that no time is gained by a thread of
/// its own.
Array matmul(const Array& a, const Array& b);
Array view(const Array& a, mlx_dtype type);
Array contiguous(const Array& a);
Array full(const Ints& shape, const Array& value, mlx_dtype type);
Array arange(double start, double stop, double step, mlx_dtype type);
Array random_bits(const Array& key, const Ints& shape, int width);

}  // namespace mlxnx::mlxc::host

namespace mlxnx::mlxc {

/// Whether graph.h computes small arrays at once on this thread until the scope ends; the
/// environment variable `MLXNX_AT_ONCE=0` forbids it. All arrays given to it must then be ready or
/// built inside the scope.
class AtOnceScope {
 public:
  explicit AtOnceScope(bool at_once) : state_(thread_state), outer_(state_.at_once) {
    state_.at_once = at_once && kAllowed && !state_.only_graphs;
  }
  static bool is_allowed() { return kAllowed; }
  /// Whether a scope of this thread computes at once.
  static bool is_open() { return thread_state.at_once; }
  ~AtOnceScope() { state_.at_once = outer_; }
  AtOnceScope(const AtOnceScope&) = delete;
  AtOnceScope& operator=(const AtOnceScope&) = delete;

 private:
  static const bool kAllowed;

  ThreadState& state_;
  bool outer_;
};

/// No scope within computes at once: for graphs that are built by calls of their own, whose
/// constants would be computed where MLX traces.
class OnlyGraphsScope {
 public:
  explicit OnlyGraphsScope(bool only_graphs)
      : state_(thread_state), outer_(std::exchange(state_.only_graphs, only_graphs)) {}
  ~OnlyGraphsScope() { state_.only_graphs = outer_; }
  OnlyGraphsScope(const OnlyGraphsScope&) = delete;
  OnlyGraphsScope& operator=(const OnlyGraphsScope&) = delete;

 private:
  ThreadState& state_;
  bool outer_;
};

}  // namespace mlxnx::mlxc
