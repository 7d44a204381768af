// Graph programs: compiled once, run many times.
#include <memory>

#include "cases.h"
#include "program/builder.h"
#include "program/executable.h"

namespace mlxnx::bench {
namespace {

using program::Executable;
using program::Program;
using program::RegionBuilder;
using program::ValueId;

TensorType f32(Shape shape = {}) { return {DType::f32, shape}; }
TensorType s32() { return {DType::s32, {}}; }

ValueId number(RegionBuilder& builder, const Number& value, DType type) {
  return builder.op("constant", {}, {{"value", value}, {"type", type}});
}
ValueId integer(RegionBuilder& builder, std::int64_t value) {
  return number(builder, Number(value), DType::s32);
}
ValueId real(RegionBuilder& builder, double value) {
  return number(builder, Number(value), DType::f32);
}

// Runs `program`, and computes what it answers.
Body runs(Program program, std::vector<Tensor> inputs) {
  const auto executable = std::make_shared<const Executable>(std::move(program));
  return warmed([=] { eval(executable->run(inputs)); });
}

Body elementwise_20() {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({1000}));
  ValueId value = x;
  for (int i = 0; i < 5; ++i) {
    value = builder.op("multiply", {value, x});
    value = builder.op("add", {value, x});
    value = builder.op("tanh", {value});
    value = builder.op("subtract", {value, x});
  }
  return runs(builder.program({value}), {waves({1000})});
}

ValueId dot(RegionBuilder& builder, ValueId a, std::int64_t a_axis, ValueId b,
            std::int64_t b_axis) {
  return builder.op("dot", {a, b},
                    {{"contract_axes1", Axes{a_axis}}, {"contract_axes2", Axes{b_axis}}});
}

// 784-512-512-10 on a batch of 64.
struct Mlp {
  static constexpr std::int64_t kSizes[] = {784, 512, 512, 10};
  static constexpr std::int64_t kBatch = 64;
  RegionBuilder builder;
  ValueId x = builder.input("x", f32({kBatch, kSizes[0]}));
  std::vector<ValueId> weights, biases, activations{x};
  std::vector<Tensor> inputs{waves({kBatch, kSizes[0]})};

  Mlp() {
    for (int i = 0; i < 3; ++i) {
      const Shape shape{kSizes[i], kSizes[i + 1]};
      weights.push_back(builder.input("w", f32(shape)));
      biases.push_back(builder.input("b", f32({kSizes[i + 1]})));
      inputs.push_back(waves(shape));
      inputs.push_back(waves({kSizes[i + 1]}));
    }
  }
  ValueId forward() {
    for (std::size_t i = 0; i < 3; ++i) {
      const ValueId product = dot(builder, activations.back(), 1, weights[i], 0);
      ValueId value = builder.op("add", {product, biases[i]});
      if (i < 2) value = builder.op("max", {value, real(builder, 0.0)});
      activations.push_back(value);
    }
    return activations.back();
  }
};

Body mlp_forward() {
  Mlp mlp;
  const ValueId output = mlp.forward();
  return runs(mlp.builder.program({output}), mlp.inputs);
}

// One step of gradient descent on the mean of squares, the gradient written out.
Body mlp_sgd_step() {
  Mlp mlp;
  RegionBuilder& b = mlp.builder;
  const ValueId output = mlp.forward();
  const auto scale = 2.0 / static_cast<double>(Mlp::kBatch * Mlp::kSizes[3]);
  ValueId gradient = b.op("multiply", {output, real(b, scale)});
  const ValueId rate = real(b, 1e-3);
  std::vector<ValueId> updated;
  for (std::size_t i = 3; i-- > 0;) {
    const ValueId of_weights = dot(b, mlp.activations[i], 0, gradient, 0);
    const ValueId of_biases = b.op("sum", {gradient}, {{"axes", Axes{0}}});
    updated.push_back(b.op("subtract", {mlp.weights[i], b.op("multiply", {of_weights, rate})}));
    updated.push_back(b.op("subtract", {mlp.biases[i], b.op("multiply", {of_biases, rate})}));
    if (i == 0) break;
    const ValueId before = dot(b, gradient, 1, mlp.weights[i], 1);
    const ValueId is_active = b.op("greater", {mlp.activations[i], real(b, 0.0)});
    gradient = b.op("select", {is_active, before, real(b, 0.0)});
  }
  return runs(b.program(updated), mlp.inputs);
}

// i, x -> i + 1, x * 0.5 + 1 while i < bound; the bound is a number, or comes in.
Body loop(bool bound_comes_in) {
  RegionBuilder condition, body, builder;
  const ValueId ci = condition.input("i", s32());
  condition.input("x", f32({10}));
  const ValueId bound = bound_comes_in ? condition.input("n", s32()) : integer(condition, 1000);
  const auto test = condition.region(std::vector{condition.op("less", {ci, bound})});
  const ValueId i = body.input("i", s32());
  const ValueId x = body.input("x", f32({10}));
  if (bound_comes_in) body.input("n", s32());
  const ValueId next = body.op("add", {i, integer(body, 1)});
  const ValueId half = body.op("multiply", {x, real(body, 0.5)});
  const auto step = body.region(std::vector{next, body.op("add", {half, real(body, 1.0)})});
  const ValueId start = integer(builder, 0);
  const ValueId value = builder.input("x", f32({10}));
  std::vector<ValueId> captures;
  std::vector<Tensor> inputs{waves({10})};
  if (bound_comes_in) {
    captures.push_back(builder.input("n", s32()));
    inputs.emplace_back(1000);
  }
  const auto ids = builder.while_loop(std::vector{start, value}, captures, test, step);
  return runs(builder.program({ids[1]}), inputs);
}

// p > 0 ? dot(x, x) : x, where p is not.
Body branch() {
  const TensorType type = f32({256, 256});
  RegionBuilder yes, no, builder;
  const ValueId y = yes.input("x", type);
  const auto product = yes.region(std::vector{dot(yes, y, 1, y, 0)});
  const auto same = no.region(std::vector{no.input("x", type)});
  const ValueId x = builder.input("x", type);
  const ValueId p = builder.input("p", f32());
  const ValueId is_positive = builder.op("greater", {p, real(builder, 0.0)});
  const auto ids = builder.cond(std::vector{is_positive}, std::vector{x}, {product, same});
  return runs(builder.program(ids), {waves({256, 256}), Tensor(-1.0)});
}

}  // namespace

std::vector<Case> program_cases() {
  return {
      {"program_elementwise_20_f32_1000", elementwise_20},
      {"program_mlp_forward_64x784", mlp_forward},
      {"program_mlp_sgd_step_64x784", mlp_sgd_step},
      {"program_while_1000_constant", [] { return loop(false); }},
      {"program_while_1000_run_time", [] { return loop(true); }},
      {"program_cond_lazy_dot_256", branch},
  };
}

}  // namespace mlxnx::bench
