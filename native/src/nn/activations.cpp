#include "mlxnx/nn/activations.h"

#include <cmath>
#include <numbers>
#include <utility>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"
#include "nn/function.h"
#include "tensor/element.h"

namespace mlxnx::nn {
namespace {

using ops::AttrDef;
using ops::AttrKind;

Tensor as_float(const Tensor& x) {
  return is_float(x.dtype()) || is_complex(x.dtype()) ? x : as_type(x, DType::f32);
}

Tensor axis_sum(const Tensor& x, std::int64_t axis) {
  return sum(x, {.axes = Axes{axis}, .keep_axes = true});
}

// Where a choice is made, the side not taken gets an argument at which it is finite: the gradient
// of both sides is computed, and zero times infinity is no number.
struct Sides {
  Tensor is_positive, negative_part;
  explicit Sides(const Tensor& x)
      : is_positive(greater(x, 0)), negative_part(select(is_positive, 0, x)) {}
};

// The product, and its limit 0 where a gate that is shut meets minus infinity.
Tensor gated(const Tensor& x, const Tensor& gate) {
  return max(x, Tensor(tensors::lowest(x.dtype()), x.dtype())) * gate;
}

Tensor between(const Tensor& x, double low, double high) {
  return select(less_equal(x, low), low, select(greater_equal(x, high), high, x));
}

}  // namespace

Tensor relu(const Tensor& x) { return select(less_equal(x, 0), 0, x); }

Tensor relu2(const Tensor& x) {
  const Tensor positive = relu(x);
  return positive * positive;
}

Tensor relu6(const Tensor& x) { return between(as_float(x), 0, 6); }

Tensor leaky_relu(const Tensor& x, double negative_slope) {
  return select(greater_equal(x, 0), x, x * negative_slope);
}

Tensor prelu(const Tensor& x, const Tensor& alpha) { return select(greater(x, 0), x, alpha * x); }

Tensor elu(const Tensor& integer_or_float, double alpha) {
  const Tensor x = as_float(integer_or_float);
  const Sides sides(x);
  return select(sides.is_positive, x, expm1(sides.negative_part) * alpha);
}

Tensor celu(const Tensor& integer_or_float, double alpha) {
  const Tensor x = as_float(integer_or_float);
  const Sides sides(x);
  return select(sides.is_positive, x, expm1(sides.negative_part / alpha) * alpha);
}

Tensor selu(const Tensor& x) { return elu(x, 1.67326) * 1.0507; }

Tensor sigmoid(const Tensor& x) { return mlxnx::sigmoid(as_float(x)); }

Tensor log_sigmoid(const Tensor& x) { return -softplus(-as_float(x)); }

Tensor softplus(const Tensor& integer_or_float) {
  const Tensor x = as_float(integer_or_float);
  const Tensor is_positive = greater(x, 0);
  return select(is_positive, x, 0) + log1p(exp(select(is_positive, -x, x)));
}

Tensor softsign(const Tensor& integer_or_float) {
  const Tensor x = as_float(integer_or_float);
  return select(is_infinity(x), min(max(x, -1), 1), x / (abs(x) + 1));
}

Tensor silu(const Tensor& integer_or_float) {
  const Tensor x = as_float(integer_or_float);
  return gated(x, mlxnx::sigmoid(x));
}

Tensor gelu(const Tensor& integer_or_float) {
  const Tensor x = as_float(integer_or_float);
  return gated(x, (erf(x * (1 / std::numbers::sqrt2)) + 1) * 0.5);
}

Tensor gelu_approx(const Tensor& integer_or_float) {
  const Tensor x = as_float(integer_or_float);
  // The tanh is 1 in every type long before; the cube of larger ones may overflow.
  constexpr double kSaturated = 12;
  const Tensor inside = between(x, -kSaturated, kSaturated);
  const Tensor cubic = inside + inside * inside * inside * 0.044715;
  return gated(x, (mlxnx::tanh(cubic * std::sqrt(2 / std::numbers::pi)) + 1) * 0.5);
}

Tensor gelu_fast_approx(const Tensor& integer_or_float) {
  const Tensor x = as_float(integer_or_float);
  return gated(x, mlxnx::sigmoid(x * 1.702));
}

Tensor mish(const Tensor& integer_or_float) {
  const Tensor x = as_float(integer_or_float);
  return gated(x, mlxnx::tanh(softplus(x)));
}

Tensor hardswish(const Tensor& integer_or_float) {
  const Tensor x = as_float(integer_or_float);
  return gated(x, relu6(x + 3) / 6);
}

Tensor hard_tanh(const Tensor& x, double min_val, double max_val) {
  return between(as_float(x), min_val, max_val);
}

Tensor hard_shrink(const Tensor& x, double lambd) {
  return select(less_equal(abs(x), lambd), 0, x);
}

Tensor softshrink(const Tensor& integer_or_float, double lambd) {
  const Tensor x = as_float(integer_or_float);
  return select(less_equal(abs(x), lambd), 0, x - sign(x) * lambd);
}

Tensor step(const Tensor& x, double threshold) {
  return as_type(greater_equal(x, threshold), DType::s32);
}

Tensor tanh(const Tensor& x) { return mlxnx::tanh(as_float(x)); }

Tensor softmax(const Tensor& x, std::int64_t axis) {
  return fast::softmax(x, {.axes = Axes{axis}});
}

Tensor softmin(const Tensor& x, std::int64_t axis) { return softmax(-as_float(x), axis); }

Tensor log_softmax(const Tensor& integer_or_float, std::int64_t axis) {
  const Tensor x = as_float(integer_or_float);
  const Tensor largest = reduce_max(x, {.axes = Axes{axis}, .keep_axes = true});
  const Tensor shifted = x - stop_gradient(largest);
  return shifted - log(axis_sum(exp(shifted), axis));
}

Tensor glu(const Tensor& x, std::int64_t axis) {
  const auto rank = static_cast<std::int64_t>(x.rank());
  const std::int64_t known = axis < 0 ? axis + rank : axis;
  const bool exists = known >= 0 && known < rank;
  const std::int64_t length = exists ? x.shape()[static_cast<std::size_t>(known)] : 0;
  if (length == 0 || length % 2 != 0) {
    throw ShapeError("[glu] axis " + std::to_string(axis) + " of " + to_string(x.type()) +
                     " can't be halved: it needs an even length");
  }
  const auto [values, gates] = split(as_float(x), length / 2, {.axis = known});
  return values * mlxnx::sigmoid(gates);
}

namespace {

constexpr OperandDef kXAlpha[] = {{"x"}, {"alpha"}};
const AttrDef kNegativeSlope[] = {{"negative_slope", AttrKind::kFloat, 0.01}};
const AttrDef kAlpha[] = {{"alpha", AttrKind::kFloat, 1.0}};
const AttrDef kLambd[] = {{"lambd", AttrKind::kFloat, 0.5}};
const AttrDef kBounds[] = {{"min_val", AttrKind::kFloat, -1.0}, {"max_val", AttrKind::kFloat, 1.0}};
const AttrDef kThreshold[] = {{"threshold", AttrKind::kFloat, 0.0}};
const AttrDef kAxis[] = {{"axis", AttrKind::kInt, std::int64_t{-1}}};

template <Tensor (*function)(const Tensor&)>
std::vector<Tensor> of_x(const FunctionCall& call) {
  return {function(call[0])};
}
template <Tensor (*function)(const Tensor&, double), const auto& schema>
std::vector<Tensor> of_x_and_number(const FunctionCall& call) {
  return {function(call[0], call.option<double>(schema[0].name))};
}
template <Tensor (*function)(const Tensor&, std::int64_t)>
std::vector<Tensor> along_axis(const FunctionCall& call) {
  return {function(call[0], call.option<std::int64_t>("axis"))};
}

constexpr FunctionDef plain(std::string_view name, std::vector<Tensor> (*call)(const FunctionCall&),
                            std::span<const AttrDef> options = {}) {
  return {name, Family::kActivation, kOnlyX, options, call};
}

const FunctionDef kActivations[] = {
    plain("celu", &of_x_and_number<&celu, kAlpha>, kAlpha),
    plain("elu", &of_x_and_number<&elu, kAlpha>, kAlpha),
    plain("gelu", &of_x<&gelu>),
    plain("gelu_approx", &of_x<&gelu_approx>),
    plain("gelu_fast_approx", &of_x<&gelu_fast_approx>),
    plain("glu", &along_axis<&glu>, kAxis),
    plain("hard_shrink", &of_x_and_number<&hard_shrink, kLambd>, kLambd),
    plain(
        "hard_tanh",
        [](const FunctionCall& call) {
          return std::vector{
              hard_tanh(call[0], call.option<double>("min_val"), call.option<double>("max_val"))};
        },
        kBounds),
    plain("hardswish", &of_x<&hardswish>),
    plain("leaky_relu", &of_x_and_number<&leaky_relu, kNegativeSlope>, kNegativeSlope),
    plain("log_sigmoid", &of_x<&log_sigmoid>),
    plain("log_softmax", &along_axis<&log_softmax>, kAxis),
    plain("mish", &of_x<&mish>),
    {"prelu",
     Family::kActivation,
     kXAlpha,
     {},
     [](const FunctionCall& call) { return std::vector{prelu(call[0], call[1])}; }},
    plain("relu", &of_x<&relu>),
    plain("relu2", &of_x<&relu2>),
    plain("relu6", &of_x<&relu6>),
    plain("selu", &of_x<&selu>),
    plain("sigmoid", &of_x<&sigmoid>),
    plain("silu", &of_x<&silu>),
    plain("softmax", &along_axis<&softmax>, kAxis),
    plain("softmin", &along_axis<&softmin>, kAxis),
    plain("softplus", &of_x<&softplus>),
    plain("softshrink", &of_x_and_number<&softshrink, kLambd>, kLambd),
    plain("softsign", &of_x<&softsign>),
    plain("step", &of_x_and_number<&step, kThreshold>, kThreshold),
    plain("tanh", &of_x<&tanh>),
};

}  // namespace

std::span<const FunctionDef> activation_functions() { return kActivations; }

}  // namespace mlxnx::nn
