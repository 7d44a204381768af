// Linear algebra over the last two axes. Real matrices go to LAPACK through MLX, complex ones to
// linalg_complex.h where MLX has nothing. LAPACK runs on a thread of MLX's own, where an error
// would end the process: every input that LAPACK refuses (NaN for svd and eigh, a zero on a
// triangular diagonal) is replaced first, and its result by NaN afterwards.
#include <array>
#include <limits>
#include <string>
#include <vector>

#include "mlxc/blas.h"
#include "ops/linalg_complex.h"
#include "ops/matrix.h"
#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"
#include "tensor/element.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

// Shape rules.

struct MatrixShape {
  Shape batch;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  Shape with(std::int64_t m, std::int64_t n) const {
    Shape shape = batch;
    shape.push_back(m);
    shape.push_back(n);
    return shape;
  }
  Shape with(std::int64_t n) const {
    Shape shape = batch;
    shape.push_back(n);
    return shape;
  }
};

MatrixShape matrix_shape(const Call& call, std::size_t i = 0) {
  const Shape& shape = call.shape(i);
  if (shape.size() < 2) {
    call.shape_error("expected a tensor of rank 2 or more, got rank " +
                     std::to_string(shape.size()) + " with shape " + to_string(shape));
  }
  return {Shape(shape.begin(), shape.end() - 2), shape[shape.size() - 2], shape.back()};
}

MatrixShape square_shape(const Call& call) {
  const MatrixShape matrix = matrix_shape(call);
  if (matrix.rows != matrix.columns) {
    call.shape_error("expected a square matrix or a batch of them, got shape " +
                     to_string(call.shape(0)));
  }
  return matrix;
}

// The second operand of a solve is a vector or a matrix for each matrix of the first.
enum class RightSide { kVector, kMatrix };

RightSide right_side(const Call& call, bool solves_rows) {
  const MatrixShape a = square_shape(call);
  const Shape& b = call.shape(1);
  if (b == a.with(a.rows)) return RightSide::kVector;
  if (b.size() == a.batch.size() + 2) {
    const Shape batch(b.begin(), b.end() - 2);
    const std::int64_t meets = solves_rows ? b.back() : b[b.size() - 2];
    if (batch == a.batch && meets == a.rows) return RightSide::kMatrix;
  }
  call.shape_error("the right side " + to_string(b) + " does not fit the matrices " +
                   to_string(call.shape(0)));
}

OutputTypes infer_cholesky(const Call& call) {
  square_shape(call);
  return {{types::floating(call), call.shape(0)}};
}

OutputTypes infer_determinant(const Call& call) {
  return {{types::floating(call), square_shape(call).batch}};
}

OutputTypes infer_eigh(const Call& call) {
  const DType type = types::floating(call);
  return {{type, square_shape(call).with(call.shape(0).back())}, {type, call.shape(0)}};
}

OutputTypes infer_lu(const Call& call) {
  square_shape(call);
  const DType type = types::floating(call);
  return {{call.dtype(0), call.shape(0)}, {type, call.shape(0)}, {type, call.shape(0)}};
}

bool is_reduced(const Call& call) {
  const std::string& mode = call.attr<std::string>("mode");
  if (mode != "reduced" && mode != "complete") {
    call.argument_error("mode is \"reduced\" or \"complete\", got \"" + mode + "\"");
  }
  return mode == "reduced";
}

OutputTypes infer_qr(const Call& call) {
  const MatrixShape a = matrix_shape(call);
  const DType type = types::floating(call);
  const std::int64_t inner = is_reduced(call) ? std::min(a.rows, a.columns) : a.rows;
  return {{type, a.with(a.rows, inner)}, {type, a.with(inner, a.columns)}};
}

OutputTypes infer_svd(const Call& call) {
  const MatrixShape a = matrix_shape(call);
  const DType type = types::floating(call);
  if (is_complex(type))
    call.unsupported("complex matrices are not supported, got " + to_string(call.type(0)));
  const std::int64_t k = std::min(a.rows, a.columns);
  const bool full = call.attr<bool>("full_matrices?");
  return {{type, a.with(a.rows, full ? a.rows : k)},
          {type, a.with(k)},
          {type, a.with(full ? a.columns : k, a.columns)}};
}

OutputTypes infer_solve(const Call& call) {
  right_side(call, false);
  return {{types::floating(call), call.shape(1)}};
}

