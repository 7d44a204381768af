// Kernels that move, repeat or fold elements, and those that make arrays from nothing.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "mlxc/elementwise.h"
#include "mlxc/host_kernels.h"
#include "mlxc/host_source.h"
#include "mlxc/memory_of_arrays.h"

namespace mlxnx::mlxc::host {
namespace {

std::span<const int> span_of(const Ints& values) { return {values.data(), values.size()}; }

std::size_t elements_in(std::span<const int> shape) {
  std::size_t size = 1;
  for (const int dim : shape) size *= static_cast<std::size_t>(dim);
  return size;
}

// `f` with an integer type as wide as an element, for kernels that only move them.
template <typename F>
void with_width(mlx_dtype type, F f) {
  switch (mlx_dtype_size(type)) {
    case 1:
      return f.template operator()<std::uint8_t>();
    case 2:
      return f.template operator()<std::uint16_t>();
    case 4:
      return f.template operator()<std::uint32_t>();
    default:
      return f.template operator()<std::uint64_t>();
  }
}

// The same elements in the same order under another shape or type.
Array relabelled(const Source& in, std::span<const int> shape, mlx_dtype type) {
  Array out = result(shape, type);
  if (out.empty() || elements_in(shape) * mlx_dtype_size(type) != in.size * mlx_dtype_size(in.type))
    return {};
  std::memcpy(out.host_data(), in.data, in.size * mlx_dtype_size(in.type));
  return out;
}

// `to[position] = from[position]` for all positions of `shape`.
void copy_strided(mlx_dtype type, std::span<const int> shape, const std::byte* from,
                  const Dims& from_strides, std::byte* to, const Dims& to_strides) {
  with_width(type, [&]<typename T>() {
    for_each_row<2>(shape, {from_strides, to_strides}, [&](const auto& at, std::size_t length) {
      const T* x = reinterpret_cast<const T*>(from) + at[0];
      T* y = reinterpret_cast<T*>(to) + at[1];
      for (std::size_t i = 0; i < length; ++i, x += from_strides.back(), y += to_strides.back())
        *y = *x;
    });
  });
}

// Writes `part` into `whole`, from element `offset` on and at these strides.
void put(Array& whole, std::ptrdiff_t offset, const Dims& strides, const Source& part) {
  const auto skipped = offset * static_cast<std::ptrdiff_t>(mlx_dtype_size(part.type));
  copy_strided(part.type, part.shape, part.data, row_major(part.shape), whole.host_data() + skipped,
               strides);
}

Array gathered(const Source& in, std::span<const int> shape, const Dims& strides,
               std::ptrdiff_t offset) {
  Array out = result(shape, in.type);
  if (out.empty()) return out;
  const auto skipped = offset * static_cast<std::ptrdiff_t>(mlx_dtype_size(in.type));
  copy_strided(in.type, shape, in.data + skipped, strides, out.host_data(), row_major(shape));
  return out;
}

// ---- shapes

Array broadcast_to(const Source& in, std::span<const int> shape) {
  if (shape.size() < in.shape.size() || shape.size() > HostBlock::kMostRank) return {};
  const std::size_t missing = shape.size() - in.shape.size();
  const Dims own = row_major(in.shape);
  Dims strides;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const int dim = i < missing ? 1 : in.shape[i - missing];
    if (dim != 1 && dim != shape[i]) return {};
    strides.push_back(dim == 1 ? 0 : own[i - missing]);
  }
  return gathered(in, shape, strides, 0);
}

Array transposed(const Source& in, std::span<const int> axes) {
  if (axes.size() != in.shape.size()) return {};
  const Dims own = row_major(in.shape);
  Dims shape, strides;
  for (const int axis : axes) {
    const std::size_t at = axis_of(axis, in.shape.size());
    if (at >= in.shape.size()) return {};
    shape.push_back(in.shape[at]);
    strides.push_back(own[at]);
  }
  return gathered(in, shape, strides, 0);
}

Array reshaped(const Source& in, std::span<const int> wanted) {
  if (wanted.size() > HostBlock::kMostRank) return {};
  Dims shape(wanted);
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != -1) continue;
    shape[i] = 1;
    const std::size_t others = elements_in(shape);
    if (others == 0) return {};
    shape[i] = static_cast<int>(in.size / others);
  }
  return relabelled(in, shape, in.type);
}

