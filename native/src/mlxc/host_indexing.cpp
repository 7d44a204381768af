// Kernels that pick elements by index, and small matrix products.
#include <algorithm>
#include <complex>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "mlxc/blas_library.h"
#include "mlxc/host_kernels.h"
#include "mlxc/host_source.h"

namespace mlxnx::mlxc::host {
namespace {

// The numbers in `in` where all are positions along an axis of `dim` elements; nothing where one is
// not, which MLX would count from the end or not look at.
std::vector<int> positions(const Source& in, int dim) {
  std::vector<int> result;
  with_type(in.type, [&]<typename T>() -> Array {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      const T* values = in.as<T>();
      const auto is_inside = [dim](T value) {
        return std::cmp_greater_equal(value, 0) && std::cmp_less(value, dim);
      };
      if (std::all_of(values, values + in.size, is_inside)) result.assign(values, values + in.size);
    }
    return {};
  });
  return result;
}

void copy_run(std::byte* to, const std::byte* from, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

template <typename T>
struct Matrices {
  const T* data;
  int rows, columns;
};

#if defined(__linux__)

// The functions of this library that MLX's products go through as well (blas_products.cpp).
extern "C" std::remove_pointer_t<Gemm<float>> cblas_sgemm;
extern "C" std::remove_pointer_t<Gemm<double>> cblas_dgemm;
extern "C" std::remove_pointer_t<Gemm<std::complex<float>>> cblas_cgemm;
template <typename T>
constexpr Gemm<T> kGemm = nullptr;
template <>
constexpr Gemm<float> kGemm<float> = &cblas_sgemm;
template <>
constexpr Gemm<double> kGemm<double> = &cblas_dgemm;
template <>
constexpr Gemm<std::complex<float>> kGemm<std::complex<float>> = &cblas_cgemm;

constexpr std::size_t kMostProducts = 1 << 16;

template <typename T>
void multiply(const Matrices<T>& a, const Matrices<T>& b, T* to) {
  constexpr int kRowMajor = 101, kNoTranspose = 111;
  const T one{1}, zero{0};
  const auto scalar = [](const T& value) {
    if constexpr (std::is_floating_point_v<T>) {
      return value;
    } else {
      return &value;
    }
  };
  kGemm<T>(kRowMajor, kNoTranspose, kNoTranspose, a.rows, b.columns, a.columns, scalar(one), a.data,
           a.columns, b.data, b.columns, scalar(zero), to, b.columns);
}

#else

constexpr std::size_t kMostProducts = 256;

// Sums in double and rounds once.
template <typename T>
void multiply(const Matrices<T>& a, const Matrices<T>& b, T* to) {
  for (int i = 0; i < a.rows; ++i) {
    for (int j = 0; j < b.columns; ++j) {
      using Sum = std::conditional_t<std::is_floating_point_v<T>, double, std::complex<double>>;
      Sum sum{};
      for (int k = 0; k < a.columns; ++k)
        sum += Sum(a.data[i * a.columns + k]) * Sum(b.data[k * b.columns + j]);
      *to++ = static_cast<T>(sum);
    }
  }
}

#endif

// Of any size: of a table only what is taken is read.
Source table_of(const Array& array) {
  Source table(array);
  if (table || array.size() == 0 || array.rank() > HostBlock::kMostRank) return table;
  if (!is_computed(array) || !is_row_contiguous(array)) return table;
  table.data = static_cast<const std::byte*>(data_pointer(array));
  table.type = array.mlx_type();
  table.shape = array.shape();
  table.size = static_cast<std::size_t>(array.size());
  return table;
}

// `shape`: of the result, whose leading axes are the batches.
template <typename T>
Array products(const Source& a, const Source& b, std::size_t batches, const Dims& shape) {
  const std::size_t rank = shape.size();
  Matrices<T> x{a.as<T>(), a.shape[rank - 2], a.shape[rank - 1]};
  Matrices<T> y{b.as<T>(), b.shape[rank - 2], b.shape[rank - 1]};
  Array out = result(shape, a.type);
  if (out.empty()) return out;
  T* to = elements<T>(out);
  for (std::size_t i = 0; i < batches; ++i) {
    multiply(x, y, to);
    x.data += x.rows * x.columns;
    y.data += y.rows * y.columns;
    to += x.rows * y.columns;
  }
  return out;
}

}  // namespace

Array take(const Array& a, const Array& indices, int axis) {
  const Source in = table_of(a);
  const Source where(indices);
  if (!in || !where || axis_of(axis, in.shape.size()) >= in.shape.size()) return {};
  const std::size_t at = axis_of(axis, in.shape.size());
  if (in.shape.size() - 1 + where.shape.size() > HostBlock::kMostRank) return {};
  const std::vector<int> picked = positions(where, in.shape[at]);
  if (picked.size() != where.size) return {};
  Dims shape;
  std::size_t outer = 1;
  std::size_t run = mlx_dtype_size(in.type);
  for (std::size_t i = 0; i < in.shape.size(); ++i) {
    if (i < at) outer *= static_cast<std::size_t>(in.shape[i]);
    if (i > at) run *= static_cast<std::size_t>(in.shape[i]);
    if (i != at) {
      shape.push_back(in.shape[i]);
    } else {
      for (const int dim : where.shape) shape.push_back(dim);
    }
  }
  Array out = result(shape, in.type);
  if (out.empty()) return out;
  std::byte* to = out.host_data();
  for (std::size_t i = 0; i < outer; ++i) {
    const std::byte* row = in.data + i * static_cast<std::size_t>(in.shape[at]) * run;
    for (const int position : picked) {
      copy_run(to, row + static_cast<std::size_t>(position) * run, run);
      to += run;
    }
  }
  return out;
}

namespace {

// An index array for the elements of `a` along `axis`: of the same shape but for that axis.
struct Along {
  Source in, where;
  Dims strides;  // of `a`, 0 along the axis
  int step = 0;  // along the axis
  std::vector<int> picked;
  bool valid = false;