OutputTypes infer_triangular_solve(const Call& call) {
  const std::string& transform = call.attr<std::string>("transform_a");
  if (transform != "none" && transform != "transpose" && transform != "conjugate") {
    call.argument_error("transform_a is \"none\", \"transpose\" or \"conjugate\", got \"" +
                        transform + "\"");
  }
  right_side(call, !call.attr<bool>("left_side"));
  return {{types::floating(call), call.shape(1)}};
}

// Evaluation.

// LAPACK's types: half floats are computed in f32.
DType lapack_type(DType type) {
  const DType floating = to_floating(type);
  return floating == DType::f16 || floating == DType::bf16 ? DType::f32 : floating;
}

// Up to so many rows and columns a call costs more than its arithmetic.
constexpr std::int64_t kSmallMatrix = 32;

bool is_small(const Call& call) {
  const MatrixShape a = matrix_shape(call);
  if (a.rows > kSmallMatrix || a.columns > kSmallMatrix) return false;
  // Columns of the right side for each matrix.
  return call.operands.size() == 1 ||
         element_count(call.shape(1)) * a.rows <= kSmallMatrix * element_count(call.shape(0));
}

// Small real matrices are computed in f64 and rounded once. That also keeps singular ones apart
// from those that rounding would make nearly so. Not for `cholesky`, `lu` and `determinant`: Nx's
// own formulas round at every step there, and LAPACK's in f32 agree with them more often.
DType roomy_matrix_type(const Call& call, DType type) {
  const DType narrow = lapack_type(type);
  return narrow == DType::f32 && is_small(call) ? DType::f64 : narrow;
}

// Negative zeros, which Nx's formulas never leave in a factor, become zeros.
Array without_negative_zeros(const Array& a) { return mlxc::add(a, mlxc::scalar(0.0, a.dtype())); }

// 1 or -1 for each column of `v`, `[…, 1, N]`: its element of largest magnitude, the first of
// several, becomes positive. Eigenvectors and singular vectors are unique but for that.
Array column_signs(const Array& v) {
  const Array at = mlxc::argmax(mlxc::abs(v), -2, true);
  const Array is_negative =
      mlxc::less(mlxc::take_along_axis(v, at, -2), mlxc::scalar(0.0, v.dtype()));
  return mlxc::where(is_negative, mlxc::scalar(-1.0, v.dtype()), mlxc::scalar(1.0, v.dtype()));
}

Array lapack_operand(const Call& call, std::size_t i, DType type) {
  return operand_as(call, i, type);
}

Array not_a_number(DType type) {
  return mlxc::scalar(std::numeric_limits<double>::quiet_NaN(), type);
}

bool has_elements(const Call& call) { return element_count(call.shape(0)) != 0; }

std::vector<Array> empty_outputs(const Call& call) {
  std::vector<Array> results;
  for (const TensorType& type : call.outputs) {
    results.push_back(mlxc::full(type.shape, mlxc::scalar(0.0, DType::f32), type.dtype));
  }
  return results;
}

// `a` with matrices that hold NaN or infinities set to zero, and which ones were finite, `[…, 1,
// 1]`.
struct Finite {
  Array matrix;
  Array mask;
};

Finite finite_part(const Array& a, DType type) {
  const Array mask = all_of_last(mlxc::isfinite(a), 2, true);
  return {mlxc::where(mask, a, mlxc::scalar(0.0, type)), mask};
}

Array nan_unless(const Array& mask, const Array& value) {
  return mlxc::where(mask, value, not_a_number(value.dtype()));
}

// X of A X = B for triangular `a`; NaN for matrices with a zero on the diagonal.
Array solve_triangle(const Array& a, const Array& b, bool upper) {
  const DType type = a.dtype();
  const Array triangle = upper ? mlxc::triu(a) : mlxc::tril(a);
  const Array zero = mlxc::scalar(0.0, type);
  const Array zero_on_diagonal =
      mlxc::logical_and(mlxc::equal(triangle, zero),
                        mlxc::asbool(mlxc::eye(axis_size(a, -1), axis_size(a, -1), 0, DType::f32)));
  const Array regular = mlxc::where(zero_on_diagonal, mlxc::scalar(1.0, type), triangle);
  const Array solution = is_complex(type) ? complex_solve_triangular(regular, b, upper)
                                          : mlxc::solve_triangular(regular, b, upper);
  const Array is_regular = all_of_last(mlxc::logical_not(zero_on_diagonal), 2, true);
  return nan_unless(is_regular, solution);
}

struct Lu {
  Array rows, lower, upper;  // row i of L U is row rows[i] of A
};

