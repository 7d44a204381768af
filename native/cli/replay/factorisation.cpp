#include "replay/factorisation.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <functional>

#include "replay/compare.h"
#include "tensor/element.h"

namespace mlxnx::cli {
namespace {

using Complex = std::complex<double>;
using Fault = std::optional<std::string>;

struct Matrix {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<Complex> values;

  Matrix(std::size_t r, std::size_t c) : rows(r), columns(c), values(r * c) {}
  Complex& at(std::size_t i, std::size_t j) { return values[i * columns + j]; }
  const Complex& at(std::size_t i, std::size_t j) const { return values[i * columns + j]; }
};

Complex element(const GoldenTensor& tensor, std::size_t index) {
  const std::size_t step = size_bytes(tensor.type.dtype);
  return std::visit(
      [](auto v) -> Complex {
        if constexpr (std::is_same_v<decltype(v), Complex>) {
          return v;
        } else {
          return static_cast<double>(v);
        }
      },
      tensors::decode(tensor.type.dtype, tensor.bytes.data() + index * step));
}

// Matrix number `batch` of a stack of them.
Matrix matrix(const GoldenTensor& tensor, std::size_t batch) {
  const Shape& shape = tensor.type.shape;
  Matrix result(static_cast<std::size_t>(shape[shape.size() - 2]),
                static_cast<std::size_t>(shape.back()));
  const std::size_t first = batch * result.values.size();
  for (std::size_t i = 0; i < result.values.size(); ++i)
    result.values[i] = element(tensor, first + i);
  return result;
}

// Vector number `batch` as a diagonal matrix.
Matrix diagonal(const GoldenTensor& tensor, std::size_t batch, std::size_t rows,
                std::size_t columns) {
  Matrix result(rows, columns);
  const auto length = static_cast<std::size_t>(tensor.type.shape.back());
  for (std::size_t i = 0; i < std::min({length, rows, columns}); ++i)
    result.at(i, i) = element(tensor, batch * length + i);
  return result;
}

Matrix operator*(const Matrix& a, const Matrix& b) {
  Matrix result(a.rows, b.columns);
  for (std::size_t i = 0; i < a.rows; ++i) {
    for (std::size_t k = 0; k < a.columns; ++k) {
      for (std::size_t j = 0; j < b.columns; ++j) result.at(i, j) += a.at(i, k) * b.at(k, j);
    }
  }
  return result;
}

Matrix adjoint(const Matrix& a) {
  Matrix result(a.columns, a.rows);
  for (std::size_t i = 0; i < a.rows; ++i) {
    for (std::size_t j = 0; j < a.columns; ++j) result.at(j, i) = std::conj(a.at(i, j));
  }
  return result;
}

Matrix identity(std::size_t size) {
  Matrix result(size, size);
  for (std::size_t i = 0; i < size; ++i) result.at(i, i) = 1.0;
  return result;
}

double norm(const Matrix& a) {
  double sum = 0.0;
  for (const Complex& value : a.values) sum += std::norm(value);
  return std::sqrt(sum);
}

double distance(const Matrix& a, const Matrix& b) {
  if (a.rows != b.rows || a.columns != b.columns) return HUGE_VAL;
  Matrix difference = a;
  for (std::size_t i = 0; i < a.values.size(); ++i) difference.values[i] -= b.values[i];
  return norm(difference);
}

// Comparisons that a NaN fails.
Fault require_near(const char* what, const Matrix& a, const Matrix& b, double allowed) {
  const double found = distance(a, b);
  if (found <= allowed) return std::nullopt;
  return fmt::format("{}: off by {:.3g}, allowed {:.3g}", what, found, allowed);
}

Fault require_triangular(const char* what, const Matrix& a, bool upper, double allowed) {
  for (std::size_t i = 0; i < a.rows; ++i) {
    for (std::size_t j = 0; j < a.columns; ++j) {
      const bool must_vanish = upper ? j < i : j > i;
      if (must_vanish && !(std::abs(a.at(i, j)) <= allowed))
        return fmt::format("{}: element [{}][{}] is not 0", what, i, j);
    }
  }
  return std::nullopt;
}

// How far the value number i of Nx may be from the true one, given how inexact Nx's factors are.
struct ExpectedError {
  double absolute = 0.0;  ///< distance of Nx's product from the input (Weyl's bound)
  double relative = 0.0;  ///< distance of Nx's vectors from orthonormal ones (Ostrowski's bound)
};

// Values that are unique, eigenvalues and singular values, on the diagonals of the arguments.
Fault require_values(const char* what, const Matrix& expected, const Matrix& got, double allowed,
                     const ExpectedError& error) {
  const std::size_t count = std::min(expected.rows, expected.columns);
  for (std::size_t i = 0; i < count; ++i) {
    const Complex wanted = expected.at(i, i);
    const double found = std::abs(wanted - got.at(i, i));
    if (!(found <= allowed + error.absolute + std::abs(wanted) * error.relative)) {
      return fmt::format("{} {} is {:.9g}, expected {:.9g}", what, i, got.at(i, i).real(),
                         wanted.real());
    }
  }
  return std::nullopt;
}

// How far the first `count` columns are from orthonormal.
double orthonormality_error(const Matrix& columns, std::size_t count) {
  Matrix first(columns.rows, count);
  for (std::size_t i = 0; i < columns.rows; ++i) {
    for (std::size_t j = 0; j < count; ++j) first.at(i, j) = columns.at(i, j);
  }
  return distance(adjoint(first) * first, identity(count));
}

struct Problem {
  const GoldenCase& golden;
  std::span<const GoldenTensor> got;
  std::size_t batch;
  Matrix input;
  double unit;   // tolerance for factors whose columns have length 1
  double scale;  // tolerance for what has the input's magnitude
};

Fault qr_fault(const Problem& p) {
  const Matrix q = matrix(p.got[0], p.batch);
  const Matrix r = matrix(p.got[1], p.batch);
  if (auto fault =
          require_near("Q^H Q is not the identity", adjoint(q) * q, identity(q.columns), p.unit))
    return fault;
  if (auto fault = require_triangular("R is not upper triangular", r, true, p.scale)) return fault;
  return require_near("Q R is not the input", q * r, p.input, p.scale);
}

Fault lu_fault(const Problem& p) {
  const Matrix permutation = matrix(p.got[0], p.batch);
  const Matrix lower = matrix(p.got[1], p.batch);
  const Matrix upper = matrix(p.got[2], p.batch);
  for (const Complex& value : permutation.values) {
    if (value != 0.0 && value != 1.0) return "P is not a permutation matrix";
  }
  if (distance(adjoint(permutation) * permutation, identity(permutation.rows)) != 0.0)
    return "P is not a permutation matrix";
  if (auto fault = require_triangular("L is not lower triangular", lower, false, p.unit))
    return fault;
  for (std::size_t i = 0; i < lower.rows; ++i) {
    if (!(std::abs(lower.at(i, i) - 1.0) <= p.unit)) return "the diagonal of L is not 1";
  }
  if (auto fault = require_triangular("U is not upper triangular", upper, true, p.scale))
    return fault;
  return require_near("P L U is not the input", permutation * lower * upper, p.input, p.scale);
}

Fault svd_fault(const Problem& p) {
  const Matrix u = matrix(p.got[0], p.batch);
  const Matrix vt = matrix(p.got[2], p.batch);
  const Matrix s = diagonal(p.got[1], p.batch, u.columns, vt.rows);
  if (auto fault =
          require_near("U^H U is not the identity", adjoint(u) * u, identity(u.columns), p.unit))
    return fault;
  if (auto fault =
          require_near("V^H V is not the identity", vt * adjoint(vt), identity(vt.rows), p.unit))
    return fault;
  for (std::size_t i = 0; i < std::min(s.rows, s.columns); ++i) {
    if (!(s.at(i, i).real() >= -p.scale)) return "a singular value is negative";
    if (i > 0 && !(s.at(i, i).real() <= s.at(i - 1, i - 1).real() + p.scale))
      return "the singular values are not in descending order";
  }
  if (auto fault = require_near("U S V^H is not the input", u * s * vt, p.input, p.scale))
    return fault;
  const auto& out = p.golden.outputs;
  const Matrix u0 = matrix(out[0], p.batch);
  const Matrix s0 = diagonal(out[1], p.batch, u.columns, vt.rows);
  const Matrix vt0 = matrix(out[2], p.batch);
  std::size_t rank = 0;  // vectors of vanishing values say nothing about the others
  while (rank < std::min(s0.rows, s0.columns) && s0.at(rank, rank).real() > p.scale) ++rank;
  const ExpectedError error{
      distance(u0 * s0 * vt0, p.input),
      orthonormality_error(u0, rank) + orthonormality_error(adjoint(vt0), rank)};
  return require_values("singular value", s0, s, p.scale, error);
}

Fault eigh_fault(const Problem& p) {
  const Matrix v = matrix(p.got[1], p.batch);
  const Matrix w = diagonal(p.got[0], p.batch, v.columns, v.columns);
  if (auto fault =
          require_near("V^H V is not the identity", adjoint(v) * v, identity(v.columns), p.unit))
    return fault;
  if (auto fault = require_near("A V is not V W", p.input * v, v * w, p.scale)) return fault;
  const auto& out = p.golden.outputs;
  const Matrix v0 = matrix(out[1], p.batch);
  const Matrix w0 = diagonal(out[0], p.batch, v.columns, v.columns);
  return require_values("eigenvalue", w0, w, p.scale, {distance(p.input * v0, v0 * w0), 0.0});
}

struct Check {
  std::string_view op;
  Fault (*fault)(const Problem&);
};

constexpr std::array kChecks = {
    Check{"block:LinAlg.QR", qr_fault},
    Check{"block:LinAlg.SVD", svd_fault},
    Check{"block:LinAlg.Eigh", eigh_fault},
    Check{"block:LinAlg.LU", lu_fault},
};

const Check* find_check(std::string_view op) {
  for (const Check& check : kChecks) {
    if (check.op == op) return &check;
  }
  return nullptr;
}

}  // namespace

bool is_factorisation(const std::string& op) { return find_check(op) != nullptr; }

Fault factorisation_fault(const GoldenCase& golden, std::span<const GoldenTensor> got) {
  const Check* check = find_check(golden.op);
  const Shape& shape = golden.inputs.at(0).type.shape;
  if (shape.size() < 2) return "the input is not a matrix";
  double relative = 0.0;
  for (const GoldenTensor& tensor : golden.outputs)
    relative = std::max(relative, tolerance(tensor.type.dtype));
  const std::int64_t batches = element_count(std::span(shape).first(shape.size() - 2));
  for (std::size_t batch = 0; batch < static_cast<std::size_t>(batches); ++batch) {
    const Matrix input = matrix(golden.inputs[0], batch);
    const double size = std::max(1.0, std::sqrt(static_cast<double>(input.values.size())));
    const Problem problem{
        golden, got, batch, input, relative * size, relative * std::max(size, norm(input))};
    if (auto fault = check->fault(problem)) return fmt::format("matrix {}: {}", batch, *fault);
  }
  return std::nullopt;
}

}  // namespace mlxnx::cli
