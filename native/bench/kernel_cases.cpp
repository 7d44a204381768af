// Large arrays and single functions, which are up to kernels.
#include <cmath>
#include <memory>
#include <vector>

#include "cases.h"
#include "mlxnx/fast.h"
#include "mlxnx/jit.h"
#include "mlxnx/numbers.h"
#include "mlxnx/operators.h"
#include "mlxnx/ops/creation.h"
#include "mlxnx/ops/elementwise.h"
#include "mlxnx/ops/indexing.h"
#include "mlxnx/ops/linalg.h"
#include "mlxnx/ops/reduction.h"
#include "mlxnx/ops/shape.h"
#include "mlxnx/tensor.h"

namespace mlxnx::bench {
namespace {

const Shape kMillion{1000000};
const Shape kRows{4096, 1024};

// `f` of waves of `shape`, times 3.
template <typename F>
Case of_waves(const char* name, const Shape& shape, F f) {
  return {name, [=] {
            const Tensor x = waves(shape) * 3.0;
            eval(x);
            return Body([=] { eval(f(x)); });
          }};
}

Case attention() {
  return {"attention_8x1024x64_causal", [] {
            const Tensor q = waves({1, 8, 1024, 64});
            return Body([=] {
              eval(fast::scaled_dot_product_attention(q, q, q, {.scale = 0.125, .causal = true}));
            });
          }};
}

Case selection() {
  return {"select_1m_f32", [] {
            const Tensor x = waves(kMillion), mask = x > 0.0, y = x * 2.0;
            eval(mask);
            eval(y);
            return Body([=] { eval(select(mask, x, y)); });
          }};
}

Case transposed_sum() {
  return {"add_transposed_1024_f32", [] {
            const Tensor x = waves({1024, 1024}), y = x * 2.0;
            eval(y);
            return Body([=] { eval(transpose(x) + y); });
          }};
}

Case half_sum() {
  return {"add_1m_f16", [] {
            const Tensor x = waves(kMillion, DType::f16);
            return Body([=] { eval(x + x); });
          }};
}

// Adam's step of ten million parameters; moments go on from call to call.
Case adam() {
  return {"program_adam_step_10m_f32", [] {
            const Shape shape{10000000};
            auto step = jit([](const Tensor& p, const Tensor& g, const Tensor& m, const Tensor& v) {
              const Tensor mean = m * 0.9 + g * 0.1;
              const Tensor square = v * 0.999 + g * g * 0.001;
              return std::vector{p - 0.001 * mean / (sqrt(square) + 1e-8), mean, square};
            });
            const Tensor g = waves(shape);
            auto state = std::make_shared<std::vector<Tensor>>(
                std::vector{waves(shape), waves(shape) * 0.0, waves(shape) * 0.0});
            eval(*state);
            return Body([=] {
              *state = step((*state)[0], g, (*state)[1], (*state)[2]);
              eval(*state);
            });
          }};
}

// A residual and the dropout of a GELU, of what is given.
Case gelu_dropout_residual() {
  return {"program_gelu_dropout_residual_4096x1024_f32", [] {
            auto block = jit([](const Tensor& x, const Tensor& uniform, const Tensor& residual) {
              const Tensor gelu = x * 0.5 * (1.0 + erf(x * std::sqrt(0.5)));
              return residual + select(uniform > 0.1, gelu / 0.9, gelu * 0.0);
            });
            const Tensor x = waves(kRows), uniform = abs(waves(kRows));
            eval(uniform);
            return Body([=] { eval(block(x, uniform, x)); });
          }};
}

}  // namespace

std::vector<Case> kernel_cases() {
  const auto to = [](DType type) { return [type](const Tensor& x) { return as_type(x, type); }; };
  return {
      of_waves("log_1m_f32", kMillion, [](const Tensor& x) { return log(x); }),
      of_waves("sin_1m_f32", kMillion, [](const Tensor& x) { return sin(x); }),
      of_waves("tanh_1m_f32", kMillion, [](const Tensor& x) { return tanh(x); }),
      of_waves("erf_1m_f32", kMillion, [](const Tensor& x) { return erf(x); }),
      of_waves("sigmoid_1m_f32", kMillion, [](const Tensor& x) { return sigmoid(x); }),
      {"erf_inv_1m_f32",
       [] {
         const Tensor x = waves(kMillion) * 0.999;
         eval(x);
         return Body([=] { eval(erf_inv(x)); });
       }},
      of_waves("round_1m_f32", kMillion, [](const Tensor& x) { return round(x); }),
      of_waves("remainder_1m_f32", kMillion, [](const Tensor& x) { return remainder(x, 0.7); }),
      of_waves("as_s32_1m_f32", kMillion, to(DType::s32)),
      of_waves("as_u8_1m_f32", kMillion, to(DType::u8)),
      of_waves("softmax_4096x1024_f32", kRows,
               [](const Tensor& x) { return fast::softmax(x, {.axes = Axes{1}}); }),
      of_waves("layer_norm_4096x1024_f32", kRows,
               [](const Tensor& x) { return fast::layer_norm(x); }),
      of_waves("rms_norm_4096x1024_f32", kRows, [](const Tensor& x) { return fast::rms_norm(x); }),
      of_waves("sum_axis_0_4096x1024_f32", kRows,
               [](const Tensor& x) { return sum(x, {.axes = Axes{0}}); }),
      of_waves("sum_axis_1_4096x1024_f32", kRows,
               [](const Tensor& x) { return sum(x, {.axes = Axes{1}}); }),
      of_waves("max_axis_0_4096x1024_f32", kRows,
               [](const Tensor& x) { return reduce_max(x, {.axes = Axes{0}}); }),
      of_waves("max_axis_1_4096x1024_f32", kRows,
               [](const Tensor& x) { return reduce_max(x, {.axes = Axes{1}}); }),
      of_waves("sum_axis_0_transposed_3000_f32", {3000, 3000},
               [](const Tensor& x) { return sum(transpose(x), {.axes = Axes{0}}); }),
      of_waves("sum_of_number_as_10000x10000_f32", {},
               [](const Tensor& x) {
                 return sum(broadcast(x, {10000, 10000}));
               }),
      of_waves("sum_axis_0_of_row_as_3000x3000_f32", {1, 3000},
               [](const Tensor& x) {
                 return sum(broadcast(x, {3000, 3000}), {.axes = Axes{0}});
               }),
      {"triangular_solve_1000_f32",
       [] {
         const Tensor a = waves({1000, 1000}) + eye({1000, 1000}) * 1000.0, b = waves({1000, 1000});
         eval(a);
         return Body([=] { eval(triangular_solve(a, b)); });
       }},
      selection(),
      transposed_sum(),
      half_sum(),
      attention(),
      adam(),
      gelu_dropout_residual(),
  };
}

}  // namespace mlxnx::bench