bool contains(std::span<const int> axes, std::size_t axis, std::size_t rank) {
  return std::any_of(axes.begin(), axes.end(),
                     [&](int given) { return axis_of(given, rank) == axis; });
}

Array squeezed(const Source& in, std::span<const int> axes) {
  Dims shape;
  for (std::size_t i = 0; i < in.shape.size(); ++i) {
    if (!contains(axes, i, in.shape.size())) shape.push_back(in.shape[i]);
  }
  return relabelled(in, shape, in.type);
}

Array expanded(const Source& in, std::span<const int> axes) {
  const std::size_t rank = in.shape.size() + axes.size();
  if (rank > HostBlock::kMostRank) return {};
  Dims shape;
  std::size_t next = 0;
  for (std::size_t i = 0; i < rank; ++i) {
    const bool is_new = contains(axes, i, rank);
    if (!is_new && next == in.shape.size()) return {};
    shape.push_back(is_new ? 1 : in.shape[next++]);
  }
  return relabelled(in, shape, in.type);
}

// One axis of a slice: from where, how many, how far apart.
struct Cut {
  std::int64_t start, length;
};

// As MLX reads starts and stops: negative ones count from the end, both are clamped.
Cut cut(std::int64_t start, std::int64_t stop, std::int64_t stride, std::int64_t dim) {
  const std::int64_t first = start < 0 ? start + dim : start;
  const std::int64_t end = stop < 0 ? stop + dim : stop;
  if (stride < 0) {
    const std::int64_t from = std::min(first, dim - 1);
    const std::int64_t to = std::max<std::int64_t>(end, -1);
    return {from, to < from ? (from - to - stride - 1) / -stride : 0};
  }
  const std::int64_t from = std::clamp<std::int64_t>(first, 0, dim);
  const std::int64_t to = std::clamp(end, from, dim);
  return {from, (to - from + stride - 1) / stride};
}

struct Cuts {
  Dims shape, strides;
  std::ptrdiff_t offset = 0;
  bool valid = false;

  Cuts(std::span<const int> whole, const Ints& start, const Ints& stop, const Ints& steps) {
    const std::size_t rank = whole.size();
    if (start.size() != rank || stop.size() != rank || steps.size() != rank) return;
    const Dims own = row_major(whole);
    for (std::size_t i = 0; i < rank; ++i) {
      if (steps.data()[i] == 0) return;
      const Cut axis = cut(start.data()[i], stop.data()[i], steps.data()[i], whole[i]);
      if (axis.start < 0) return;
      shape.push_back(static_cast<int>(axis.length));
      // A stride larger than the axis may not fit an int, and reaches nothing.
      strides.push_back(axis.length > 1 ? steps.data()[i] * own[i] : 0);
      offset += axis.start * own[i];
    }
    valid = true;
  }
};

