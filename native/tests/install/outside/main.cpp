// A program outside this project: it knows the installed headers and the installed package, nothing
// else.
#include <mlxnx/mlxnx.h>

#include <iostream>

int main() {
  const mlxnx::Tensor sum = mlxnx::add(mlxnx::tensor({1.0, 2.0}), mlxnx::tensor({10.0, 20.0}));
  std::cout << sum << '\n';
  return sum.to_vector<float>() == std::vector<float>{11.0F, 22.0F} ? 0 : 1;
}