  Along(const Array& a, const Array& indices, int axis) : in(a), where(indices) {
    const std::size_t rank = in.shape.size();
    const std::size_t at = axis_of(axis, rank);
    if (!in || !where || where.shape.size() != rank || at >= rank) return;
    for (std::size_t i = 0; i < rank; ++i) {
      if (i != at && in.shape[i] != where.shape[i]) return;
    }
    strides = row_major(in.shape);
    step = std::exchange(strides[at], 0);
    picked = positions(where, in.shape[at]);
    valid = picked.size() == where.size;
  }

  /// Calls `visit(i, position)`: where in `a` lies what the i-th index names.
  template <typename F>
  void for_each(F visit) const {
    std::size_t i = 0;
    for_each_row<1>(where.shape, {strides}, [&](const auto& start, std::size_t length) {
      for (std::size_t k = 0; k < length; ++k, ++i) {
        visit(i, start[0] + static_cast<std::ptrdiff_t>(k) * strides.back() +
                     static_cast<std::ptrdiff_t>(picked[i]) * step);
      }
    });
  }
};

// A copy of `along.in` in which `combine(old, value)` stands at each place that an index names.
template <typename Combine>
Array updated(const Along& along, const Array& values, Combine combine) {
  const Source from(values);
  if (!along.valid || !from || from.type != along.in.type ||
      !std::ranges::equal(from.shape, along.where.shape))
    return {};
  return with_type(is_half(from.type) ? MLX_UINT16 : from.type, [&]<typename T>() -> Array {
    Array out = result(along.in.shape, along.in.type);
    if (out.empty()) return out;
    T* to = elements<T>(out);
    std::copy_n(along.in.as<T>(), along.in.size, to);
    along.for_each([&](std::size_t i, std::ptrdiff_t position) {
      to[position] = combine(to[position], from.as<T>()[i]);
    });
    return out;
  });
}

}  // namespace

Array take_along_axis(const Array& a, const Array& indices, int axis) {
  const Along along(a, indices, axis);
  if (!along.valid) return {};
  Array out = result(along.where.shape, along.in.type);
  if (out.empty()) return out;
  const std::size_t width = mlx_dtype_size(along.in.type);
  along.for_each([&](std::size_t i, std::ptrdiff_t position) {
    copy_run(out.host_data() + i * width,
             along.in.data + static_cast<std::size_t>(position) * width, width);
  });
  return out;
}

Array put_along_axis(const Array& a, const Array& indices, const Array& values, int axis) {
  return updated(Along(a, indices, axis), values, []<typename T>(T, T value) { return value; });
}

Array scatter_add_axis(const Array& a, const Array& indices, const Array& values, int axis) {
  if (a.is_bool() || is_half(a.mlx_type())) return {};
  return updated(Along(a, indices, axis), values, []<typename T>(T old, T value) {
    return static_cast<T>(wrapping(old) + wrapping(value));
  });
}

Array gather(const Array& a, std::span<const Array> indices, const Ints& axes,
             const Ints& slice_sizes) {
  const Source in = table_of(a);
  const std::size_t rank = in.shape.size();
  if (!in || in.size > std::numeric_limits<int>::max() || indices.empty() ||
      axes.size() != indices.size() || slice_sizes.size() != rank)
    return {};
  const Source points(indices[0]);
  if (!points || points.shape.size() + rank > HostBlock::kMostRank) return {};
  Dims shape(points.shape), part;
  for (std::size_t i = 0; i < rank; ++i) {
    const int size = slice_sizes.data()[i];
    if (size < 0 || size > in.shape[i]) return {};
    shape.push_back(size);
    part.push_back(size);
  }
  Array out = result(shape, in.type);
  if (out.empty()) return out;
  const Dims own = row_major(in.shape);
  // Where each slice begins: the index arrays' elements, by the strides of the axes they stand for.
  std::vector<std::ptrdiff_t> starts(points.size, 0);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const Source column(indices[i]);
    const std::size_t at = axis_of(axes.data()[i], rank);
    if (!column || at >= rank || !std::ranges::equal(column.shape, points.shape)) return {};
    const int last = in.shape[at] - slice_sizes.data()[at];
    const std::vector<int> picked = positions(column, last + 1);
    if (picked.size() != column.size) return {};
    for (std::size_t k = 0; k < picked.size(); ++k)
      starts[k] += static_cast<std::ptrdiff_t>(picked[k]) * own[at];
  }
  const std::size_t width = mlx_dtype_size(in.type);
  std::byte* to = out.host_data();
  for (const std::ptrdiff_t start : starts) {
    for_each_row<1>(part, {own}, [&](const auto& at, std::size_t length) {
      // The last axis of a row-major array has no gaps.
      copy_run(to, in.data + static_cast<std::size_t>(start + at[0]) * width, length * width);
      to += length * width;
    });
  }
  return out;
}

Array matmul(const Array& left, const Array& right) {
  const Source a(left);
  const Source b(right);
  const std::size_t rank = a.shape.size();
  if (!a || !b || b.type != a.type) return {};
  if (rank < 2 || b.shape.size() != rank || a.shape[rank - 1] != b.shape[rank - 2]) return {};
  Dims shape(a.shape);
  std::size_t batches = 1;
  for (std::size_t i = 0; i + 2 < rank; ++i) {
    if (a.shape[i] != b.shape[i]) return {};
    batches *= static_cast<std::size_t>(a.shape[i]);
  }
  shape[rank - 1] = b.shape[rank - 1];
  const auto columns = static_cast<std::size_t>(shape[rank - 1]);
  if (batches == 0 || a.size / batches * columns > kMostProducts) return {};
  if (a.type == MLX_FLOAT32) return products<float>(a, b, batches, shape);
  if (a.type == MLX_FLOAT64) return products<double>(a, b, batches, shape);
  if (a.type == MLX_COMPLEX64) return products<std::complex<float>>(a, b, batches, shape);
  return {};
}

}  // namespace mlxnx::mlxc::host