// A slice of what is large or not in rows: a copy of a few elements, else a view.
Array part(const Array& a, const Ints& start, const Ints& stop, const Ints& steps) {
  const std::size_t rank = a.rank();
  if (a.block() != nullptr || rank == 0 || rank > HostBlock::kMostRank || !is_computed(a))
    return {};
  if (start.size() != rank || stop.size() != rank || steps.size() != rank) return {};
  constexpr std::int64_t kMostSize = std::numeric_limits<int>::max();
  if (a.size() == 0 || a.size() > kMostSize) return {};
  const auto own = strides_of(a);
  Dims shape, strides;
  std::ptrdiff_t offset = 0;
  for (std::size_t i = 0; i < rank; ++i) {
    if (steps.data()[i] <= 0) return {};
    const Cut axis = cut(start.data()[i], stop.data()[i], steps.data()[i], a.shape()[i]);
    if (axis.start < 0 || axis.length <= 0) return {};
    shape.push_back(static_cast<int>(axis.length));
    strides.push_back(axis.length > 1 ? static_cast<int>(steps.data()[i] * own[i]) : 0);
    offset += axis.start * own[i];
  }
  Array out = result(shape, a.mlx_type());
  if (out.empty()) return part_of(a, offset, shape, strides);
  const auto skipped = offset * static_cast<std::ptrdiff_t>(mlx_dtype_size(a.mlx_type()));
  copy_strided(a.mlx_type(), shape, static_cast<const std::byte*>(data_pointer(a)) + skipped,
               strides, out.host_data(), row_major(shape));
  return out;
}

// The elements that one reduced axis, or several as one, folds into one.
template <typename R, typename T, typename F>
Array folded(const Source& in, std::span<const int> kept, const std::array<Dims, 2>& strides,
             R initial, F f) {
  Array out = result(kept, MlxType<R>::value);
  if (out.empty()) return out;
  R* to = elements<R>(out);
  std::fill_n(to, elements_in(kept), initial);
  for_each_row<2>(in.shape, strides, [&](const auto& at, std::size_t length) {
    const T* x = in.as<T>() + at[0];
    R* y = to + at[1];
    for (std::size_t i = 0; i < length; ++i, x += strides[0].back(), y += strides[1].back())
      *y = f(*y, *x);
  });
  return out;
}

template <typename R, typename T>
Array summed(const Source& in, std::span<const int> kept, const std::array<Dims, 2>& strides) {
  Array out = result(kept, MlxType<R>::value);
  if (out.empty()) return out;
  InlineVector<RunningSum<R>, 8> sums(elements_in(kept));
  for_each_row<2>(in.shape, strides, [&](const auto& at, std::size_t length) {
    const T* x = in.as<T>() + at[0];
    RunningSum<R>* y = sums.data() + at[1];
    if (strides[1].back() != 0) {
      for (std::size_t i = 0; i < length; ++i) y[i].add(static_cast<R>(x[i]));
      return;
    }
    RunningSum<R> sum = *y;
    for (std::size_t i = 0; i < length; ++i) sum.add(static_cast<R>(x[i]));
    *y = sum;
  });
  std::transform(sums.begin(), sums.end(), elements<R>(out),
                 [](const RunningSum<R>& sum) { return sum.value(); });
  return out;
}

// Sums and products of MLX: narrow integers become 32 bits wide.
template <typename T>
using Wide = std::conditional_t<std::is_floating_point_v<T> || sizeof(T) == 8, T,
                                std::conditional_t<std::is_signed_v<T> || std::is_same_v<T, bool>,
                                                   std::int32_t, std::uint32_t>>;

}  // namespace

Array shaped(Shaped op, const Array& a, const Ints& numbers) {
  const Source in(a);
  if (!in) return {};
  const std::span<const int> values = span_of(numbers);
  switch (op) {
    case Shaped::k_broadcast_to:
      return broadcast_to(in, values);
    case Shaped::k_expand_dims_axes:
      return expanded(in, values);
    case Shaped::k_reshape:
      return reshaped(in, values);
    case Shaped::k_squeeze_axes:
      return squeezed(in, values);
    case Shaped::k_transpose_axes:
      return transposed(in, values);
  }
  return {};
}

Array slice(const Array& a, const Ints& start, const Ints& stop, const Ints& strides) {
  const Source in(a);
  if (!in) return part(a, start, stop, strides);
  const Cuts cuts(in.shape, start, stop, strides);
  if (!cuts.valid) return {};
  Array out = gathered(in, cuts.shape, cuts.strides, cuts.offset);
  return out.empty() ? part(a, start, stop, strides) : out;
}

