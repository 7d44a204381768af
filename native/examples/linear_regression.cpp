// Fits a line to noisy points by gradient descent on the mean squared error.
#include <mlxnx/mlxnx.h>

#include <cmath>
#include <iostream>
#include <vector>

using mlxnx::Tensor;
using mlxnx::tensor;

namespace {

constexpr float kSlope = 2.0F;
constexpr float kIntercept = -1.0F;
constexpr float kRate = 1.0F;
constexpr int kPoints = 64;

float xs_at(int i) { return static_cast<float>(i) / kPoints; }

Tensor mean(const Tensor& tensor) { return mlxnx::sum(tensor) / tensor.size(); }

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

  Tensor slope = 0.0F;
  Tensor intercept = 0.0F;
  for (int step = 0; step < 400; ++step) {
    const Tensor error = slope * x + intercept - y;
    slope -= kRate * mean(error * x);
    intercept -= kRate * mean(error);
    // Without this, the graph of all steps would be built before the first is computed.
    if (step % 50 == 49) mlxnx::eval({slope, intercept});
  }
  std::cout << "slope " << slope.item<float>() << ", intercept " << intercept.item<float>() << '\n';
  const bool fits = std::abs(slope.item<float>() - kSlope) < 0.1F &&
                    std::abs(intercept.item<float>() - kIntercept) < 0.1F;
  return fits ? 0 : 1;
}
