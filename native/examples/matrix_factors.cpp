// Decompositions of a matrix. They run on the CPU whatever the default device is.
#include <mlxnx/mlxnx.h>

#include <iostream>

using mlxnx::Tensor;
using mlxnx::tensor;

int main() {
  const Tensor a = tensor({{4.0, 1.0}, {1.0, 3.0}});
  const auto [q, r] = mlxnx::linalg::qr(a);
  std::cout << "QR of a\n" << q << '\n' << r << "\n\n";

  const auto [eigenvalues, eigenvectors] = mlxnx::linalg::eigh(a);
  std::cout << "eigenvalues of a\n" << eigenvalues << "\n\n";

  const Tensor b = tensor({1.0, 2.0});
  const Tensor x = mlxnx::linalg::solve(a, b);
  const Tensor residual = mlxnx::dot(a, x) - b;
  std::cout << "x in a x = b\n" << x << '\n';

  // Errors say which op, what was wrong and the shapes.
  try {
    mlxnx::linalg::cholesky(tensor({1.0, 2.0}));
  } catch (const mlxnx::ShapeError& error) {
    std::cout << error.what() << '\n';
  }
  return mlxnx::all_close(residual, tensor({0.0, 0.0}), {.atol = 1e-5}).item<int>() == 1 ? 0 : 1;
}