Lu factor(const Array& a) {
  // MLX's own overruns the factors of single elements that are repeated along the batch.
  if (axis_size(a, -1) == 1) {
    const Array column = mlxc::squeeze_axes(a, {-1});
    return {mlxc::full(shape_of(column), mlxc::scalar(std::int64_t{0}, DType::s32), DType::s32),
            mlxc::full(shape_of(a), mlxc::scalar(1.0, a.dtype()), a.dtype()), a};
  }
  if (is_complex(a.dtype()) || !mlxc::lapack_failure_is_a_result()) {
    ColumnwiseLu lu = columnwise_lu(a);
    return {lu.rows, lu.lower, lu.upper};
  }
  const std::vector<Array> lu = mlxc::lu(a);
  // MLX answers where each row of A stands in L.
  return {mlxc::astype(inverse_permutation(lu[0]), DType::s32), lu[1], lu[2]};
}

Array eval_cholesky(const Call& call) {
  const DType type = lapack_type(call.dtype(0));
  const Array a = lapack_operand(call, 0, type);
  if (!has_elements(call)) return a;
  if (is_complex(type)) return complex_cholesky(a);
  const Array factor = mlxc::tril(mlxc::cholesky(a));
  // LAPACK stops at the first pivot that is not positive and leaves it there. When it is the last,
  // all else is computed, and its root completes the factor of a semidefinite matrix.
  const int n = axis_size(a, -1);
  const Array pivots = diagonal(factor);
  const Array is_last = mlxc::equal(iota(n), mlxc::scalar(std::int64_t{n - 1}, DType::s32));
  const Array is_positive = mlxc::greater(pivots, mlxc::scalar(0.0, type));
  const Array is_computed = mlxc::all(mlxc::logical_or(is_positive, is_last), {-1}, true);
  const Array on_last_pivot = mlxc::logical_and(is_last, new_axis(is_last, -1));
  const Array replace =
      mlxc::logical_and(on_last_pivot, mlxc::logical_not(new_axis(is_positive, -2)));
  const Array complete = mlxc::where(replace, mlxc::sqrt(factor), factor);
  return nan_unless(new_axis(is_computed, -1), complete);
}

// `values` without those that are only the rounding of a matrix of type `given`: these become 0.
// Nx's `pinv` and `least_squares` divide by any other, and the root of a negative one is NaN.
Array without_noise(const Array& values, DType given) {
  const double epsilon = to_floating(given) == DType::f64
                             ? std::numeric_limits<double>::epsilon()
                             : double{std::numeric_limits<float>::epsilon()};
  const Array size = mlxc::abs(values);
  const Array limit = mlxc::multiply(mlxc::max(size, {-1}, true),
                                     mlxc::scalar(axis_size(values, -1) * epsilon, values.dtype()));
  return mlxc::where(mlxc::less_equal(size, limit), mlxc::scalar(0.0, values.dtype()), values);
}

std::vector<Array> eval_eigh(const Call& call) {
  if (!has_elements(call)) return empty_outputs(call);
  const DType type = roomy_matrix_type(call, call.dtype(0));
  const auto [matrix, mask] = finite_part(lapack_operand(call, 0, type), type);
  const auto [found, vectors] = mlxc::eigh(matrix);
  const Array values = without_noise(found, call.dtype(0));
  // Nx orders by magnitude, largest first.
  const Array order = mlxc::argsort(mlxc::negative(mlxc::abs(values)), -1);
  const auto dims = vectors.shape();
  const Array column_order =
      mlxc::broadcast_to(new_axis(order, -2), Shape(dims.begin(), dims.end()));
  Array sorted = mlxc::take_along_axis(vectors, column_order, -1);
  if (!is_complex(type))
    sorted = without_negative_zeros(mlxc::multiply(sorted, column_signs(sorted)));
  return {nan_unless(mlxc::squeeze_axes(mask, {-1}), mlxc::take_along_axis(values, order, -1)),
          nan_unless(mask, sorted)};
}

std::vector<Array> eval_lu(const Call& call) {
  if (!has_elements(call)) return empty_outputs(call);
  const Lu lu = factor(lapack_operand(call, 0, lapack_type(call.dtype(0))));
  const int n = axis_size(lu.upper, -1);
  const Array p = mlxc::equal(mlxc::reshape(iota(n), {n, 1}), new_axis(lu.rows, -2));
  return {mlxc::astype(p, call.output(0).dtype), lu.lower, lu.upper};
}

