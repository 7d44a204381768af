// Fits a line to noisy points by gradient descent on the mean squared error.
#include <mlxnx/mlxnx.h>

#include <cmath>
#include <iostream>
#include <tuple>
#include <vector>

using mlxnx::Tensor;
using mlxnx::tensor;

namespace {

constexpr float kSlope = 2.0F;
constexpr float kIntercept = -1.0F;
constexpr float kRate = 1.0F;
constexpr int kPoints = 64;

struct Line {
  Tensor slope, intercept;
  MLXNX_MEMBERS(slope, intercept)
};

Tensor loss(const Line& line, const Tensor& x, const Tensor& y) {
  const Tensor error = line.slope * x + line.intercept - y;
  return mlxnx::sum(error * error) / x.size();
}

float xs_at(int i) { return static_cast<float>(i) / kPoints; }

}  // namespace

int main() {
  std::vector<float> xs;
  std::vector<float> ys;
  for (int i = 0; i < kPoints; ++i) {
    xs.push_back(xs_at(i));
    ys.push_back(kSlope * xs_at(i) + kIntercept + 0.1F * std::sin(37.0F * static_cast<float>(i)));
  }
  const Tensor x = tensor(xs);
  const Tensor y = tensor(ys);

  // Traced and differentiated once, then replayed.
  const auto step = mlxnx::jit([](const Line& line, const Tensor& x, const Tensor& y) {
    const auto [value, slopes] = mlxnx::value_and_grad(loss)(line, x, y);
    return std::tuple(value, Line{line.slope - 0.5F * kRate * slopes.slope,
                                  line.intercept - 0.5F * kRate * slopes.intercept});
  });
  Line line{Tensor(0.0F), Tensor(0.0F)};
  Tensor error;
  for (int i = 0; i < 400; ++i) std::tie(error, line) = step(line, x, y);

  const auto slope = line.slope.item<float>();
  const auto intercept = line.intercept.item<float>();
  std::cout << "slope " << slope << ", intercept " << intercept << ", mean squared error "
            << error.item<float>() << '\n';
  const bool fits = std::abs(slope - kSlope) < 0.1F && std::abs(intercept - kIntercept) < 0.1F;
  return fits ? 0 : 1;
}
