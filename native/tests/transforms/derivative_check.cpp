#include "transforms/derivative_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>

#include "ops/number_tensors.h"
#include "program/executable.h"
#include "program/trace.h"
#include "transforms/algebra.h"
#include "transforms/apply.h"

namespace mlxnx::transforms {
namespace {

using Elements = std::vector<std::complex<double>>;

/// A region that runs many times.
class Runner {
 public:
  explicit Runner(const RegionPtr& region)
      : executable_({*region, {}}, {.fusion = program::Fusion::kNever}) {}
  Tensors operator()(const Tensors& inputs) const { return executable_.run(inputs); }

 private:
  program::Executable executable_;
};

Tensors joined(Tensors first, const Tensors& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

Tensors from(const Tensors& tensors, std::size_t first) {
  return {tensors.begin() + static_cast<std::ptrdiff_t>(first), tensors.end()};
}

Elements flat(const Tensors& tensors) {
  Elements all;
  for (const Tensor& tensor : tensors) {
    const Elements own = complex_of(tensor);
    all.insert(all.end(), own.begin(), own.end());
  }
  return all;
}

// Without conjugation, as gradients of complex values are defined.
double pairing(const Elements& a, const Elements& b) {
  std::complex<double> sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum.real();
}

void expect_near(const Elements& actual, const Elements& expected, double limit, const char* what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  double scale = 1;
  for (const auto& value : expected) scale = std::max(scale, std::abs(value));
  for (std::size_t i = 0; i < actual.size(); ++i) {
    // NaN is not near anything
    if (!(std::abs(actual[i] - expected[i]) <= limit * scale)) {
      ADD_FAILURE() << what << ": element " << i << " is " << actual[i] << ", not " << expected[i];
      return;
    }
  }
}

Tensors samples(const std::vector<TensorType>& types, Sampler& sampler) {
  Tensors result;
  for (const TensorType& type : types) result.push_back(sampler(program::cotangent_type(type)));
  return result;
}

void expect_types(const Tensors& actual, const std::vector<TensorType>& of, const char* what) {
  ASSERT_EQ(actual.size(), of.size()) << what;
  for (std::size_t i = 0; i < of.size(); ++i)
    EXPECT_EQ(actual[i].type(), program::cotangent_type(of[i])) << what << " " << i;
}

class Check {
 public:
  Check(const Subject& subject, double limit)
      : subject_(subject), limit_(limit), outputs_(subject.function->output_types()) {
    for (const std::size_t i : subject.wrt) moving_.push_back(subject.point[i]);
    std::vector<TensorType> types = types_of(moving_);
    types.insert(types.end(), outputs_.begin(), outputs_.end());
    const bool is_fine = std::none_of(types.begin(), types.end(), [](const TensorType& type) {
      return type.dtype == DType::f32 || is_complex(type.dtype);
    });
    step_ = is_fine ? 1e-4 : 3e-2;
    if (limit_ == 0) limit_ = is_fine ? 1e-9 : 3e-3;
    cotangents_ = samples(outputs_, sampler_);
    direction_ = samples(types_of(moving_), sampler_);
  }

  void first_order() {
    const Runner function(subject_.function);
    const Runner back(vjp(*subject_.function, subject_.wrt));
    const Tensors all = back(joined(subject_.point, cotangents_));
    const Tensors gradients = from(all, outputs_.size());
    expect_types(gradients, types_of(moving_), "gradient");
    const Elements weights = flat(cotangents_);
    Elements expected;
    for (std::size_t k = 0; k < moving_.size(); ++k) by_elements(function, weights, k, expected);
    expect_near(flat(gradients), expected, limit_, "gradient");

    const Runner along(jvp(*subject_.function, subject_.wrt));
    const Tensors tangents = from(along(joined(subject_.point, direction_)), outputs_.size());
    expect_types(tangents, outputs_, "tangent");
    expect_near(flat(tangents), difference(function, direction_), limit_, "tangent");
  }

  void second_order() {
    const RegionPtr gradient = gradient_alone();
    const Runner function(gradient);
    const Runner along(jvp(*gradient, subject_.wrt));
    const Tensors tangents = from(along(joined(subject_.point, direction_)), moving_.size());
    const Elements tangent = flat(tangents);
    expect_near(tangent, difference(function, direction_), 10 * limit_, "tangent of the gradient");

    const Runner back(vjp(*gradient, subject_.wrt));
    const Tensors weights = samples(types_of(moving_), sampler_);
    const Tensors again = from(back(joined(subject_.point, weights)), moving_.size());
    expect_near(Elements{pairing(flat(again), flat(direction_))},
                Elements{pairing(flat(weights), tangent)}, 10 * limit_,
                "gradient of the gradient along the direction");
  }

 private:
  // The gradient by these cotangents as a function of the point.
  RegionPtr gradient_alone() const {
    const RegionPtr back = vjp(*subject_.function, subject_.wrt);
    return region_of(types_of(subject_.point), [&](const Tensors& inputs) {
      const Tensors all =
          program::Trace::current()->record_program(*back, joined(inputs, cotangents_));
      return from(all, outputs_.size());
    });
  }

  Tensors moved(const Tensors& direction, double by) const {
    Tensors point = subject_.point;
    for (std::size_t k = 0; k < moving_.size(); ++k) {
      const Elements steps = complex_of(direction[k]);
      const Elements start = complex_of(moving_[k]);
      point[subject_.wrt[k]] =
          generate(moving_[k].dtype(), moving_[k].shape(),
                   [&](std::size_t i) -> std::complex<double> { return start[i] + by * steps[i]; });
    }
    return point;
  }

  // How all outputs change along a direction, to the fourth order of the step.
  Elements difference(const Runner& function, const Tensors& direction) const {
    const auto at = [&](double by) { return flat(function(moved(direction, by))); };
    const Elements near[] = {at(step_), at(-step_)};
    const Elements far[] = {at(2 * step_), at(-2 * step_)};
    Elements result(near[0].size());
    for (std::size_t i = 0; i < result.size(); ++i)
      result[i] = (8.0 * (near[0][i] - near[1][i]) - (far[0][i] - far[1][i])) / (12 * step_);
    return result;
  }

  // du/dx - i du/dy by each element x + iy of an input, of the outputs' pairing with the weights.
  void by_elements(const Runner& function, const Elements& weights, std::size_t k,
                   Elements& result) const {
    Tensors direction;
    for (const Tensor& tensor : moving_) direction.push_back(zeros(tensor.type()));
    const auto along = [&](std::size_t element, std::complex<double> unit) {
      direction[k] = generate(moving_[k].dtype(), moving_[k].shape(),
                              [&](std::size_t i) -> std::complex<double> {
                                return i == element ? unit : std::complex<double>();
                              });
      return pairing(weights, difference(function, direction));
    };
    for (std::size_t i = 0; i < static_cast<std::size_t>(moving_[k].size()); ++i) {
      const double by_real = along(i, 1.0);
      const double by_imaginary = is_complex(moving_[k].dtype()) ? along(i, {0, 1}) : 0.0;
      result.emplace_back(by_real, -by_imaginary);
    }
  }

  const Subject& subject_;
  double limit_;
  std::vector<TensorType> outputs_;
  double step_;
  Sampler sampler_{7};
  Tensors moving_, cotangents_, direction_;
};

}  // namespace

Tensors run(const RegionPtr& region, const Tensors& inputs) { return Runner(region)(inputs); }

Tensor Sampler::operator()(const TensorType& type, double low, double high) {
  std::uniform_real_distribution<double> real(low, high);
  std::uniform_int_distribution<std::int64_t> whole(static_cast<std::int64_t>(low),
                                                    static_cast<std::int64_t>(high));
  return generate(type.dtype, type.shape, [&](std::size_t) -> Number {
    if (is_integer(type.dtype)) return whole(engine_);
    const double x = real(engine_);
    if (!is_complex(type.dtype)) return x;
    return std::complex<double>(x, real(engine_));
  });
}

Subject subject(const Tensors& point, const TensorFunction& function) {
  Subject result{region_of(types_of(point), function), point, {}};
  for (std::size_t i = 0; i < point.size(); ++i) {
    if (!is_integer(point[i].dtype())) result.wrt.push_back(i);
  }
  return result;
}

void check_derivatives(const Subject& subject, double limit) {
  Check check(subject, limit);
  check.first_order();
  check.second_order();
}

void expect_near(const Tensor& actual, const Tensor& expected, double limit, const char* what) {
  Elements is = complex_of(actual), wanted = complex_of(expected);
  ASSERT_EQ(is.size(), wanted.size()) << what;
  for (std::size_t i = 0; i < is.size(); ++i) {
    const bool are_same =
        is[i] == wanted[i] || (std::isnan(std::abs(is[i])) && std::isnan(std::abs(wanted[i])));
    if (are_same) is[i] = wanted[i] = 0;
  }
  expect_near(is, wanted, limit, what);
}

}  // namespace mlxnx::transforms
