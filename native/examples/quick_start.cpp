// The first steps: make tensors, compute, choose a device, say when to evaluate.
#include <mlxnx/mlxnx.h>

#include <iostream>

using mlxnx::Tensor;
using mlxnx::tensor;

namespace {

Tensor predict(const Tensor& x, const Tensor& w) { return mlxnx::sigmoid(mlxnx::dot(x, w)); }

}  // namespace

int main() {
  const Tensor a = tensor({1.0, 2.0, 3.0});
  const Tensor b = tensor({4.0, 5.0, 6.0});
  std::cout << "add(a, b)\n" << mlxnx::add(a, b) << "\n\n";

  const Tensor x = tensor({{1.0, 2.0}, {3.0, 4.0}});
  const Tensor w = tensor({{0.5}, {0.3}});
  std::cout << "sigmoid(dot(x, w))\n" << predict(x, w) << "\n\n";

  // A GPU is the default where there is one. Tensors stay usable when the device changes.
  std::cout << "device " << mlxnx::name(mlxnx::default_device());
  mlxnx::set_default_device(mlxnx::Device::kCpu);
  std::cout << ", now " << mlxnx::name(mlxnx::default_device()) << "\n" << predict(x, w) << "\n\n";

  // A result is computed when it is read at the latest, or when it is asked for.
  const Tensor c = a * 2.0 - b;
  mlxnx::eval(c);
  mlxnx::synchronize();
  std::cout << "a * 2 - b\n" << c << '\n';
}