// LAPACK's reflections leave any sign on R's diagonal, Nx's a positive one (but for columns that
// need no reflection, and the last of a square matrix, where the signs before it decide). Flips
// columns of Q and rows of R together.
struct SignedQr {
  Array q, r;
  Array signs;  // by which columns of Q and rows of R were multiplied, `[…, K]`
};

SignedQr with_signs_of_nx(const Array& a, const Array& q, const Array& r) {
  const int m = axis_size(a, -2), n = axis_size(a, -1), k = axis_size(r, -2);
  const DType type = a.dtype();
  const Array zero = mlxc::scalar(0.0, type), plus = mlxc::scalar(1.0, type),
              minus = mlxc::scalar(-1.0, type);
  const Array leading = columns(r, 0, k);
  Array signs = mlxc::where(mlxc::less(diagonal(leading), zero), minus, plus);
  // Columns up to the first that has something below its diagonal are upper triangular already.
  const Array below =
      mlxc::any(mlxc::not_equal(mlxc::tril(columns(a, 0, std::min(n, k)), -1), zero), {-2});
  const Array untouched = mlxc::equal(mlxc::cumsum(mlxc::astype(below, DType::s32), -1),
                                      mlxc::scalar(std::int64_t{0}, DType::s32));
  signs = mlxc::where(untouched, plus, signs);
  if (m <= n) {
    const Array is_last = mlxc::equal(iota(k), mlxc::scalar(std::int64_t{k - 1}, DType::s32));
    const Array others = mlxc::prod(mlxc::where(is_last, plus, signs), {-1}, true);
    signs = mlxc::where(is_last, others, signs);
  }
  return {without_negative_zeros(mlxc::multiply(q, new_axis(signs, -2))),
          without_negative_zeros(mlxc::triu(mlxc::multiply(r, new_axis(signs, -1)))), signs};
}

// `a` with `extra` zero columns.
Array widen(const Array& a, int extra) {
  if (extra == 0) return a;
  return mlxc::pad(a, {static_cast<std::int64_t>(a.rank()) - 1}, {0}, {extra},
                   mlxc::scalar(0.0, a.dtype()));
}

std::vector<Array> eval_qr(const Call& call) {
  if (!has_elements(call)) return empty_outputs(call);
  const DType type = roomy_matrix_type(call, call.dtype(0));
  const Array a = lapack_operand(call, 0, type);
  const int m = axis_size(a, -2), n = axis_size(a, -1);
  const bool complete = !is_reduced(call) && m > n;
  if (is_complex(type)) {
    // A wide matrix is factored by its leading square: the reflections depend on it alone.
    if (m < n) {
      const ComplexQr square = complex_qr(columns(a, 0, m));
      return {square.q, mlxc::matmul(mlxc::conjugate(transpose_matrix(square.q)), a)};
    }
    const ComplexQr full = complex_qr(a);
    if (complete || m == n) return {full.q, full.r};
    return {columns(full.q, 0, n), rows(full.r, 0, n)};
  }
  // Zero columns add no reflections, so they complete Q without changing the rest.
  const auto [q, r] = mlxc::qr(complete ? widen(a, m - n) : a);
  const auto [signed_q, signed_r, signs] =
      with_signs_of_nx(a, columns(q, 0, std::min(m, n)), rows(r, 0, std::min(m, n)));
  if (!complete) return {signed_q, signed_r};
  Array rest = columns(q, n, m);
  // A single column more has the sign that keeps Q's determinant.
  if (m == n + 1) rest = mlxc::multiply(rest, new_axis(mlxc::prod(signs, {-1}, true), -1));
  return {mlxc::concatenate(std::array{signed_q, without_negative_zeros(rest)}, -1),
          columns(mlxc::concatenate(std::array{signed_r, rows(r, n, m)}, -2), 0, n)};
}

// The columns of `vectors` times `signs`; those that belong to no singular value have signs of
// their own.
Array with_signs(const Array& vectors, const Array& signs) {
  const int k = axis_size(signs, -1), size = axis_size(vectors, -1);
  const Array first = mlxc::multiply(columns(vectors, 0, k), signs);
  if (size == k) return without_negative_zeros(first);
  const Array rest = columns(vectors, k, size);
  return without_negative_zeros(
      mlxc::concatenate(std::array{first, mlxc::multiply(rest, column_signs(rest))}, -1));
}

