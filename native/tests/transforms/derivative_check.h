// Derivatives of functions held against central differences of their values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "mlxnx/mlxnx.h"
#include "transforms/transforms.h"

namespace mlxnx::transforms {

using Tensors = std::vector<Tensor>;
using TensorFunction = std::function<Tensors(const Tensors& inputs)>;

/// What a region answers.
Tensors run(const RegionPtr& region, const Tensors& inputs);

/// Random tensors, the same at every run.
class Sampler {
 public:
  explicit Sampler(std::uint64_t seed = 1) : engine_(seed) {}
  /// Elements between the bounds, of complex ones both parts; whole ones for integers.
  Tensor operator()(const TensorType& type, double low = -1, double high = 1);

 private:
  std::mt19937_64 engine_;
};

/// A function, a point, and the inputs by which it is differentiated there.
struct Subject {
  RegionPtr function;
  Tensors point;
  std::vector<std::size_t> wrt;
};

/// The function traced for the types of the point, differentiated by all inputs that are not
/// integers.
Subject subject(const Tensors& point, const TensorFunction& function);

/// Expects of random cotangents and directions that
/// - gradients (vjp) are the differences of the outputs, element by element, in the inputs' types,
/// - tangents (jvp) are the differences along a direction,
/// - tangents of gradients are differences of gradients, and gradients of gradients what transposes
///   them,
///
/// each to `limit`, relative to the largest element but at least to 1, and ten times that where it
/// is of second order. 0: 1e-9, or 3e-3 where an input or output has the digits of f32.
void check_derivatives(const Subject& subject, double limit = 0);

/// Expects a tensor to be as near as this to the other, relative to its largest element; NaN and
/// infinities to be the same.
void expect_near(const Tensor& actual, const Tensor& expected, double limit, const char* what);

}  // namespace mlxnx::transforms
