#include "mlxnx/nn/initializers.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

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

}  // namespace mlxnx::nn::init