Array slice_update(const Array& a, const Array& update, const Ints& start, const Ints& stop,
                   const Ints& strides) {
  const Source in(a);
  if (!in || update.mlx_type() != in.type || !Source(update)) return {};
  const Cuts cuts(in.shape, start, stop, strides);
  if (!cuts.valid) return {};
  const Array part = broadcast_to(Source(update), cuts.shape);
  Array out = relabelled(in, in.shape, in.type);
  if (part.empty() || out.empty()) return {};
  put(out, cuts.offset, cuts.strides, Source(part));
  return out;
}

bool update_in_place(Array& a, const Array& update, const Ints& start) {
  if (a.block() != nullptr || a.size() > std::numeric_limits<int>::max()) return false;
  const Source piece(update);
  if (!piece || piece.type != a.mlx_type() || piece.shape.size() != a.rank()) return false;
  if (!is_computed(a) || !is_row_contiguous(a) || !is_sole_user(a)) return false;
  const std::span<const int> whole = a.shape();
  const Dims strides = row_major(whole);
  std::ptrdiff_t offset = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const int first = start.data()[i];
    if (first < 0 || first > whole[i] - piece.shape[i]) return false;
    offset += static_cast<std::ptrdiff_t>(first) * strides[i];
  }
  auto* const data = const_cast<std::byte*>(static_cast<const std::byte*>(data_pointer(a)));
  const auto skipped = offset * static_cast<std::ptrdiff_t>(mlx_dtype_size(piece.type));
  copy_strided(piece.type, piece.shape, piece.data, row_major(piece.shape), data + skipped,
               strides);
  return true;
}

Array slice_update_dynamic(const Array& a, const Array& update, const Array& start,
                           const Ints& axes) {
  const Source in(a);
  const Source part(update);
  const Source first(start);
  const std::size_t rank = in.shape.size();
  if (!in || !part || !first || part.type != in.type || part.shape.size() != rank) return {};
  if (first.size != axes.size() || (first.type != MLX_INT32 && first.type != MLX_INT64)) return {};
  const Dims strides = row_major(in.shape);
  std::ptrdiff_t offset = 0;
  for (std::size_t i = 0; i < rank; ++i) {
    if (part.shape[i] > in.shape[i]) return {};
  }
  for (std::size_t i = 0; i < first.size; ++i) {
    const std::size_t at = axis_of(axes.data()[i], rank);
    const std::int64_t begin =
        first.type == MLX_INT32 ? first.as<std::int32_t>()[i] : first.as<std::int64_t>()[i];
    if (at >= rank || begin < 0 || begin > in.shape[at] - part.shape[at]) return {};
    offset += begin * strides[at];
  }
  Array out = relabelled(in, in.shape, in.type);
  if (!out.empty()) put(out, offset, strides, part);
  return out;
}

Array pad(const Array& a, const Ints& axes, const Ints& low, const Ints& high, const Array& value) {
  const Source in(a);
  const Source filling(value);
  const std::size_t count_of_axes = axes.size();
  if (!in || !filling || filling.type != in.type || filling.size != 1) return {};
  if (low.size() != count_of_axes || high.size() != count_of_axes) return {};
  Dims shape(in.shape);
  Dims first(in.shape);
  for (std::size_t i = 0; i < shape.size(); ++i) first[i] = 0;
  for (std::size_t i = 0; i < count_of_axes; ++i) {
    const std::size_t at = axis_of(axes.data()[i], shape.size());
    if (at >= shape.size() || low.data()[i] < 0 || high.data()[i] < 0) return {};
    const std::int64_t padded = std::int64_t{shape[at]} + low.data()[i] + high.data()[i];
    if (padded > static_cast<std::int64_t>(HostBlock::kMostBytes)) return {};
    shape[at] = static_cast<int>(padded);
    first[at] += low.data()[i];
  }
  Array out = broadcast_to(filling, shape);
  if (out.empty()) return out;
  const Dims strides = row_major(shape);
  std::ptrdiff_t offset = 0;
  for (std::size_t i = 0; i < shape.size(); ++i)
    offset += static_cast<std::ptrdiff_t>(first[i]) * strides[i];
  put(out, offset, strides, in);
  return out;
}