std::vector<Array> eval_svd(const Call& call) {
  if (!has_elements(call)) return empty_outputs(call);
  const DType type = roomy_matrix_type(call, call.dtype(0));
  const auto [matrix, mask] = finite_part(lapack_operand(call, 0, type), type);
  std::vector<Array> usv = mlxc::svd(matrix);
  if (!call.attr<bool>("full_matrices?")) {
    const int k = axis_size(usv[1], -1);
    usv[1] = without_noise(usv[1], call.dtype(0));
    usv[0] = columns(usv[0], 0, k);
    usv[2] = rows(usv[2], 0, k);
  }
  const int m = axis_size(matrix, -2), n = axis_size(matrix, -1), k = std::min(m, n);
  // As in Nx, the smaller of the factors decides the signs.
  const Array v = transpose_matrix(usv[2]);
  const Array signs = column_signs(columns(m < n ? usv[0] : v, 0, k));
  return {nan_unless(mask, with_signs(usv[0], signs)),
          nan_unless(mlxc::squeeze_axes(mask, {-1}), usv[1]),
          nan_unless(mask, transpose_matrix(with_signs(v, signs)))};
}

// The product along wrapped diagonals, `step` columns to the right per row, as Nx writes 2x2 and
// 3x3 determinants.
Array small_determinant(const Array& a) {
  const int n = axis_size(a, -1);
  const auto at = [&a, n](int r, int c) {
    return columns(row(a, r), (c % n + n) % n, (c % n + n) % n + 1);
  };
  const auto wrapped = [&at, n](int start, int step) {
    Array product = at(0, start);
    for (int r = 1; r < n; ++r) product = mlxc::multiply(product, at(r, start + step * r));
    return product;
  };
  Array result = wrapped(0, 1);
  for (int start = 1; n == 3 && start < n; ++start) result = mlxc::add(result, wrapped(start, 1));
  for (int start = n - 1; start >= (n == 3 ? 0 : n - 1); --start)
    result = mlxc::subtract(result, wrapped(start, -1));
  return mlxc::squeeze_axes(result, {-1, -2});
}

Array eval_determinant(const Call& call) {
  const DType type = lapack_type(call.dtype(0));
  if (!has_elements(call)) return mlxc::full(call.output().shape, mlxc::scalar(1.0, type), type);
  const Array a = lapack_operand(call, 0, type);
  const int n = axis_size(a, -1);
  if (n == 1) return mlxc::squeeze_axes(a, {-1, -2});
  if (n <= 3) return small_determinant(a);
  const Lu lu = factor(a);
  const Array product = mlxc::prod(diagonal(lu.upper), {-1});
  const Array inversions = mlxc::triu(
      mlxc::astype(mlxc::greater(new_axis(lu.rows, -1), new_axis(lu.rows, -2)), DType::s32), 1);
  const Array two = mlxc::scalar(std::int64_t{2}, DType::s32);
  const Array is_odd = mlxc::asbool(mlxc::remainder(mlxc::sum(inversions, {-1, -2}), two));
  return mlxc::where(is_odd, mlxc::negative(product), product);
}

Array as_columns(const Array& b, RightSide side) {
  return side == RightSide::kVector ? new_axis(b, -1) : b;
}

Array as_given(const Array& x, RightSide side) {
  return side == RightSide::kVector ? mlxc::squeeze_axes(x, {-1}) : x;
}

Array eval_solve(const Call& call) {
  const DType type = roomy_matrix_type(call, types::merged(call));
  const Array b = lapack_operand(call, 1, type);
  if (!has_elements(call) || element_count(call.shape(1)) == 0) return b;
  const RightSide side = right_side(call, false);
  const Lu lu = factor(lapack_operand(call, 0, type));
  const Array y = solve_triangle(lu.lower, take_rows(as_columns(b, side), lu.rows), false);
  return as_given(solve_triangle(lu.upper, y, true), side);
}

// Refuses a singular matrix where its elements are known.
void check_known_diagonal(const Call& call) {
  const auto* data = static_cast<const std::byte*>(call.operands[0].known_data);
  if (data == nullptr || call.array(0).is_bool()) return;
  const std::size_t n = static_cast<std::size_t>(call.shape(0).back());
  const std::size_t width = size_bytes(call.dtype(0));
  const std::size_t matrices = static_cast<std::size_t>(element_count(call.shape(0))) / (n * n);
  for (std::size_t i = 0; i < matrices * n; ++i) {
    const std::size_t at = (i / n) * n * n + (i % n) * (n + 1);
    const Number value = tensors::decode(call.dtype(0), data + at * width);
    const bool is_zero = std::visit([](auto v) { return v == decltype(v){}; }, value);
    if (is_zero) call.value_error("can't solve for singular matrix");
  }
}

