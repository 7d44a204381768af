// A program outside this project: it knows the installed headers and the installed package, nothing else.
#include <mlxnx/mlxnx.h>

#include <iostream>

int main() {
  const mlxnx::Tensor sum = mlxnx::add(mlxnx::Tensor{1.0F, 2.0F}, mlxnx::Tensor{10.0F, 20.0F});
  std::cout << sum << '\n';
  return sum.to_vector<float>() == std::vector<float>{11.0F, 22.0F} ? 0 : 1;
}
