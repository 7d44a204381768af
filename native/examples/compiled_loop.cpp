// Compiled functions: Newton's method as one graph with a loop inside, and a program that is saved,
// loaded and run.
#include <mlxnx/mlxnx.h>

#include <cmath>
#include <filesystem>
#include <iostream>
#include <tuple>

using mlxnx::Tensor;

namespace {

// Square roots of all elements by 20 steps of Newton's method.
Tensor roots(const Tensor& x) {
  const auto [steps, guess] = mlxnx::while_loop(
      std::tuple(Tensor(0), x), [](const auto& state) { return std::get<0>(state) < 20; },
      [&x](const auto& state) {
        const auto& [step, value] = state;
        return std::tuple(step + 1, (value + x / value) * 0.5F);
      });
  return guess;
}

bool is_near(const Tensor& tensor, float expected) {
  return std::abs(tensor.item<float>() - expected) < 1e-4F;
}

}  // namespace

int main() {
  const auto compiled = mlxnx::jit(roots);
  std::cout << compiled(mlxnx::tensor({2.0, 9.0, 100.0})) << '\n';  // traced once, then replayed

  // Only the branch that is taken is computed.
  const auto shrink = mlxnx::jit([](const Tensor& x) {
    return mlxnx::cond(
        mlxnx::sum(x) > 10.0F, [&] { return roots(mlxnx::sum(x)); }, [&] { return mlxnx::sum(x); });
  });

  const auto program = mlxnx::Program::trace(
      {{"x", {mlxnx::DType::f32, {}}}},
      [](const std::vector<Tensor>& inputs) { return std::vector{roots(inputs[0])}; });
  const auto path = std::filesystem::temp_directory_path() / "mlxnx_example_roots.mlxnx";
  program.save(path);
  const auto loaded = mlxnx::Program::load(path);
  std::filesystem::remove(path);
  std::cout << loaded.to_string();

  const bool is_right = is_near(shrink(mlxnx::tensor({7.0, 9.0})), 4.0F) &&
                        is_near(shrink(mlxnx::tensor({1.0, 2.0})), 3.0F) &&
                        is_near(loaded.run({Tensor(9.0F)}).front(), 3.0F);
  return is_right ? 0 : 1;
}