// A graph takes microseconds for each operand, so that many small ones are put together here,
// though what they make is large.
constexpr std::size_t kMostBytesOfMany = std::size_t{1} << 20;
constexpr std::size_t kFewBytes = 256;  // of an operand

Array concatenate(std::span<const Array> arrays, int axis) {
  if (arrays.empty()) return {};
  const Source first(arrays[0]);
  if (!first || axis_of(axis, first.shape.size()) >= first.shape.size()) return {};
  const std::size_t at = axis_of(axis, first.shape.size());
  Dims shape(first.shape);
  shape[at] = 0;
  for (const Array& array : arrays) {
    const Source part(array);
    if (!part || part.type != first.type || part.shape.size() != shape.size()) return {};
    for (std::size_t i = 0; i < shape.size(); ++i) {
      if (i != at && part.shape[i] != shape[i]) return {};
    }
    if (static_cast<std::size_t>(shape[at] + part.shape[at]) > kMostBytesOfMany) return {};
    shape[at] += part.shape[at];
  }
  Array out = result(shape, first.type);
  std::vector<std::uint64_t> elements;
  if (out.empty()) {
    std::size_t bytes = mlx_dtype_size(first.type);
    for (const int dim : std::span<const int>(shape)) bytes *= static_cast<std::size_t>(dim);
    if (bytes > std::min(kMostBytesOfMany, kFewBytes * arrays.size())) return {};
    elements.resize((bytes + 7) / 8);
  }
  const Dims strides = row_major(shape);
  std::byte* to = out.empty() ? reinterpret_cast<std::byte*>(elements.data()) : out.host_data();
  for (const Array& array : arrays) {
    const Source part(array);
    copy_strided(part.type, part.shape, part.data, row_major(part.shape), to, strides);
    to += static_cast<std::size_t>(part.shape[at]) * static_cast<std::size_t>(strides[at]) *
          mlx_dtype_size(part.type);
  }
  return out.empty() ? from_bytes(elements.data(), shape, first.type) : out;
}

Array stack(std::span<const Array> arrays, int axis) {
  std::vector<Array> rows;
  for (const Array& array : arrays) {
    const Source in(array);
    if (!in) return {};
    rows.push_back(expanded(in, {&axis, 1}));
    if (rows.back().empty()) return {};
  }
  return host::concatenate(rows, axis);
}

Array view(const Array& a, mlx_dtype type) {
  const Source in(a);
  if (!in || mlx_dtype_size(in.type) != mlx_dtype_size(type)) return {};
  return relabelled(in, in.shape, type);
}

Array contiguous(const Array& a) {
  const Source in(a);
  if (in) return relabelled(in, in.shape, in.type);
  if (!HostBlock::fits(a.shape(), a.mlx_type())) return {};
  const Shape whole(a.shape().begin(), a.shape().end());
  return part(a, Shape(a.rank(), 0), whole, Shape(a.rank(), 1));
}

Array full(const Ints& shape, const Array& value, mlx_dtype type) {
  const Array cast = elementwise_cast(value, type);
  if (cast.empty()) return cast;
  const Source in(cast);
  return in ? broadcast_to(in, span_of(shape)) : Array();
}

Array arange(double start, double stop, double step, mlx_dtype type) {
  const double length = std::max(std::ceil((stop - start) / step), 0.0);
  if (!(length <= static_cast<double>(HostBlock::kMostBytes))) return {};
  const int dim = static_cast<int>(length);
  Array out = result({&dim, 1}, type);
  if (out.empty()) return out;
  const Array typed = with_type(type, [&]<typename T>() -> Array {
    T* to = elements<T>(out);
    const auto first = static_cast<T>(start);
    const auto next = static_cast<T>(static_cast<T>(start + step) - first);
    for (int i = 0; i < dim; ++i)
      to[i] = static_cast<T>(wrapping(first) + wrapping(static_cast<T>(i)) * wrapping(next));
    return out;
  });
  return typed;
}

