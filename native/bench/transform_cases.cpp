// Gradients: a training step, loops, gradients of each example, and what a transform itself takes.
#include <string>
#include <tuple>
#include <vector>

#include "cases.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::bench {
namespace {

struct Layer {
  Tensor weight, bias;
  MLXNX_MEMBERS(weight, bias)
};
using Mlp = std::vector<Layer>;

constexpr std::int64_t kSizes[] = {784, 512, 512, 10};

Mlp mlp() {
  Mlp model;
  for (int i = 0; i < 3; ++i)
    model.push_back({waves({kSizes[i], kSizes[i + 1]}), waves({kSizes[i + 1]})});
  return model;
}

Tensor forward(const Mlp& model, Tensor x) {
  for (std::size_t i = 0; i < model.size(); ++i) {
    x = dot(x, model[i].weight) + model[i].bias;
    if (i + 1 < model.size()) x = max(x, Tensor(0.0));
  }
  return x;
}

Tensor loss(const Mlp& model, const Tensor& x) {
  const Tensor y = forward(model, x);
  return sum(y * y) / static_cast<double>(y.size());
}

Body sgd_step() {
  const auto step = jit([](const Mlp& model, const Tensor& x) {
    const Mlp slopes = grad(loss)(model, x);
    Mlp next;
    for (std::size_t i = 0; i < model.size(); ++i) {
      next.push_back(
          {model[i].weight - slopes[i].weight * 1e-3, model[i].bias - slopes[i].bias * 1e-3});
    }
    return next;
  });
  return warmed([=, model = mlp(), x = waves({64, 784})] { eval(tensors_of(step(model, x))); });
}

Tensor loss_of_one(const Mlp& model, const Tensor& x) { return loss(model, new_axis(x, 0)); }

Body gradients_of_each() {
  const auto each = jit(vmap(grad(loss_of_one), {std::nullopt, 0}));
  return warmed([=, model = mlp(), x = waves({64, 784})] { eval(tensors_of(each(model, x))); });
}

Body gradients_one_by_one() {
  const auto one = jit(grad(loss_of_one));
  return warmed([=, model = mlp(), x = waves({64, 784})] {
    for (std::int64_t i = 0; i < 64; ++i) {
      const Tensor example = squeeze(slice_along_axis(x, i, 1), {.axes = Axes{0}});
      eval(tensors_of(one(model, example)));
    }
  });
}

struct Convolved {
  Tensor x, kernel;
  MLXNX_MEMBERS(x, kernel)
};

// Those by the input and by the kernel.
Body convolution_gradients() {
  const auto slopes = jit(grad([](const Convolved& a) {
    const Tensor y = conv(a.x, a.kernel,
                          {.padding = {{1, 1}, {1, 1}},
                           .input_permutation = Axes{0, 3, 1, 2},
                           .kernel_permutation = Axes{0, 3, 1, 2},
                           .output_permutation = Axes{0, 3, 1, 2}});
    return sum(y * y);
  }));
  const Convolved inputs{waves({8, 56, 56, 64}), waves({64, 3, 3, 64})};
  return warmed([=] { eval(tensors_of(slopes(inputs))); });
}

// The number of iterations is read while it runs.
Tensor iterated(const Tensor& x, const Tensor& count) {
  return sum(std::get<1>(while_loop(
      std::tuple(Tensor(0), x), [&count](const auto& s) { return std::get<0>(s) < count; },
      [](const auto& s) { return std::tuple(std::get<0>(s) + 1, sin(std::get<1>(s)) * 1.01); })));
}

Case loop(const std::string& name, int count) {
  return {name, [=] {
            const auto run = jit(iterated);
            return warmed([=, x = waves({32})] { eval(run(x, Tensor(count))); });
          }};
}

Case loop_gradient(const std::string& name, int count, Tape tape) {
  return {name, [=] {
            const auto run = jit(grad(iterated, {.tape = tape}));
            return warmed([=, x = waves({32})] { eval(run(x, Tensor(count))); });
          }};
}

struct Block {
  Tensor query, key, value, out, up, down;
  MLXNX_MEMBERS(query, key, value, out, up, down)
};

Tensor normalised(const Tensor& x) {
  const ReductionOptions last{.axes = Axes{1}, .keep_axes = true};
  const Tensor centred = x - sum(x, last) / 64.0;
  return centred * rsqrt(sum(centred * centred, last) / 64.0 + 1e-5);
}

Tensor softmax(const Tensor& x) {
  const ReductionOptions last{.axes = Axes{1}, .keep_axes = true};
  const Tensor e = exp(x - reduce_max(x, last));
  return e / sum(e, last);
}

Tensor transformer(const std::vector<Block>& blocks, Tensor x) {
  for (const Block& block : blocks) {
    const Tensor h = normalised(x);
    const Tensor scores = dot(dot(h, block.query), transpose(dot(h, block.key))) * 0.125;
    x = x + dot(dot(softmax(scores), dot(h, block.value)), block.out);
    const Tensor up = dot(normalised(x), block.up);
    x = x + dot(up * sigmoid(up), block.down);
  }
  return sum(x * x);
}

// From the function to its first gradient, none of it kept from before.
Body transformer_made_ready() {
  const Tensor square = waves({64, 64}), wide = waves({64, 128}), tall = waves({128, 64});
  const std::vector<Block> blocks(24, Block{square, square, square, square, wide, tall});
  return [=, x = waves({16, 64})] { eval(tensors_of(jit(grad(transformer))(blocks, x))); };
}

}  // namespace

std::vector<Case> transform_cases() {
  return {
      {"grad_mlp_sgd_step_64x784", sgd_step},
      {"grad_of_each_of_64_mlp", gradients_of_each},
      {"grad_one_by_one_of_64_mlp", gradients_one_by_one},
      {"grad_conv2d_8x56x56x64_3x3_f32", convolution_gradients},
      loop("while_1000_f32_32", 1000),
      loop("while_4000_f32_32", 4000),
      loop_gradient("grad_while_1000_f32_32", 1000, Tape::kAll),
      loop_gradient("grad_while_4000_f32_32", 4000, Tape::kAll),
      loop_gradient("grad_while_1000_f32_32_sqrt", 1000, Tape::kSqrt),
      loop_gradient("grad_while_4000_f32_32_sqrt", 4000, Tape::kSqrt),
      {"grad_transformer_24x64_made_ready", transformer_made_ready},
  };
}

}  // namespace mlxnx::bench
