#include "mlxnx/nn/initializers.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"
#include "nn/function.h"

namespace mlxnx::nn::init {
namespace {

struct Fans {
  double in, out;
};

Fans fans_of(const Shape& shape, std::string_view owner) {
  if (shape.size() < 2)
    throw ShapeError("[" + std::string(owner) + "] needs at least two axes, got the shape " +
                     to_string(shape));
  double between = 1;
  for (std::size_t i = 1; i + 1 < shape.size(); ++i) between *= static_cast<double>(shape[i]);
  return {between * static_cast<double>(shape.back()), between * static_cast<double>(shape[0])};
}

void require_matrix(const Shape& shape, std::string_view owner) {
  if (shape.size() == 2) return;
  throw ShapeError("[" + std::string(owner) + "] makes matrices, got the shape " +
                   to_string(shape));
}

// Draws of mean 0; those of a uniform distribution have this deviation too.
Tensor normal_of(const Tensor& key, const Shape& shape, double deviation, DType dtype) {
  return normal(key, shape, {.std = deviation, .dtype = dtype});
}
Tensor uniform_of(const Tensor& key, const Shape& shape, double deviation, DType dtype) {
  const double limit = deviation * std::sqrt(3.0);
  return uniform(key, shape, {.low = -limit, .high = limit, .dtype = dtype});
}

double glorot_deviation(const Shape& shape, double gain, std::string_view owner) {
  const Fans fans = fans_of(shape, owner);
  return gain * std::sqrt(2.0 / (fans.in + fans.out));
}

double he_deviation(const Shape& shape, const HeOptions& options, std::string_view owner) {
  const Fans fans = fans_of(shape, owner);
  return options.gain / std::sqrt(options.mode == Fan::kIn ? fans.in : fans.out);
}

}  // namespace

Tensor constant(const Tensor&, const Shape& shape, double value, DType dtype) {
  return mlxnx::constant(value, dtype, shape);
}

Tensor normal(const Tensor& key, const Shape& shape, const NormalOptions& options) {
  return random::normal(key, shape,
                        {.loc = tensor(options.mean, options.dtype),
                         .scale = tensor(options.std, options.dtype),
                         .type = options.dtype});
}

Tensor uniform(const Tensor& key, const Shape& shape, const UniformOptions& options) {
  return random::uniform(
      key, shape,
      {.low = Tensor(options.low), .high = Tensor(options.high), .type = options.dtype});
}

Tensor identity(const Tensor&, const Shape& shape, DType dtype) {
  require_matrix(shape, "identity");
  if (shape[0] != shape[1])
    throw ShapeError("[identity] makes square matrices, got the shape " + to_string(shape));
  return eye(shape[0], {.type = dtype});
}

Tensor glorot_normal(const Tensor& key, const Shape& shape, const GlorotOptions& options) {
  return normal_of(key, shape, glorot_deviation(shape, options.gain, "glorot_normal"),
                   options.dtype);
}
Tensor glorot_uniform(const Tensor& key, const Shape& shape, const GlorotOptions& options) {
  return uniform_of(key, shape, glorot_deviation(shape, options.gain, "glorot_uniform"),
                    options.dtype);
}
Tensor he_normal(const Tensor& key, const Shape& shape, const HeOptions& options) {
  return normal_of(key, shape, he_deviation(shape, options, "he_normal"), options.dtype);
}
Tensor he_uniform(const Tensor& key, const Shape& shape, const HeOptions& options) {
  return uniform_of(key, shape, he_deviation(shape, options, "he_uniform"), options.dtype);
}

Tensor sparse(const Tensor& key, const Shape& shape, double sparsity,
              const NormalOptions& options) {
  require_matrix(shape, "sparse");
  if (!(sparsity >= 0 && sparsity <= 1))
    throw ArgumentError("[sparse] sparsity is in [0, 1], got " + std::to_string(sparsity));
  const auto [first, second] = random::split(key);
  const double zeros = std::ceil(sparsity * static_cast<double>(shape[1]));
  // The place of each element among those of its row by a random order.
  const Tensor order = argsort(random::uniform(first, shape), {.axis = 1});
  const Tensor places = argsort(order, {.axis = 1});
  return select(less(places, static_cast<std::int64_t>(zeros)), 0, normal(second, shape, options));
}

Tensor orthogonal(const Tensor& key, const Shape& shape, double gain, DType dtype) {
  require_matrix(shape, "orthogonal");
  const std::int64_t longer = std::max(shape[0], shape[1]);
  // R of `qr` has a positive diagonal, which makes Q evenly distributed.
  const Tensor q = linalg::qr(random::normal(key, {longer, longer})).q;
  return as_type(slice(q, {0, 0}, shape) * gain, dtype);
}

namespace {

using ops::AttrDef;
using ops::AttrKind;

constexpr OperandDef kKey[] = {{"key"}};
const AttrDef kShape{"shape", AttrKind::kInts};
const AttrDef kDtype{"dtype", AttrKind::kType, DType::f32};
const AttrDef kGain{"gain", AttrKind::kFloat, 1.0};
const AttrDef kMean{"mean", AttrKind::kFloat, 0.0};
const AttrDef kStd{"std", AttrKind::kFloat, 1.0};

const AttrDef kConstant[] = {kShape, {"value", AttrKind::kFloat}, kDtype};
const AttrDef kIdentity[] = {kShape, kDtype};
const AttrDef kNormal[] = {kShape, kMean, kStd, kDtype};
const AttrDef kUniform[] = {
    kShape, {"low", AttrKind::kFloat, 0.0}, {"high", AttrKind::kFloat, 1.0}, kDtype};
const AttrDef kGlorot[] = {kShape, kGain, kDtype};
const AttrDef kHe[] = {kShape, {"mode", AttrKind::kString, std::string("fan_in")}, kGain, kDtype};
const AttrDef kSparse[] = {kShape, {"sparsity", AttrKind::kFloat}, kMean, kStd, kDtype};
const AttrDef kOrthogonal[] = {kShape, kGain, kDtype};

double number(const FunctionCall& call, std::string_view name) { return call.option<double>(name); }
Shape shape_of(const FunctionCall& call) { return call.option<Axes>("shape"); }
DType type_of(const FunctionCall& call) { return call.option<DType>("dtype"); }

Fan fan_called(const std::string& name) {
  if (name == "fan_in") return Fan::kIn;
  if (name == "fan_out") return Fan::kOut;
  throw ArgumentError("[he] there is no mode " + name + "; it is fan_in or fan_out");
}

std::vector<Tensor> call_constant(const FunctionCall& call) {
  return {constant(call[0], shape_of(call), number(call, "value"), type_of(call))};
}
std::vector<Tensor> call_identity(const FunctionCall& call) {
  return {identity(call[0], shape_of(call), type_of(call))};
}
std::vector<Tensor> call_normal(const FunctionCall& call) {
  return {
      normal(call[0], shape_of(call), {number(call, "mean"), number(call, "std"), type_of(call)})};
}
std::vector<Tensor> call_uniform(const FunctionCall& call) {
  return {
      uniform(call[0], shape_of(call), {number(call, "low"), number(call, "high"), type_of(call)})};
}
std::vector<Tensor> call_sparse(const FunctionCall& call) {
  return {sparse(call[0], shape_of(call), number(call, "sparsity"),
                 {number(call, "mean"), number(call, "std"), type_of(call)})};
}
std::vector<Tensor> call_orthogonal(const FunctionCall& call) {
  return {orthogonal(call[0], shape_of(call), number(call, "gain"), type_of(call))};
}
template <Tensor (*function)(const Tensor&, const Shape&, const GlorotOptions&)>
std::vector<Tensor> call_glorot(const FunctionCall& call) {
  return {function(call[0], shape_of(call), {number(call, "gain"), type_of(call)})};
}
template <Tensor (*function)(const Tensor&, const Shape&, const HeOptions&)>
std::vector<Tensor> call_he(const FunctionCall& call) {
  return {function(
      call[0], shape_of(call),
      {fan_called(call.option<std::string>("mode")), number(call, "gain"), type_of(call)})};
}

constexpr Family kInit = Family::kInit;
const FunctionDef kInitializers[] = {
    {"constant", kInit, kKey, kConstant, &call_constant},
    {"glorot_normal", kInit, kKey, kGlorot, &call_glorot<&glorot_normal>},
    {"glorot_uniform", kInit, kKey, kGlorot, &call_glorot<&glorot_uniform>},
    {"he_normal", kInit, kKey, kHe, &call_he<&he_normal>},
    {"he_uniform", kInit, kKey, kHe, &call_he<&he_uniform>},
    {"identity", kInit, kKey, kIdentity, &call_identity},
    {"normal", kInit, kKey, kNormal, &call_normal},
    {"orthogonal", kInit, kKey, kOrthogonal, &call_orthogonal},
    {"sparse", kInit, kKey, kSparse, &call_sparse},
    {"uniform", kInit, kKey, kUniform, &call_uniform},
};

}  // namespace

}  // namespace mlxnx::nn::init

namespace mlxnx::nn {

std::span<const FunctionDef> initializer_functions() { return init::kInitializers; }

}  // namespace mlxnx::nn
