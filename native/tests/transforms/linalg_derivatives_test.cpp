// Derivatives of factorisations whose factors are unique only up to signs, phases and turns: of
// what does not depend on these.
#include <gtest/gtest.h>

#include "transforms/algebra.h"
#include "transforms/op_cases.h"

namespace mlxnx::transforms {
namespace {

Tensor hermitian(const Tensor& a) { return a + adjoint(a); }

// V f(values) Vᴴ
Tensor of_spectrum(const linalg::EighResult& result, const Tensor& values) {
  const Tensor& v = result.eigenvectors;
  return matmul(v * new_axis(values, -2), adjoint(v));
}

Tensor first_columns(const Tensor& q, std::int64_t count) {
  return slice_along_axis(q, 0, count, {.axis = -1});
}
Tensor other_columns(const Tensor& q, std::int64_t count) {
  return slice_along_axis(q, count, q.shape().back() - count, {.axis = -1});
}
Tensor projector(const Tensor& q) { return matmul(q, adjoint(q)); }

struct LinalgCase {
  const char* name;
  std::string_view operands;
  Tensors (*function)(const Tensors& in);
};
std::ostream& operator<<(std::ostream& out, const LinalgCase& linalg_case) {
  return out << linalg_case.name;
}

const LinalgCase kCases[] = {
    {"EighExponential", "f64[3,3]",
     [](const Tensors& in) {
       const auto result = linalg::eigh(hermitian(in[0]));
       return Tensors{of_spectrum(result, exp(real(result.eigenvalues) * 0.5))};
     }},
    {"EighComplex", "c64[3,3]",
     [](const Tensors& in) {
       const auto result = linalg::eigh(hermitian(in[0]));
       return Tensors{real(result.eigenvalues),
                      of_spectrum(result, exp(result.eigenvalues * 0.25))};
     }},
    {"EighLargestProjector", "f64[2,3,3]",
     [](const Tensors& in) {
       return Tensors{projector(first_columns(linalg::eigh(hermitian(in[0])).eigenvectors, 1))};
     }},
    {"QrTallComplete", "f64[4,2]",
     [](const Tensors& in) {
       const auto [q, r] = linalg::qr(in[0], "complete");
       return Tensors{first_columns(q, 2), projector(other_columns(q, 2)), r};
     }},
    {"QrTallCompleteBatch", "f64[2,3,1]",
     [](const Tensors& in) {
       const auto [q, r] = linalg::qr(in[0], "complete");
       return Tensors{first_columns(q, 1), projector(other_columns(q, 1)), r};
     }},
    {"QrComplex", "c64[3,3]",
     [](const Tensors& in) {
       const auto [q, r] = linalg::qr(in[0]);
       return Tensors{q, r};
     }},
    {"QrComplexTall", "c64[3,2]",
     [](const Tensors& in) {
       const auto [q, r] = linalg::qr(in[0]);
       return Tensors{q, r};
     }},
    {"QrComplexWide", "c64[2,3]",
     [](const Tensors& in) {
       const auto [q, r] = linalg::qr(in[0]);
       return Tensors{q, r};
     }},
    {"QrComplexComplete", "c64[3,2]",
     [](const Tensors& in) {
       const auto [q, r] = linalg::qr(in[0], "complete");
       return Tensors{first_columns(q, 2), projector(other_columns(q, 2)), r};
     }},
    {"QrComplexBatch", "c64[2,2,1]",
     [](const Tensors& in) {
       const auto [q, r] = linalg::qr(in[0]);
       return Tensors{q, r};
     }},
    {"SvdTallFull", "f64[4,2]",
     [](const Tensors& in) {
       const auto [u, s, vt] = linalg::svd(in[0]);
       return Tensors{first_columns(u, 2), projector(other_columns(u, 2)), s, vt};
     }},
    {"SvdWideFull", "f64[2,4]",
     [](const Tensors& in) {
       const auto [u, s, vt] = linalg::svd(in[0]);
       const Tensor v = swapped(vt);
       return Tensors{u, s, first_columns(v, 2), projector(other_columns(v, 2))};
     }},
    {"SvdPolarFactor", "f64[2,3,2]",
     [](const Tensors& in) {
       const auto [u, s, vt] = linalg::svd(in[0], false);
       return Tensors{matmul(u, vt)};
     }},
    {"SingularValuesAlone", "f64[2,4]",
     [](const Tensors& in) { return Tensors{linalg::svd(in[0]).s}; }},
    {"EigenvaluesAlone", "f64[4,4]",
     [](const Tensors& in) { return Tensors{linalg::eigh(hermitian(in[0])).eigenvalues}; }},
    {"Inverse", "f64[3,3]",
     [](const Tensors& in) {
       const Tensor a = in[0] + identity(3, DType::f64) * 3;
       return Tensors{linalg::solve(a, identity(3, DType::f64))};
     }},
    {"LeastSquaresByQr", "f64[4,2] f64[4]",
     [](const Tensors& in) {
       const auto [q, r] = linalg::qr(in[0]);
       return Tensors{triangular_solve(r, dot(swapped(q), in[1]), {.lower = false})};
     }},
    {"LogDeterminantByLu", "f64[3,3]",
     [](const Tensors& in) { return Tensors{sum(log(abs(diagonal(linalg::lu(in[0]).u))))}; }},
};

class LinalgDerivatives : public testing::TestWithParam<LinalgCase> {};

TEST_P(LinalgDerivatives, AreDifferences) {
  check_derivatives(subject(operands_of(GetParam().operands), GetParam().function));
}

INSTANTIATE_TEST_SUITE_P(Table, LinalgDerivatives, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

Tensor gradient(const Tensor& at, const TensorFunction& function) {
  const Subject here = subject({at}, function);
  return run(value_and_grad(*here.function, std::vector<std::size_t>{0}), here.point).back();
}

// Equal values share a space in which vectors may turn; sums over it are smooth all the same.
TEST(LinalgDerivatives, EqualEigenvaluesAreNoTrouble) {
  const Tensor ones = identity(3, DType::f64);
  const Tensor cubes = gradient(ones, [](const Tensors& in) {
    const Tensor values = linalg::eigh(in[0]).eigenvalues;
    return Tensors{sum(values * values * values)};
  });
  expect_near(cubes, ones * 3, 1e-12, "gradient");
}

TEST(LinalgDerivatives, SingularValuesOfZeroAreNoTrouble) {
  const Tensor rank_one = operands_of("f64[2,2]=1,2,2,4")[0];
  const Tensor squares = gradient(rank_one, [](const Tensors& in) {
    const auto [u, s, vt] = linalg::svd(in[0]);
    return Tensors{sum(s * s)};
  });
  expect_near(squares, rank_one * 2, 1e-12, "gradient");
}

TEST(LinalgDerivatives, WhereThePhaseOfAComplexFactorJumpsIsNone) {
  const Tensor head_of_zero = operands_of("c64[2,2]=0,1,2,3")[0];
  const Tensor grad = gradient(
      head_of_zero, [](const Tensors& in) { return Tensors{sum(real(linalg::qr(in[0]).q))}; });
  EXPECT_NE(sum(is_nan(grad)).item<int>(), 0);
}

// Only what is read of a matrix has a gradient.
TEST(LinalgDerivatives, TheOtherTriangleIsNotRead) {
  const Tensors inputs = operands_of("f64[3,3]:1..2 f64[3]");
  for (const bool lower : {true, false}) {
    const Tensor grad = gradient(inputs[0], [&](const Tensors& in) {
      return Tensors{sum(triangular_solve(in[0], inputs[1], {.lower = lower}))};
    });
    const Tensor other = lower ? triu(grad, 1) : tril(grad, -1);
    EXPECT_EQ(sum(abs(other)).item<double>(), 0);
    EXPECT_NE(sum(abs(grad)).item<double>(), 0);
  }
}

}  // namespace
}  // namespace mlxnx::transforms
