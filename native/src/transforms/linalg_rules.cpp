#include <algorithm>

#include "transforms/algebra.h"
#include "transforms/interpret.h"
#include "transforms/rules.h"

// Forward formulas as in M. Giles, "An extended collection of matrix derivative results for forward
// and reverse mode algorithmic differentiation" (2008), for conjugate transposes where he has real
// ones. Factors are turned by skew-Hermitian matrices: dQ = Q Omega.
namespace mlxnx::transforms {
namespace {

std::int64_t rows(const Tensor& matrix) { return matrix.shape()[matrix.rank() - 2]; }
std::int64_t columns(const Tensor& matrix) { return matrix.shape()[matrix.rank() - 1]; }

// A matrix times a matrix or a vector, told by their ranks.
Tensor times(const Tensor& matrix, const Tensor& right) {
  if (right.rank() == matrix.rank()) return matmul(matrix, right);
  return squeeze(matmul(matrix, new_axis(right, -1)), {.axes = Axes{-1}});
}
Tensor times_from_right(const Tensor& left, const Tensor& matrix) {
  if (left.rank() == matrix.rank()) return matmul(left, matrix);
  return squeeze(matmul(new_axis(left, -2), matrix), {.axes = Axes{-2}});
}

// Each column, or each row, times a number.
Tensor scaled_columns(const Tensor& matrix, const Tensor& by) { return matrix * new_axis(by, -2); }
Tensor scaled_rows(const Tensor& matrix, const Tensor& by) { return matrix * new_axis(by, -1); }

Tensor solve_lower(const Tensor& a, const Tensor& b) { return triangular_solve(a, b); }
// B U^-1
Tensor over_upper(const Tensor& b, const Tensor& u) {
  return triangular_solve(u, b, {.lower = false, .left_side = false});
}

Linears triangular_forward(const Application& call, std::span<const Linear> tangents) {
  const auto& transform = call.attr<std::string>("transform_a");
  const bool is_left = call.attr<bool>("left_side");
  const TriangularSolveOptions options{
      .lower = call.attr<bool>("lower"), .left_side = is_left, .transform_a = transform};
  Linear right = tangents[1];
  if (tangents[0]) {
    Tensor da = options.lower ? tril(*tangents[0]) : triu(*tangents[0]);
    if (transform == "transpose") da = swapped(da);
    if (transform == "conjugate" && is_complex(da.dtype())) da = conjugate(da);
    const Tensor& x = call.out[0];
    right = plus(right, -(is_left ? times(da, x) : times_from_right(x, da)));
  }
  return {triangular_solve(call.in[0], *right, options)};
}

Tensor triangular_transpose(const Application& call, std::size_t, const Tensor& g) {
  const auto& transform = call.attr<std::string>("transform_a");
  TriangularSolveOptions options{.lower = call.attr<bool>("lower"),
                                 .left_side = call.attr<bool>("left_side"),
                                 .transform_a = transform == "transpose" ? "none" : "transpose"};
  const Tensor& a = call.in[0];
  const bool is_conjugate = transform == "conjugate" && is_complex(a.dtype());
  return triangular_solve(is_conjugate ? conjugate(a) : a, g, options);
}

Linears solve_forward(const Application& call, std::span<const Linear> tangents) {
  Linear right = tangents[1];
  if (tangents[0]) right = plus(right, -times(*tangents[0], call.out[0]));
  return {linalg::solve(call.in[0], *right)};
}

Tensor solve_transpose(const Application& call, std::size_t, const Tensor& g) {
  return linalg::solve(swapped(call.in[0]), g);
}

Linears cholesky_forward(const Application& call, std::span<const Linear> tangents) {
  const Tensor& l = call.out[0];
  const Tensor half = solve_lower(l, adjoint(solve_lower(l, adjoint(*tangents[0]))));
  const Tensor inner = tril(half) - identity(rows(l), l.dtype()) * half * 0.5;
  return {matmul(l, inner)};
}

Tensor rolled(const Tensor& vectors, std::int64_t by) {
  const auto axis = static_cast<std::int64_t>(vectors.rank()) - 1;
  return concatenate({cut(vectors, axis, by, 3 - by), cut(vectors, axis, 0, by)}, {.axis = axis});
}
Tensor cross(const Tensor& a, const Tensor& b) {
  return rolled(a, 1) * rolled(b, 2) - rolled(a, 2) * rolled(b, 1);
}

// What each element is multiplied by in the determinant; up to 3x3 right for singular ones as well.
Tensor cofactors(const Tensor& a, const Tensor& determinant) {
  const std::int64_t n = rows(a);
  const auto row_axis = static_cast<std::int64_t>(a.rank()) - 2;
  if (n == 1) return a * 0.0 + 1.0;
  if (n == 2) {
    const Tensor sign = constant(std::int64_t{1}, DType::s32, {2, 2}) - (eye(2) == 0) * 2;
    return reverse(a, {.axes = Axes{row_axis, row_axis + 1}}) * sign;
  }
  if (n == 3) {
    const auto row = [&](std::int64_t i) {
      return squeeze(cut(a, row_axis, i, 1), {.axes = Axes{row_axis}});
    };
    return stack({cross(row(1), row(2)), cross(row(2), row(0)), cross(row(0), row(1))},
                 {.axis = row_axis});
  }
  const Tensor ones = identity(n, a.dtype());
  const Tensor inverse = linalg::solve(swapped(a), broadcast(ones, a.shape()));
  return inverse * new_axis(new_axis(determinant, -1), -1);
}

Linears determinant_forward(const Application& call, std::span<const Linear> tangents) {
  const auto rank = static_cast<std::int64_t>(call.shape(0).size());
  return {sum(cofactors(continuous(call.in[0]), call.out[0]) * *tangents[0],
              {.axes = Axes{rank - 2, rank - 1}})};
}

Linears lu_forward(const Application& call, std::span<const Linear> tangents) {
  const Tensor& p = call.out[0];
  const Tensor& l = call.out[1];
  const Tensor& u = call.out[2];
  const Tensor inner = over_upper(solve_lower(l, matmul(swapped(p), *tangents[0])), u);
  return {std::nullopt, matmul(l, tril(inner, -1)), matmul(triu(inner), u)};
}

// Columns of zeros behind those of the matrix.
Tensor to_square(const Tensor& matrix) {
  const auto axis = static_cast<std::int64_t>(matrix.rank()) - 1;
  return widen(matrix, axis, {.high = rows(matrix) - columns(matrix)});
}

// The first columns, or rows.
Tensor first_columns(const Tensor& matrix, std::int64_t count) {
  return cut(matrix, static_cast<std::int64_t>(matrix.rank()) - 1, 0, count);
}
Tensor first_rows(const Tensor& matrix, std::int64_t count) {
  return cut(matrix, static_cast<std::int64_t>(matrix.rank()) - 2, 0, count);
}

// The factors as reflections make them, one for each column: they decide on the phases of complex
// ones. NaN where the head of a column is 0, at which its phase jumps. Of matrices that are not
// wide; Q and R are complete.
std::vector<Tensor> reflected(const Tensor& a) {
  const auto row_axis = static_cast<std::int64_t>(a.rank()) - 2;
  const std::int64_t m = rows(a), n = columns(a);
  Shape square = a.shape();
  square.back() = m;
  Tensor q = broadcast(identity(m, a.dtype()), square);
  Tensor r = a;
  for (std::int64_t i = 0; i < (m == n ? n - 1 : n); ++i) {
    const Tensor x = cut(cut(r, row_axis + 1, i, 1), row_axis, i, m - i);
    const Tensor head = cut(x, row_axis, 0, 1);
    const Tensor phase = head / abs(head);
    const auto squared_norm = [&](const Tensor& vector) {
      return sum(real(vector * conjugate(vector)), {.axes = Axes{row_axis}, .keep_axes = true});
    };
    const Tensor v = x + widen(phase * sqrt(squared_norm(x)), row_axis, {.high = m - i - 1});
    const Tensor direction = widen(v, row_axis, {.low = i});
    const Tensor twice = direction * (2 / squared_norm(v));
    r = r - matmul(twice, matmul(adjoint(direction), r));
    q = q - matmul(matmul(q, twice), adjoint(direction));
  }
  return {q, triu(r)};
}

std::vector<Tensor> complex_qr(const Tensor& a, std::int64_t width) {
  const std::int64_t m = rows(a), n = columns(a);
  if (m < n) {
    const Tensor q = reflected(first_columns(a, m))[0];
    return {q, matmul(adjoint(q), a)};
  }
  const std::vector<Tensor> factors = reflected(a);
  return {first_columns(factors[0], width), first_rows(factors[1], width)};
}

// Columns that complete Q turn only as far as those before force them to.
Linears qr_forward(const Application& call, std::span<const Linear> tangents) {
  if (is_complex(call.in[0].dtype())) {
    const RegionPtr factors = region_of(types_of(call.in), [&](const std::vector<Tensor>& in) {
      return complex_qr(in[0], columns(call.out[0]));
    });
    return push_forward(*factors, {call.in[0]}, {tangents[0]}).tangents;
  }
  const Tensor& da = *tangents[0];
  const Tensor& q = call.out[0];
  const Tensor& r = call.out[1];
  const std::int64_t k = std::min(rows(da), columns(da));
  const Tensor scaled = over_upper(first_columns(da, k), first_rows(first_columns(r, k), k));
  const Tensor inside = matmul(swapped(q), scaled);
  const Tensor square = to_square(inside);
  const Tensor below = tril(square, -1);
  const Tensor omega = below - swapped(below);
  Tensor dq = matmul(q, omega);
  if (columns(q) == k) dq = dq + (scaled - matmul(q, inside));
  return {dq, matmul(swapped(q), da) - matmul(omega, r)};
}

// 1 / (to_j - from_i) between different values, else 0: equal ones share a space, in which vectors
// may turn freely.
Tensor gaps(const Tensor& values) {
  const Tensor gap = new_axis(values, -2) - new_axis(values, -1);
  const Tensor safe = select(gap == 0, Tensor(1.0, gap.dtype()), gap);
  return select(gap == 0, Tensor(0.0, gap.dtype()), 1 / safe);
}

Linears eigh_forward(const Application& call, std::span<const Linear> tangents) {
  const Tensor& values = call.out[0];
  const Tensor& vectors = call.out[1];
  const Tensor da = (*tangents[0] + adjoint(*tangents[0])) * 0.5;
  const Tensor inner = matmul(adjoint(vectors), matmul(da, vectors));
  const Tensor on_diagonal = diagonal(inner);
  return {is_complex(inner.dtype()) ? real(on_diagonal) : on_diagonal,
          matmul(vectors, inner * gaps(values))};
}

// One side's vectors: how the first K turn among each other, and towards all others. `beyond` is
// the tangent of the matrix times the other side's vectors, divided by the singular values.
Tensor turned(const Tensor& vectors, const Tensor& inner, const Tensor& beyond, std::int64_t k) {
  if (columns(vectors) == k) {
    const Tensor own = matmul(vectors, inner);
    if (rows(vectors) == k) return own;
    return own + (beyond - matmul(vectors, matmul(swapped(vectors), beyond)));
  }
  const auto row_axis = static_cast<std::int64_t>(vectors.rank()) - 2;
  const std::int64_t rest = columns(vectors) - k;
  const Tensor lower =
      widen(cut(matmul(swapped(vectors), beyond), row_axis, k, rest), row_axis, {.low = k});
  const Tensor outside = to_square(lower);
  const Tensor omega =
      to_square(widen(inner, row_axis, {.high = rest})) + outside - swapped(outside);
  return matmul(vectors, omega);
}

Linears svd_forward(const Application& call, std::span<const Linear> tangents) {
  const Tensor& u = call.out[0];
  const Tensor& s = call.out[1];
  const Tensor v = swapped(call.out[2]);
  const Tensor& da = *tangents[0];
  const std::int64_t k = s.shape().back();
  const Tensor u1 = first_columns(u, k), v1 = first_columns(v, k);
  const Tensor av = matmul(da, v1), au = matmul(swapped(da), u1);
  const Tensor inner = matmul(swapped(u1), av);
  const Tensor mirrored = swapped(inner);
  const Tensor between = gaps(s * s);
  const Tensor du = between * (scaled_columns(inner, s) + scaled_rows(mirrored, s));
  const Tensor dv = between * (scaled_rows(inner, s) + scaled_columns(mirrored, s));
  const Tensor is_zero = s == 0;
  const Tensor safe = select(is_zero, Tensor(1.0, s.dtype()), s);
  const Tensor over = select(is_zero, Tensor(0.0, s.dtype()), 1 / safe);
  return {turned(u, du, scaled_columns(av, over), k), diagonal(inner),
          swapped(turned(v, dv, scaled_columns(au, over), k))};
}

}  // namespace

std::span<const Rule> linalg_rules() {
  static const std::vector<Rule> rules = {
      forward("triangular_solve", triangular_forward, kSecond, triangular_transpose),
      forward("block:LinAlg.Cholesky", cholesky_forward),
      forward("block:LinAlg.Determinant", determinant_forward),
      forward("block:LinAlg.Eigh", eigh_forward),
      forward("block:LinAlg.LU", lu_forward),
      forward("block:LinAlg.QR", qr_forward),
      forward("block:LinAlg.SVD", svd_forward),
      forward("block:LinAlg.Solve", solve_forward, kSecond, solve_transpose),
  };
  return rules;
}

}  // namespace mlxnx::transforms
