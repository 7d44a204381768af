#include "ops/linalg_complex.h"

#include <array>
#include <limits>
#include <vector>

#include "ops/matrix.h"

namespace mlxnx::ops {

using mlxc::Array;

namespace {

Array zero() { return mlxc::scalar(0.0, DType::c64); }
Array one() { return mlxc::scalar(1.0, DType::c64); }

Array squared_norm(const Array& vector) {
  const Array magnitude = mlxc::abs(vector);
  return mlxc::sum(mlxc::square(magnitude), {-2}, true);
}

// `[…, M, 1]` times `[…, 1, N]`.
Array outer(const Array& column, const Array& row) { return mlxc::multiply(column, row); }

// Where the row number stands in relation to `index`, as `[M, 1]`.
Array rows_from(int size, int index) {
  return mlxc::greater_equal(mlxc::reshape(iota(size), {size, 1}),
                             mlxc::scalar(std::int64_t{index}, DType::s32));
}

// The row order that exchanges row `k` with row `pivot` (`[…, 1]`): `[…, N]`.
Array exchange(int size, int k, const Array& pivot) {
  const Array index = iota(size);
  const Array here = mlxc::scalar(std::int64_t{k}, DType::s32);
  return mlxc::where(mlxc::equal(index, here), pivot,
                     mlxc::where(mlxc::equal(index, pivot), here, index));
}

}  // namespace

ColumnwiseLu columnwise_lu(const Array& a) {
  const DType type = a.dtype();
  const Array zero = mlxc::scalar(0.0, type), one = mlxc::scalar(1.0, type);
  const int n = axis_size(a, -1);
  Array work = a;
  const auto dims = a.shape();
  Array order = mlxc::broadcast_to(iota(n), Shape(dims.begin(), dims.end() - 1));
  const Array minus_infinity =
      mlxc::scalar(-std::numeric_limits<double>::infinity(), is_complex(type) ? DType::f32 : type);
  for (int k = 0; k < n; ++k) {
    const Array magnitude =
        mlxc::where(rows_from(n, k), mlxc::abs(column(work, k)), minus_infinity);
    const Array pivot =
        mlxc::astype(mlxc::argmax(mlxc::squeeze_axes(magnitude, {-1}), -1, true), DType::s32);
    const Array swapped = exchange(n, k, pivot);
    work = take_rows(work, swapped);
    order = mlxc::take_along_axis(order, swapped, -1);

    const Array below = rows_from(n, k + 1);
    const Array pivot_value = columns(row(work, k), k, k + 1);
    const Array divisor = mlxc::where(mlxc::equal(pivot_value, zero), one, pivot_value);
    const Array factors = mlxc::where(below, mlxc::divide(column(work, k), divisor), zero);
    const Array right_of = mlxc::greater(iota(n), mlxc::scalar(std::int64_t{k}, DType::s32));
    const Array pivot_row = mlxc::where(right_of, row(work, k), zero);
    work = mlxc::subtract(work, outer(factors, pivot_row));
    const Array is_factor =
        mlxc::logical_and(below, mlxc::equal(iota(n), mlxc::scalar(std::int64_t{k}, DType::s32)));
    work = mlxc::where(is_factor, factors, work);
  }
  const Array unit = mlxc::eye(n, n, 0, type);
  return {order, mlxc::add(mlxc::tril(work, -1), unit), mlxc::triu(work, 0)};
}

Array complex_cholesky(const Array& a) {
  const int n = axis_size(a, -1);
  Array rest = a;
  std::vector<Array> result;
  for (int j = 0; j < n; ++j) {
    const Array pivot = mlxc::sqrt(columns(row(rest, j), j, j + 1));
    const Array next = mlxc::where(rows_from(n, j), mlxc::divide(column(rest, j), pivot), zero());
    rest = mlxc::subtract(rest, outer(next, transpose_matrix(mlxc::conjugate(next))));
    result.push_back(next);
  }
  return mlxc::concatenate(result, -1);
}

ComplexQr complex_qr(const Array& a) {
  const int m = axis_size(a, -2);
  const int n = axis_size(a, -1);
  Array r = a;
  const auto dims = a.shape();
  Shape q_shape(dims.begin(), dims.end());
  q_shape.back() = m;
  Array q = mlxc::broadcast_to(mlxc::eye(m, m, 0, DType::c64), q_shape);
  const int reflections = m == n ? n - 1 : n;
  for (int i = 0; i < reflections; ++i) {
    const Array x = mlxc::where(rows_from(m, i), column(r, i), zero());
    const Array head = row(x, i);
    const Array head_size = mlxc::astype(mlxc::abs(head), DType::c64);
    const Array phase =
        mlxc::where(mlxc::equal(head_size, zero()), one(), mlxc::divide(head, head_size));
    const Array norm = mlxc::astype(mlxc::sqrt(squared_norm(x)), DType::c64);
    const Array is_head =
        mlxc::equal(mlxc::reshape(iota(m), {m, 1}), mlxc::scalar(std::int64_t{i}, DType::s32));
    const Array v = mlxc::where(is_head, mlxc::add(x, mlxc::multiply(phase, norm)), x);
    const Array size = mlxc::astype(squared_norm(v), DType::c64);
    const Array is_zero = mlxc::equal(size, zero());
    const Array two = mlxc::scalar(2.0, DType::c64);
    const Array scale =
        mlxc::where(is_zero, zero(), mlxc::divide(two, mlxc::where(is_zero, one(), size)));
    const Array v_adjoint = mlxc::conjugate(transpose_matrix(v));
    r = mlxc::subtract(r, mlxc::multiply(scale, outer(v, mlxc::matmul(v_adjoint, r))));
    q = mlxc::subtract(q, mlxc::multiply(scale, outer(mlxc::matmul(q, v), v_adjoint)));
  }
  return {q, mlxc::triu(r, 0)};
}

// A complex number a + ib acts on (re, im) as the 2x2 block (a, -b; b, a). Rows divided by the
// diagonal make these blocks the identity on the diagonal, so the real matrix of blocks is
// triangular as well, of twice the size.
Array complex_solve_triangular(const Array& a, const Array& b, bool upper) {
  const Array diagonal_column = new_axis(diagonal(a), -1);
  const Array unit = mlxc::divide(a, diagonal_column);
  const Array right = mlxc::divide(b, diagonal_column);
  const int n = axis_size(a, -1);
  const int k = axis_size(b, -1);

  const auto dims = a.shape();
  Shape batch(dims.begin(), dims.end() - 2);
  const auto with = [&batch](int rows, int columns) {
    Shape shape = batch;
    shape.push_back(rows);
    shape.push_back(columns);
    return shape;
  };
  const Array re = mlxc::astype(mlxc::real(unit), DType::f64);
  const Array im = mlxc::astype(mlxc::imag(unit), DType::f64);
  const std::array top = {re, mlxc::negative(im)};
  const std::array bottom = {im, re};
  const std::array blocks = {mlxc::stack(top, -1), mlxc::stack(bottom, -1)};
  const Array matrix = mlxc::reshape(mlxc::stack(blocks, -3), with(2 * n, 2 * n));
  const std::array parts = {mlxc::astype(mlxc::real(right), DType::f64),
                            mlxc::astype(mlxc::imag(right), DType::f64)};
  const Array vector = mlxc::reshape(mlxc::stack(parts, -2), with(2 * n, k));

  const Array solution = mlxc::solve_triangular(matrix, vector, upper);
  Shape split = batch;
  for (const int size : {n, 2, k}) split.push_back(size);
  const Array pairs = mlxc::reshape(solution, split);
  const auto part = [&pairs](std::int64_t which) {
    const Array index = mlxc::scalar(which, DType::s32);
    return mlxc::astype(mlxc::astype(mlxc::take(pairs, index, -2), DType::f32), DType::c64);
  };
  const float unit_imaginary[2] = {0.0f, 1.0f};
  const Array i = mlxc::from_bytes(unit_imaginary, {}, mlxc::to_mlx(DType::c64));
  return mlxc::add(part(0), mlxc::multiply(i, part(1)));
}

}  // namespace mlxnx::ops
