#include "cases.h"

#include <benchmark/benchmark.h>

#include <cmath>
#include <vector>

#include "mlxnx/tensor.h"
#include "ops/invoke.h"
#include "ops/registry.h"

namespace mlxnx::bench {
namespace {

std::vector<float> wave_values(std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(std::sin(static_cast<double>(i)));
  return values;
}

Tensor call(const char* name, std::initializer_list<Tensor> operands,
            const ops::Attrs& attrs = {}) {
  return ops::invoke(ops::op(name), std::span(operands.begin(), operands.size()), attrs);
}

// A symmetric, positive definite matrix.
Tensor definite(std::int64_t size) {
  std::vector<float> values = wave_values(size * size);
  std::vector<float> matrix(values.size());
  const auto n = static_cast<std::size_t>(size);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      matrix[i * n + j] = 0.5f * (values[i * n + j] + values[j * n + i]) +
                          (i == j ? static_cast<float>(size) : 0.0f);
    }
  }
  return Tensor::from_span<float>(matrix, {size, size});
}

Tensor dot(const Tensor& a, const Tensor& b) {
  const auto last = static_cast<std::int64_t>(a.rank()) - 1;
  return call("dot", {a, b},
              {{"contract_axes1", Axes{last}},
               {"batch_axes1", Axes{}},
               {"contract_axes2", Axes{0}},
               {"batch_axes2", Axes{}}});
}

Case products(const char* name, Shape left, Shape right, DType type = DType::f32) {
  return {name, [=] {
            const Tensor a = waves(left, type), b = waves(right, type);
            return Body([=] { eval(dot(a, b)); });
          }};
}

Case batched_products() {
  return {"dot_batch_64x128x128_f32", [] {
            const Tensor a = waves({64, 128, 128}), b = waves({64, 128, 128});
            const ops::Attrs attrs = {{"contract_axes1", Axes{2}},
                                      {"batch_axes1", Axes{0}},
                                      {"contract_axes2", Axes{1}},
                                      {"batch_axes2", Axes{0}}};
            return Body([=] { eval(call("dot", {a, b}, attrs)); });
          }};
}

Case unary(const char* name, const char* op, Shape shape, ops::Attrs attrs = {}) {
  return {name, [=] {
            const Tensor a = waves(shape);
            return Body([=] { eval(call(op, {a}, attrs)); });
          }};
}

Case factorisation(const char* name, const char* op) {
  return {name, [=] {
            const Tensor a = definite(512);
            return Body([=] { eval(ops::invoke_all(ops::op(op), {a})); });
          }};
}

// Channels last, with zeros around, or channels first and without.
Case convolution(const char* name, Shape input, Shape kernel, bool channels_last) {
  return {name, [=] {
            const Tensor x = waves(input), w = waves(kernel);
            ops::Attrs attrs;
            if (channels_last) {
              attrs = {{"padding", std::vector<ops::Pair>{{1, 1}, {1, 1}}},
                       {"input_permutation", Axes{0, 3, 1, 2}},
                       {"kernel_permutation", Axes{0, 3, 1, 2}},
                       {"output_permutation", Axes{0, 3, 1, 2}}};
            }
            return Body([=] { eval(call("conv", {x, w}, attrs)); });
          }};
}

// Scattered over [0, below).
Tensor places(const Shape& shape, std::int64_t below) {
  std::vector<std::int32_t> values(static_cast<std::size_t>(element_count(shape)));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<std::int32_t>(static_cast<std::int64_t>(i) * 7'368'787 % below);
  const Tensor result = Tensor::from_span<std::int32_t>(values, shape);
  eval(result);
  return result;
}

Case top_k() {
  return {"top_40_of_1m_f32", [] {
            const Tensor a = waves({1000000});
            return Body([=] {
              eval(ops::invoke_all(ops::op("block:TopK"), {a}, {{"k", std::int64_t{40}}}));
            });
          }};
}

Case taken_rows() {
  return {
      "take_20000_rows_of_64_f32", [] {
        const Tensor a = waves({20000, 64}), indices = places({20000}, 20000);
        return Body([=] { eval(call("block:Take", {a, indices}, {{"axis", std::int64_t{0}}})); });
      }};
}

Case gathered() {
  return {"gather_1m_f32", [] {
            const Tensor a = waves({1000, 1000}), indices = places({1000000, 2}, 1000);
            return Body([=] { eval(call("gather", {a, indices})); });
          }};
}

Case added(const char* name, Shape into, Shape updates) {
  return {name, [=] {
            const Tensor a = waves(into), u = waves(updates);
            const Tensor indices = places({updates[0], 1}, into[0]);
            return Body([=] { eval(call("indexed_add", {a, indices, u}, {{"axes", Axes{0}}})); });
          }};
}

