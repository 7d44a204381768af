// The public transforms: structures, nesting, and what stands in their documentation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "mlxnx/mlxnx.h"

namespace mlxnx {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Property;

std::vector<double> numbers(const Tensor& tensor) {
  return as_type(tensor, DType::f64).to_vector<double>();
}
double number(const Tensor& tensor) { return numbers(tensor).at(0); }

Tensor cube(const Tensor& x) { return x * x * x; }

TEST(Transforms, ExamplesOfTheHeaderHold) {
  const auto square = [](const Tensor& x) { return x * x; };
  const auto [value, slope] = value_and_grad(square)(Tensor(3.0));
  EXPECT_EQ(number(value), 9);
  EXPECT_EQ(number(slope), 6);
  EXPECT_EQ(number(grad([](const Tensor& x) { return sin(x); })(Tensor(0.0))), 1);
  EXPECT_EQ(number(grad(grad(cube))(Tensor(2.0))), 12);
  const auto [y, back] = vjp(square, std::tuple(tensor({1.0, 2.0})), tensor({1.0, 10.0}));
  EXPECT_THAT(numbers(y), ElementsAre(1, 4));
  EXPECT_THAT(numbers(std::get<0>(back)), ElementsAre(2, 40));
  const auto [z, dz] = jvp(square, std::tuple(Tensor(3.0)), std::tuple(Tensor(1.0)));
  EXPECT_EQ(number(z), 9);
  EXPECT_EQ(number(dz), 6);
  const Tensor xs = tensor({{1.0, 2.0}, {3.0, 4.0}});
  EXPECT_THAT(numbers(vmap([](const Tensor& a, const Tensor& b) { return dot(a, b); })(xs, xs)),
              ElementsAre(5, 25));
  EXPECT_THAT(numbers(jacobian(square)(tensor({1.0, 2.0}))), ElementsAre(2, 0, 0, 4));
  EXPECT_THAT(numbers(hessian([](const Tensor& x) { return sum(cube(x)); })(tensor({1.0, 2.0}))),
              ElementsAre(6, 0, 0, 12));
  EXPECT_EQ(number(grad([](const Tensor& x) { return x * stop_gradient(x); })(Tensor(3.0))), 3);
}

TEST(Transforms, OwnGradients) {
  const auto clipped =
      custom_vjp([](const Tensor& x) { return x * x; },
                 [](const Tensor& g, const auto& args, const Tensor&) {
                   return std::tuple(clip(g * 2.0 * std::get<0>(args), Tensor(-1.0), Tensor(1.0)));
                 });
  EXPECT_THAT(numbers(grad(clipped)(tensor({0.25, 3.0}))), ElementsAre(0.5, 1));
  EXPECT_THAT(numbers(clipped(tensor({0.25, 3.0}))), ElementsAre(0.0625, 9));
  const auto wrong =
      custom_vjp([](const Tensor& x) { return x; },
                 [](const Tensor& g, const auto&, const Tensor&) { return std::tuple(g, g); });
  EXPECT_THAT([&] { grad(wrong)(Tensor(1.0)); },
              testing::ThrowsMessage<ArgumentError>(HasSubstr("answers 2 tensors for 1")));
}

// By the transpose of what they lead back: through functions whose gradient is theirs alone, which
// scale, and through one that takes two tensors.
TEST(Transforms, OwnGradientsLeadTangentsForwardToo) {
  const auto tripled =
      custom_vjp([](const Tensor& x) { return x * x; },
                 [](const Tensor& g, const auto&, const Tensor&) { return std::tuple(g * 3.0); });
  const auto [square, slope] =
      jvp(tripled, std::tuple(tensor({2.0, 3.0})), std::tuple(tensor({1.0, 10.0})));
  EXPECT_THAT(numbers(square), ElementsAre(4, 9));
  EXPECT_THAT(numbers(slope), ElementsAre(3, 30));
  const auto product = custom_vjp([](const Tensor& x, const Tensor& y) { return sum(x * y); },
                                  [](const Tensor& g, const auto& args, const Tensor&) {
                                    return std::tuple(g * std::get<1>(args), g * std::get<0>(args));
                                  });
  const Tensor x = tensor({1.0, 2.0}), y = tensor({3.0, 5.0});
  EXPECT_EQ(number(jvp(product, std::tuple(x, y), std::tuple(tensor({1.0, 1.0}), y)).second),
            3 + 5 + 3 + 10);
  EXPECT_THAT(numbers(hessian([&](const Tensor& z) { return product(z, z * z); })(x)),
              ElementsAre(6, 0, 0, 12));
  EXPECT_THAT(numbers(vmap([&](const Tensor& t) {
                return jvp(tripled, std::tuple(x), std::tuple(t)).second;
              })(tensor({{1.0, 0.0}, {0.0, 1.0}}))),
              ElementsAre(3, 0, 0, 3));
}

struct Layer {
  Tensor weight, bias;
  MLXNX_MEMBERS(weight, bias)
};
struct Model {
  std::vector<Layer> layers;
  std::map<std::string, Tensor> scales;
  int steps = 3;
  MLXNX_MEMBERS(layers, scales, steps)
};

Model model() {
  const Layer layer{tensor({{1.0, 2.0}, {3.0, 4.0}}), tensor({0.5, -0.5})};
  return {{layer, layer}, {{"out", Tensor(2.0)}}};
}
Tensor apply(const Model& model, Tensor x) {
  for (const Layer& layer : model.layers) x = tanh(dot(x, layer.weight) * 0.1 + layer.bias);
  return sum(x) * model.scales.at("out");
}

// Not zero, which the next rule may turn into no number.
TEST(Transforms, IntegersBehindCastsHaveNoTangents) {
  const auto root = [](const Tensor& x) { return sqrt(as_type(x, DType::s32)); };
  const auto [value, tangent] = jvp(root, std::tuple(Tensor(0.5)), std::tuple(Tensor(1.0)));
  EXPECT_EQ(value.item<float>(), 0);
  EXPECT_EQ(tangent.item<float>(), 0);
  // Only an index depends on the fold, which has no gradient.
  const auto chosen = [](const Tensor& x) {
    const auto plus = [](const Tensor& a, const Tensor& b) { return a + b; };
    const Tensor index = reduce(as_type(x, DType::s32), Tensor(0), plus);
    return cond(
        index > 0, [&] { return take(x, index); }, [&] { return sum(x); });
  };
  EXPECT_THAT(grad(chosen)(tensor({0.5, 1.5, 0.75})).to_vector<float>(), ElementsAre(0, 1, 0));
}

TEST(Transforms, NamesArePaths) {
  std::vector<std::string> names;
  const Model value = model();
  auto note = [&](const std::string& name, const Tensor&) { names.push_back(name); };
  visit_named(value, note);
  EXPECT_THAT(names, ElementsAre("layers.0.weight", "layers.0.bias", "layers.1.weight",
                                 "layers.1.bias", "scales.out"));
  names.clear();
  const std::tuple nested(Tensor(1), std::vector{Tensor(2), Tensor(3)}, std::optional(Tensor(4)));
  visit_named(nested, note);
  EXPECT_THAT(names, ElementsAre("0", "1.0", "1.1", "2"));
}

TEST(Transforms, GradientsHaveTheStructureOfTheArgument) {
  const Tensor x = tensor({1.0, -1.0});
  const Model slopes = grad(apply)(model(), x);
  EXPECT_EQ(slopes.steps, 3);
  EXPECT_EQ(slopes.layers.size(), 2U);
  EXPECT_EQ(slopes.layers[0].weight.shape(), (Shape{2, 2}));
  const double step = 1e-3;
  Model above = model(), below = model();
  above.layers[0].bias = above.layers[0].bias + tensor({step, 0.0});
  below.layers[0].bias = below.layers[0].bias - tensor({step, 0.0});
  const double difference = (number(apply(above, x)) - number(apply(below, x))) / (2 * step);
  EXPECT_NEAR(numbers(slopes.layers[0].bias)[0], difference, 1e-3);

  const auto [of_model, of_x] = grad<0, 1>(apply)(model(), x);
  EXPECT_THAT(numbers(of_model.layers[1].bias), numbers(slopes.layers[1].bias));
  EXPECT_THAT(numbers(of_x), numbers(grad<1>(apply)(model(), x)));
}

TEST(Transforms, OnlyTrainableTensorsHaveGradients) {
  const auto is_bias = [](std::string_view name) { return name.ends_with("bias"); };
  const Tensor x = tensor({1.0, -1.0});
  const Model slopes = grad(apply, {.trainable = is_bias})(model(), x);
  EXPECT_THAT(numbers(slopes.layers[0].bias), numbers(grad(apply)(model(), x).layers[0].bias));
  EXPECT_THAT(numbers(slopes.layers[0].weight), ElementsAre(0, 0, 0, 0));
  EXPECT_EQ(slopes.layers[0].weight.shape(), (Shape{2, 2}));
  const Model none = grad(apply, {.trainable = [](std::string_view) { return false; }})(model(), x);
  EXPECT_EQ(number(none.scales.at("out")), 0);
}

TEST(Transforms, AuxiliaryResultsComeAlong) {
  const auto function = [](const Tensor& x) {
    return std::tuple(sum(x * x), std::map<std::string, Tensor>{{"twice", x * 2.0}}, 7);
  };
  const auto [result, slope] = value_and_grad(function)(tensor({1.0, 2.0}));
  EXPECT_EQ(number(std::get<0>(result)), 5);
  EXPECT_THAT(numbers(std::get<1>(result).at("twice")), ElementsAre(2, 4));
  EXPECT_EQ(std::get<2>(result), 7);
  EXPECT_THAT(numbers(slope), ElementsAre(2, 4));
}

// Derivatives of x^3 at 2, by every combination of transforms.
TEST(Transforms, NestInAnyOrder) {
  const Tensor two(2.0);
  const auto forward = [](auto f) {
    return [f](const Tensor& x) { return jvp(f, std::tuple(x), std::tuple(Tensor(1.0))).second; };
  };
  EXPECT_EQ(number(forward(cube)(two)), 12);
  EXPECT_EQ(number(forward(forward(cube))(two)), 12);
  EXPECT_EQ(number(forward(grad(cube))(two)), 12);
  EXPECT_EQ(number(grad(forward(cube))(two)), 12);
  EXPECT_EQ(number(grad(grad(grad(cube)))(two)), 6);
  const Tensor points = tensor({1.0, 2.0, 3.0});
  EXPECT_THAT(numbers(vmap(grad(cube))(points)), ElementsAre(3, 12, 27));
  EXPECT_THAT(numbers(vmap(grad(grad(cube)))(points)), ElementsAre(6, 12, 18));
  EXPECT_THAT(numbers(grad([](const Tensor& x) { return sum(vmap(cube)(x)); })(points)),
              ElementsAre(3, 12, 27));
  EXPECT_THAT(numbers(vmap(vmap(cube))(tensor({{1.0, 2.0}, {3.0, 4.0}}))),
              ElementsAre(1, 8, 27, 64));
  EXPECT_THAT(numbers(jit(vmap(grad(cube)))(points)), ElementsAre(3, 12, 27));
  EXPECT_EQ(number(grad(jit(grad(cube)))(two)), 12);
}

TEST(Transforms, SeeThroughToFunctionsAroundThem) {
  // d/dx of x * d/dy (x y^2) at y = x, that is x * 2 x^2
  const auto outer = [](const Tensor& x) {
    const auto inner = grad([&x](const Tensor& y) { return x * y * y; });
    return x * inner(x);
  };
  EXPECT_EQ(number(grad(outer)(Tensor(3.0))), 54);
  const auto rows = [](const Tensor& x) {
    return sum(
        vmap([&x](const Tensor& y) { return sum(x * y); })(tensor({{1.0, 2.0}, {3.0, 4.0}})));
  };
  EXPECT_THAT(numbers(grad(rows)(tensor({1.0, 1.0}))), ElementsAre(4, 6));
}

TEST(Transforms, GoThroughLoopsAndBranches) {
  // x^n with n read while running
  const auto power = [](const Tensor& x, const Tensor& n) {
    return std::get<1>(while_loop(
        std::tuple(n, x * 0.0 + 1.0), [](const auto& s) { return std::get<0>(s) > 0; },
        [&x](const auto& s) { return std::tuple(std::get<0>(s) - 1, std::get<1>(s) * x); }));
  };
  EXPECT_EQ(number(grad(power)(Tensor(2.0), Tensor(5))), 80);
  EXPECT_EQ(number(jit(grad(power))(Tensor(2.0), Tensor(5))), 80);
  EXPECT_EQ(number(grad(grad(power))(Tensor(2.0), Tensor(4))), 48);
  EXPECT_THAT(numbers(vmap(power)(tensor({2.0, 3.0}), tensor({3, 2}))), ElementsAre(8, 9));
  EXPECT_THAT(numbers(vmap(grad(power))(tensor({2.0, 3.0}), tensor({3, 2}))), ElementsAre(12, 6));
  const auto branch = [](const Tensor& x) {
    return cond(
        x > 0.0, [&] { return x * x; }, [&] { return -x; });
  };
  EXPECT_EQ(number(grad(branch)(Tensor(3.0))), 6);
  EXPECT_EQ(number(grad(branch)(Tensor(-3.0))), -1);
  EXPECT_THAT(numbers(vmap(grad(branch))(tensor({3.0, -3.0}))), ElementsAre(6, -1));
}

TEST(Transforms, LoopsKeepWhatTheirTapeSays) {
  // x_{k+1} = sin(x_k) * a, n times, the number of which is read while running
  const auto iterate = [](const Tensor& x, const Tensor& a, const Tensor& n) {
    return std::get<1>(while_loop(
        std::tuple(Tensor(0), x), [&n](const auto& s) { return std::get<0>(s) < n; },
        [&a](const auto& s) { return std::tuple(std::get<0>(s) + 1, sin(std::get<1>(s)) * a); }));
  };
  const auto expected = [](double x, double a, int n) {
    double dx = 1, da = 0;
    for (int i = 0; i < n; ++i) {
      da = std::cos(x) * a * da + std::sin(x);
      dx *= std::cos(x) * a;
      x = std::sin(x) * a;
    }
    return std::pair(dx, da);
  };
  for (const int n : {0, 1, 2, 3, 5, 16, 37, 100}) {
    const auto [dx, da] = expected(0.7, 1.3, n);
    for (const Tape tape : {Tape::kAll, Tape::kSqrt, Tape::kRecompute}) {
      const auto slopes = grad<0, 1>(iterate, {.tape = tape});
      const Tensor x(Number(0.7), DType::f64), a(Number(1.3), DType::f64);
      const auto eager = slopes(x, a, Tensor(n));
      EXPECT_NEAR(number(std::get<0>(eager)), dx, 1e-12) << n;
      EXPECT_NEAR(number(std::get<1>(eager)), da, 1e-12) << n;
      const auto compiled = jit(slopes)(x, a, Tensor(n));
      EXPECT_NEAR(number(std::get<1>(compiled)), da, 1e-12) << n;
      const auto by_x = [&](const Tensor& at) { return iterate(at, a, Tensor(n)); };
      const auto [end, back] = vjp(by_x, std::tuple(x), Tensor(Number(2.0), DType::f64), tape);
      EXPECT_NEAR(number(std::get<0>(back)), 2 * dx, 1e-12) << n;
      EXPECT_NEAR(number(jacobian(by_x, tape)(x)), dx, 1e-12) << n;
      EXPECT_EQ(number(hessian(by_x, tape)(x)), number(hessian(by_x)(x))) << n;
      const auto mapped = vmap(grad<1>(iterate, {.tape = tape}), {0, std::nullopt, 0})(
          tensor({0.7, 0.7}), Tensor(1.3), tensor({n, 3}));
      EXPECT_NEAR(numbers(mapped)[0], da, 1e-4 * std::max(1.0, std::abs(da))) << n;
      EXPECT_NEAR(numbers(mapped)[1], expected(0.7, 1.3, 3).second, 1e-4) << n;
    }
  }
}

TEST(Transforms, LoopsWithinLoops) {
  // the sum of x^k for k below 4, each by a loop of its own
  const auto powers = [](const Tensor& x) {
    return std::get<1>(while_loop(
        std::tuple(Tensor(0), x * 0.0), [](const auto& s) { return std::get<0>(s) < 4; },
        [&x](const auto& outer) {
          const Tensor& k = std::get<0>(outer);
          const auto power = while_loop(
              std::tuple(Tensor(0), x * 0.0 + 1.0),
              [&k](const auto& s) { return std::get<0>(s) < k; },
              [&x](const auto& s) { return std::tuple(std::get<0>(s) + 1, std::get<1>(s) * x); });
          return std::tuple(k + 1, std::get<1>(outer) + std::get<1>(power));
        }));
  };
  EXPECT_EQ(number(grad(powers)(Tensor(2.0))), 17);        // 1 + 2x + 3x^2
  EXPECT_EQ(number(grad(grad(powers))(Tensor(2.0))), 14);  // 2 + 6x
  EXPECT_EQ(number(hessian(powers)(Tensor(2.0))), 14);
  EXPECT_EQ(number(jvp(grad(powers), std::tuple(Tensor(2.0)), std::tuple(Tensor(1.0))).second), 14);
}

TEST(Transforms, CheckpointsRunAgain) {
  int calls = 0;
  const auto block = checkpoint([&calls](const Tensor& x) {
    ++calls;
    return exp(sin(x));
  });
  EXPECT_EQ(number(block(Tensor(0.0))), 1);
  EXPECT_EQ(number(grad(block)(Tensor(0.0))), 1);
  EXPECT_EQ(calls, 2) << "traced once, run by the program";
  const auto twice = [&block](const Tensor& x) { return sum(block(block(x)) * x); };
  const auto plain = [](const Tensor& x) { return sum(exp(sin(exp(sin(x)))) * x); };
  const Tensor x = tensor({0.25, -0.5});
  const auto close = [](const Tensor& a, const Tensor& b) {
    const std::vector<double> left = numbers(a), right = numbers(b);
    for (std::size_t i = 0; i < left.size(); ++i) EXPECT_NEAR(left[i], right[i], 1e-5);
  };
  close(grad(twice)(x), grad(plain)(x));
  close(jit(grad(twice))(x), grad(plain)(x));
  close(hessian(twice)(x), hessian(plain)(x));
  close(vmap(grad(twice))(x), vmap(grad(plain))(x));
  close(jvp(twice, std::tuple(x), std::tuple(x)).second,
        jvp(plain, std::tuple(x), std::tuple(x)).second);
  const auto around = [](const Tensor& y) {
    return checkpoint([&y](const Tensor& z) { return y * z * z; })(y);
  };
  EXPECT_EQ(number(grad(around)(Tensor(2.0))), 12) << "what it takes from around it counts";
}

// Otherwise the gradient would be handed what the way forward computed, which a checkpoint is to
// save.
TEST(Transforms, CheckpointsAreNotMergedWithWhatTheyRepeat) {
  const auto count = [](const std::string& text, const std::string& word) {
    std::size_t found = 0;
    for (std::size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) ++found;
    return found;
  };
  const auto function = [](const Tensor& x) { return exp(sin(x)); };
  const auto text = [](auto f) {
    return Program::trace(
               {{"x", {DType::f32, {4}}}},
               [&](const std::vector<Tensor>& in) { return tensors_of(value_and_grad(f)(in[0])); })
        .to_string();
  };
  EXPECT_EQ(count(text(function), " = sin "), 1U);
  const std::string kept = text(checkpoint(function));
  EXPECT_EQ(count(kept, " = checkpoint "), 2U);
  EXPECT_EQ(count(kept, " = sin "), 2U) << kept;
}

TEST(Transforms, ExamplesDoNotRunTheBranchesOfOthers) {
  // A loop that ends for positive numbers only, and a slope that is infinite at 0.
  const auto halvings = [](const Tensor& x) {
    return cond(
        x > 0.0,
        [&] {
          return std::get<1>(while_loop(
              std::tuple(x, Tensor(0)),
              [](const auto& s) { return std::get<0>(s) * 1e-3 != std::get<0>(s) * 0.0; },
              [](const auto& s) {
                return std::tuple(std::get<0>(s) * 1e-20, std::get<1>(s) + 1);
              }));
        },
        [&] { return Tensor(-1); });
  };
  EXPECT_THAT(numbers(vmap(halvings)(tensor({1.0, -std::numeric_limits<double>::infinity()}))),
              ElementsAre(3, -1));
  EXPECT_THAT(numbers(vmap(halvings)(tensor({-1.0, -1.0}))), ElementsAre(-1, -1));
  const auto logarithm = [](const Tensor& x) {
    return cond(
        x > 0.0, [&] { return log(x); }, [&] { return 2.0 * x; });
  };
  const auto total = [&](const Tensor& x) { return sum(vmap(logarithm)(x)); };
  EXPECT_THAT(numbers(grad(total)(tensor({0.0, 2.0}))), ElementsAre(2, 0.5));
  EXPECT_THAT(numbers(grad(total)(tensor({0.0, 0.0}))), ElementsAre(2, 2));
  EXPECT_THAT(numbers(vmap(grad(logarithm))(tensor({0.0, 2.0}))), ElementsAre(2, 0.5));
}

TEST(Transforms, MapOverAnyAxis) {
  const Tensor columns = tensor({{1.0, 2.0, 3.0}, {4.0, 5.0, 6.0}});
  const auto total = [](const Tensor& x, const Tensor& by) { return sum(x) * by; };
  EXPECT_THAT(numbers(vmap(total, {1, std::nullopt})(columns, Tensor(2.0))),
              ElementsAre(10, 14, 18));
  EXPECT_THAT(numbers(vmap(total, {-2, 0})(columns, tensor({1.0, 10.0}))), ElementsAre(6, 150));
  const Tensor turned = vmap([](const Tensor& x) { return x; }, {0}, 1)(columns);
  EXPECT_EQ(turned.shape(), (Shape{3, 2}));
  EXPECT_THAT([&] { vmap(total)(columns, Tensor(1.0)); },
              testing::ThrowsMessage<ArgumentError>(HasSubstr("[vmap] there is no axis 0 in f32")));
  EXPECT_THAT(
      [&] {
        vmap(total)(columns, tensor({1.0, 2.0, 3.0}));
      },
      testing::ThrowsMessage<ArgumentError>(HasSubstr("2 examples and 3")));
  EXPECT_THAT(
      [&] {
        vmap(total, {std::nullopt, std::nullopt})(columns, Tensor(1.0));
      },
      testing::ThrowsMessage<ArgumentError>(HasSubstr("no argument is mapped")));
  EXPECT_THAT([&] { vmap(total, {0})(columns, Tensor(1.0)); },
              testing::ThrowsMessage<ArgumentError>(HasSubstr("1 axes for 2 arguments")));
}

TEST(Transforms, WrongArgumentsAreTold) {
  const auto square = [](const Tensor& x) { return x * x; };
  EXPECT_THAT(
      [&] {
        vjp(square, std::tuple(tensor({1.0, 2.0})), Tensor(1.0));
      },
      testing::ThrowsMessage<ShapeError>(HasSubstr("[vjp] tensor 0 is f32 and should be")));
  EXPECT_THAT(
      [&] { jvp(square, std::tuple(Tensor(1.0)), std::tuple(Tensor(1.0), Tensor(1.0))); },
      testing::ThrowsMessage<ArgumentError>(HasSubstr("[jvp] 2 tensors where there are 1")));
  EXPECT_THAT(
      [&] {
        hessian(square)(tensor({1.0, 2.0}));
      },
      testing::ThrowsMessage<ShapeError>(HasSubstr("no scalar")));
  EXPECT_THAT([&] { grad([](const Tensor& x) { return Tensor(x.item<double>()); })(Tensor(1.0)); },
              testing::Throws<ArgumentError>());
  EXPECT_THROW(grad([](const Tensor& x) {
                 return reduce(x, Tensor(0.0),
                               [](const Tensor& a, const Tensor& b) { return a + b; });
               })(tensor({1.0, 2.0})),
               UnsupportedError);
}

TEST(Transforms, TrainInOneCompiledStep) {
  const auto step = jit([](const Layer& layer, const Tensor& x, const Tensor& y) {
    const auto [loss, slopes] = value_and_grad([&](const Layer& l) {
      const Tensor error = dot(x, l.weight) + l.bias - y;
      return sum(error * error);
    })(layer);
    return std::tuple(loss,
                      Layer{layer.weight - 0.05 * slopes.weight, layer.bias - 0.05 * slopes.bias});
  });
  const Tensor x = tensor({{0.0, 1.0}, {1.0, 0.0}, {1.0, 1.0}});
  const Tensor y = dot(x, tensor({{1.0, -2.0}, {3.0, 0.5}})) + tensor({0.25, 1.0});
  Layer layer{broadcast(Tensor(0.0), {2, 2}), broadcast(Tensor(0.0), {2})};
  double loss = 0;
  for (int i = 0; i < 400; ++i) {
    const auto [now, next] = step(layer, x, y);
    layer = next;
    loss = number(now);
  }
  EXPECT_LT(loss, 1e-6);
  EXPECT_NEAR(numbers(layer.weight)[1], -2, 1e-3);
  EXPECT_EQ(step.cache_size(), 1U);
}

// A copy of each weight's gradient would be the price where an optimiser reads both.
TEST(Transforms, AnswerGradientsOfProductsInTheOrderOfTheirOperands) {
  const auto text_of = [](const TensorType& x, const TensorType& w, const auto& product) {
    return Program::trace({{"x", x}, {"w", w}},
                          [&](const std::vector<Tensor>& in) {
                            const auto [of_x, of_w] = grad<0, 1>(product)(in[0], in[1]);
                            return std::vector{of_x, of_w};
                          })
        .to_string();
  };
  const TensorType x{DType::f32, {5, 7, 3}}, rows{DType::f32, {4, 3}}, columns{DType::f32, {3, 4}};
  const TensorType keys{DType::f32, {5, 2, 3}};
  const auto by_rows = [](const Tensor& a, const Tensor& w) { return dot(a, {2}, w, {1}); };
  const auto by_columns = [](const Tensor& a, const Tensor& w) { return dot(a, {2}, w, {0}); };
  const auto rows_first = [](const Tensor& a, const Tensor& w) { return dot(w, {1}, a, {2}); };
  const auto each = [](const Tensor& a, const Tensor& w) { return dot(a, {2}, {0}, w, {2}, {0}); };
  EXPECT_THAT(text_of(x, rows, by_rows), testing::Not(HasSubstr("transpose")));
  EXPECT_THAT(text_of(x, columns, by_columns), testing::Not(HasSubstr("transpose")));
  EXPECT_THAT(text_of(x, rows, rows_first), testing::Not(HasSubstr("transpose")));
  EXPECT_THAT(text_of(x, keys, each), testing::Not(HasSubstr("transpose")));
}

}  // namespace
}  // namespace mlxnx