Array eval_triangular_solve(const Call& call) {
  const DType type = roomy_matrix_type(call, types::merged(call));
  Array b = lapack_operand(call, 1, type);
  if (!has_elements(call) || element_count(call.shape(1)) == 0) return b;
  check_known_diagonal(call);
  Array a = lapack_operand(call, 0, type);
  const std::string& transform = call.attr<std::string>("transform_a");
  const bool left = call.attr<bool>("left_side");
  const RightSide side = right_side(call, !left);
  // X op(A) = B is op(A)ᵀ Xᵀ = Bᵀ.
  const bool transpose_a = (transform == "transpose") == left;
  const bool transpose_b = !left && side == RightSide::kMatrix;
  if (transform == "conjugate" && is_complex(type)) a = mlxc::conjugate(a);
  if (transpose_a) a = transpose_matrix(a);
  b = as_columns(b, side);
  if (transpose_b) b = transpose_matrix(b);
  const bool upper = call.attr<bool>("lower") == transpose_a;
  const Array x = solve_triangle(a, b, upper);
  return as_given(transpose_b ? transpose_matrix(x) : x, side);
}

const AttrDef kLinalgEps = {"eps", AttrKind::kFloat, AttrValue(1.0e-10)};
const std::array kEighAttrs = {AttrDef{"max_iter", AttrKind::kInt, AttrValue(std::int64_t{50'000})},
                               AttrDef{"eps", AttrKind::kFloat, AttrValue(1.0e-4)}};
const std::array kLuAttrs = {kLinalgEps};
const std::array kQrAttrs = {AttrDef{"mode", AttrKind::kString, AttrValue(std::string("reduced"))},
                             kLinalgEps};
const std::array kSvdAttrs = {AttrDef{"max_iter", AttrKind::kInt, AttrValue(std::int64_t{100})},
                              AttrDef{"full_matrices?", AttrKind::kBool, AttrValue(true)}};
const std::array kTriangularSolveAttrs = {
    AttrDef{"lower", AttrKind::kBool, AttrValue(true)},
    AttrDef{"left_side", AttrKind::kBool, AttrValue(true)},
    AttrDef{"transform_a", AttrKind::kString, AttrValue(std::string("none"))}};

OpDef row(std::string_view name, std::int8_t operands, std::span<const AttrDef> attrs,
          InferFn infer, EvalFn eval, EvalManyFn eval_many, std::string_view doc) {
  return {.name = name,
          .group = Group::kLinalg,
          .min_operands = operands,
          .max_operands = operands,
          .attrs = attrs,
          .infer = infer,
          .eval = eval,
          .eval_many = eval_many,
          .placement = Placement::kCpuOnly,
          .doc = doc};
}

const std::array kLinalgOps = {
    row("triangular_solve", 2, kTriangularSolveAttrs, infer_triangular_solve, eval_triangular_solve,
        nullptr, "Solves A X = B or X A = B for a triangular A; NaN where A is singular."),
    row("block:LinAlg.Cholesky", 1, {}, infer_cholesky, eval_cholesky, nullptr,
        "Lower triangular L of A = L Lᴴ; NaN where A is not positive definite."),
    row("block:LinAlg.Determinant", 1, {}, infer_determinant, eval_determinant, nullptr,
        "Determinant of each square matrix."),
    row("block:LinAlg.Eigh", 1, kEighAttrs, infer_eigh, nullptr, eval_eigh,
        "Eigenvalues, largest magnitude first, and eigenvectors of symmetric or Hermitian "
        "matrices."),
    row("block:LinAlg.LU", 1, kLuAttrs, infer_lu, nullptr, eval_lu,
        "Permutation, unit lower and upper triangular factors of A = P L U."),
    row("block:LinAlg.QR", 1, kQrAttrs, infer_qr, nullptr, eval_qr,
        "Orthonormal Q and upper triangular R of A = Q R, reduced or complete."),
    row("block:LinAlg.SVD", 1, kSvdAttrs, infer_svd, nullptr, eval_svd,
        "U, singular values, largest first, and Vᴴ of A = U S Vᴴ."),
    row("block:LinAlg.Solve", 2, {}, infer_solve, eval_solve, nullptr,
        "Solves A X = B for square A; NaN where A is singular."),
};

}  // namespace

std::span<const OpDef> linalg_ops() { return kLinalgOps; }

}  // namespace mlxnx::ops