Body chain(int length) {
  const Tensor a = waves({10}), b = waves({10});
  return [=] {
    Tensor value = a;
    for (int i = 0; i < length; ++i) value = call("add", {value, b});
    eval(value);
  };
}

Body elementwise_20() {
  const Tensor x = waves({1000});
  return [=] {
    Tensor value = x;
    for (int i = 0; i < 5; ++i) {
      value = call("multiply", {value, x});
      value = call("add", {value, x});
      value = call("tanh", {value});
      value = call("subtract", {value, x});
    }
    eval(value);
  };
}

Body build_add() {
  const Tensor a = waves({10}), b = waves({10});
  const ops::OpDef& add = ops::op("add");
  return [=, &add] { benchmark::DoNotOptimize(ops::invoke(add, {a, b})); };
}

Body build_and_eval_add() {
  const Tensor a = waves({10}), b = waves({10});
  const ops::OpDef& add = ops::op("add");
  return [=, &add] { eval(ops::invoke(add, {a, b})); };
}

Body read_back() {
  const Tensor a = waves({1024, 1024});
  return [=] {
    const TensorView view(a);
    benchmark::DoNotOptimize(view.bytes().data());
  };
}

std::vector<Case> op_cases() {
  return {
      {"build_add_f32_10", build_add},
      {"build_eval_add_f32_10", build_and_eval_add},
      {"chain_100_adds_f32_10", [] { return chain(100); }},
      {"elementwise_20_f32_1000", elementwise_20},
      {"read_4_mib", read_back},
      products("dot_1024_f32", {1024, 1024}, {1024, 1024}),
      products("dot_1x4096x4096_f32", {1, 4096}, {4096, 4096}),
      products("dot_512_f16", {512, 512}, {512, 512}, DType::f16),
      products("dot_512_bf16", {512, 512}, {512, 512}, DType::bf16),
      batched_products(),
      convolution("conv2d_8x56x56x64_3x3_f32", {8, 56, 56, 64}, {64, 3, 3, 64}, true),
      convolution("conv2d_64x1x28x28_6_5x5_f32", {64, 1, 28, 28}, {6, 1, 5, 5}, false),
      convolution("conv1d_100000_101_f32", {1, 1, 100000}, {1, 1, 101}, false),
      factorisation("svd_512_f32", "block:LinAlg.SVD"),
      factorisation("qr_512_f32", "block:LinAlg.QR"),
      factorisation("cholesky_512_f32", "block:LinAlg.Cholesky"),
      factorisation("eigh_512_f32", "block:LinAlg.Eigh"),
      unary("exp_1m_f32", "exp", {1000000}),
      unary("sum_1m_f32", "sum", {1000000}),
      unary("sort_1m_f32", "sort", {1000000}),
      unary("sort_1000x1000_columns_f32", "sort", {1000, 1000}),
      unary("argsort_1m_f32", "argsort", {1000000}),
      top_k(),
      taken_rows(),
      gathered(),
      added("add_1m_to_places_f32", {1000000}, {1000000}),
      added("add_20000_to_rows_of_64_f32", {20000, 64}, {20000, 64}),
  };
}

const std::vector<Case>& all_cases() {
  static const std::vector<Case> list = [] {
    std::vector<Case> cases = op_cases();
    for (Case& item : kernel_cases()) cases.push_back(std::move(item));
    for (Case& item : program_cases()) cases.push_back(std::move(item));
    for (Case& item : transform_cases()) cases.push_back(std::move(item));
    for (Case& item : nn_cases()) cases.push_back(std::move(item));
    for (Case& item : quantized_cases()) cases.push_back(std::move(item));
    for (Case& item : file_cases()) cases.push_back(std::move(item));
    return cases;
  }();
  return list;
}

}  // namespace

Tensor waves(const Shape& shape, DType type) {
  const Tensor values = Tensor::from_span<float>(wave_values(element_count(shape)), shape);
  const Tensor typed = type == DType::f32 ? values : call("as_type", {values}, {{"type", type}});
  eval(typed);
  return typed;
}

std::span<const Case> cases() { return all_cases(); }

void register_case(const Case& item) {
  benchmark::RegisterBenchmark(item.name.c_str(),
                               [&item](benchmark::State& state) {
                                 const Body body = item.prepare();
                                 body();  // warm-up: allocations, the BLAS choice
                                 for (auto _ : state) body();
                               })
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime()
      ->MeasureProcessCPUTime();  // of all threads
}

}  // namespace mlxnx::bench