Array reduce(kernels::Fold op, const Array& a, const Ints& axes, bool keep_axes) {
  if (is_half(a.mlx_type())) {
    const Array wide = widened(a);
    return wide.empty() ? Array() : narrowed(reduce(op, wide, axes, keep_axes), a.mlx_type());
  }
  const Source in(a);
  if (!in || in.shape.empty() || in.size == 0) return {};
  const std::size_t rank = in.shape.size();
  Dims with_ones(in.shape), kept;
  for (std::size_t i = 0; i < rank; ++i) {
    const bool is_reduced = contains(span_of(axes), i, rank);
    if (is_reduced) with_ones[i] = 1;
    if (!is_reduced || keep_axes) kept.push_back(with_ones[i]);
  }
  std::array<Dims, 2> strides = {row_major(in.shape), row_major(with_ones)};
  for (std::size_t i = 0; i < rank; ++i) {
    if (with_ones[i] == 1) strides[1][i] = 0;
  }
  return with_type(in.type, [&]<typename T>() -> Array {
    using W = Wide<T>;
    switch (op) {
      case kernels::Fold::k_all:
        return folded<bool, T>(in, kept, strides, true, [](bool x, T y) { return x && y != T{0}; });
      case kernels::Fold::k_any:
        return folded<bool, T>(in, kept, strides, false,
                               [](bool x, T y) { return x || y != T{0}; });
      case kernels::Fold::k_max:
        return folded<T, T>(in, kept, strides, lowest<T>(),
                            [](T x, T y) { return y != y || y > x ? y : x; });
      case kernels::Fold::k_min:
        return folded<T, T>(in, kept, strides, highest<T>(),
                            [](T x, T y) { return y != y || y < x ? y : x; });
      case kernels::Fold::k_prod:
        return folded<W, T>(in, kept, strides, W{1}, [](W x, T y) {
          return static_cast<W>(wrapping(x) * wrapping(static_cast<W>(y)));
        });
      case kernels::Fold::k_sum:
        return summed<W, T>(in, kept, strides);
    }
    return {};
  });
}

Array arg_reduce(Arg op, const Array& a, int axis, bool keep_axis) {
  if (is_half(a.mlx_type())) {
    const Array wide = widened(a);
    return wide.empty() ? Array() : arg_reduce(op, wide, axis, keep_axis);
  }
  const Source in(a);
  const std::size_t rank = in.shape.size();
  if (!in || in.size == 0 || axis_of(axis, rank) >= rank) return {};
  const std::size_t at = axis_of(axis, rank);
  Dims outer(in.shape), kept;
  outer[at] = 1;
  for (std::size_t i = 0; i < rank; ++i) {
    if (i != at || keep_axis) kept.push_back(outer[i]);
  }
  const Dims strides = row_major(in.shape);
  return with_type(in.type, [&]<typename T>() -> Array {
    Array out = result(kept, MLX_UINT32);
    if (out.empty()) return out;
    auto* to = elements<std::uint32_t>(out);
    for_each_row<1>(outer, {strides}, [&](const auto& start, std::size_t length) {
      for (std::size_t i = 0; i < length; ++i) {
        const T* run = in.as<T>() + start[0] + static_cast<std::ptrdiff_t>(i) * strides.back();
        std::uint32_t best = 0;
        for (int k = 1; k < in.shape[at]; ++k) {
          const T candidate = run[static_cast<std::ptrdiff_t>(k) * strides[at]];
          const T held = run[static_cast<std::ptrdiff_t>(best) * strides[at]];
          if (op == Arg::k_argmax ? candidate > held : candidate < held)
            best = static_cast<std::uint32_t>(k);
        }
        *to++ = best;
      }
    });
    return out;
  });
}

}  // namespace mlxnx::mlxc::host
