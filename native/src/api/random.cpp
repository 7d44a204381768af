#include "mlxnx/random.h"

#include <cmath>
#include <limits>
#include <string>

#include "api/call.h"
#include "mlxnx/error.h"
#include "mlxnx/numbers.h"
#include "mlxnx/operators.h"
#include "mlxnx/ops/creation.h"
#include "mlxnx/ops/linalg.h"
#include "mlxnx/ops/reduction.h"
#include "mlxnx/ops/sort.h"
#include "ops/type_rules.h"

// Every formula is MLX's down to the order of its roundings, since the numbers shall be MLX's.
namespace mlxnx::random {
namespace {

void require_float(const char* function, DType type) {
  if (is_float(type)) return;
  throw TypeError("[" + std::string(function) + "] makes floats, not " + std::string(name(type)));
}

// Two shapes aligned at the last axis.
Shape broadcast_together(const char* function, const Shape& a, const Shape& b) {
  Shape result = a.size() >= b.size() ? a : b;
  const Shape& other = a.size() >= b.size() ? b : a;
  const std::size_t missing = result.size() - other.size();
  for (std::size_t i = 0; i < other.size(); ++i) {
    std::int64_t& dim = result[missing + i];
    if (dim != other[i] && dim != 1 && other[i] != 1) {
      throw ShapeError("[" + std::string(function) + "] shapes " + to_string(a) + " and " +
                       to_string(b) + " do not broadcast together");
    }
    if (dim == 1) dim = other[i];
  }
  return result;
}

void require_broadcast_to(const char* function, const Shape& from, const Shape& to) {
  if (broadcast_together(function, from, to) == to) return;
  throw ShapeError("[" + std::string(function) + "] numbers of shape " + to_string(to) +
                   " can't be drawn from operands of shape " + to_string(from));
}

// The largest number below 1.
double below_one(DType type) {
  const int digits = type == DType::bf16 ? 8 : type == DType::f16 ? 11 : 24;
  return 1 - std::ldexp(1.0, -digits);
}

// Numbers of 0 to 1, 1 excluded.
Tensor unit(const Tensor& key, const Shape& shape, DType type) {
  if (type == DType::f64) {
    const Tensor words = bits(key, [&] {
      Shape pairs = shape;
      pairs.push_back(2);
      return pairs;
    }());
    const Tensor high = slice_along_axis(words, 0, 1, {.axis = -1});
    const Tensor low = slice_along_axis(words, 1, 1, {.axis = -1});
    const auto as_f64 = [&](const Tensor& word, int dropped) {
      return reshape(as_type(right_shift(word, dropped), DType::f64), shape);
    };
    return (as_f64(high, 5) * std::ldexp(1.0, 26) + as_f64(low, 6)) * std::ldexp(1.0, -53);
  }
  const Tensor scaled = as_type(bits(key, shape), DType::f32) * std::ldexp(1.0, -32);
  return as_type(min(scaled, below_one(type)), type);
}

// Numbers of -1 to 1, both excluded.
Tensor symmetric(const Tensor& key, const Shape& shape, DType type) {
  const DType wide = ops::to_wide(type);
  const double low = wide == DType::f64 ? std::nextafter(-1.0, 0.0) : std::nextafter(-1.0F, 0.0F);
  return uniform(key, shape, {.low = Tensor(low, wide), .high = 1.0, .type = wide});
}

std::int64_t known_axis(const char* function, std::int64_t axis, const Tensor& tensor) {
  const auto rank = static_cast<std::int64_t>(tensor.rank());
  if (axis >= -rank && axis < rank) return axis < 0 ? axis + rank : axis;
  throw ShapeError("[" + std::string(function) + "] axis " + std::to_string(axis) +
                   " is out of bounds for shape " + to_string(tensor.shape()));
}

// The last positions at which `ascending`, a vector that begins with 0, is at most `values`.
Tensor last_at_most(const Tensor& ascending, const Tensor& values) {
  const std::int64_t count = ascending.size();
  Tensor found = constant(0, DType::s32, values.shape());
  std::int64_t step = 1;
  while (step * 2 < count) step *= 2;
  for (; step > 0; step /= 2) {
    const Tensor next = found + step;
    const Tensor is_inside = less(next, count);
    const Tensor at = take(ascending, min(next, count - 1));
    found = select(logical_and(is_inside, less_equal(at, values)), next, found);
  }
  return found;
}

// Where all draws have the same logits, memory for each draw and each logit is enough.
Tensor draws_of_one(const Tensor& key, const Tensor& logits, const Shape& shape) {
  const Tensor x = as_type(logits, ops::to_wide(logits.dtype()));
  const Tensor largest = reduce_max(x);
  // Infinite ones are all alike probable.
  const Tensor weights =
      select(is_infinity(largest), as_type(equal(x, largest), x.dtype()), exp(x - largest));
  const Tensor below = concatenate({constant(0, x.dtype(), {1}), cumulative_sum(weights)});
  const Tensor starts = slice(below, {0}, {x.size()});
  const Tensor drawn = uniform(key, shape) * sum(weights);
  return as_type(last_at_most(starts, drawn), DType::u32);
}

}  // namespace

Tensor key(std::uint64_t seed) {
  const std::uint32_t words[] = {static_cast<std::uint32_t>(seed >> 32),
                                 static_cast<std::uint32_t>(seed)};
  return Tensor::from_span(std::span<const std::uint32_t>(words), {2});
}

std::pair<Tensor, Tensor> split(const Tensor& key) {
  const Tensor keys = random::split(key, 2);
  const auto row = [&](std::int64_t i) { return reshape(slice(keys, {i, 0}, {1, 2}), {2}); };
  return {row(0), row(1)};
}

Tensor split(const Tensor& key, std::int64_t num) { return bits(key, {num, 2}); }

Tensor bits(const Tensor& key, const Shape& shape, DType type) {
  static const ops::OpDef& row = ops::op("random_bits");
  return ops::invoke(row, {key}, {{"shape", shape}, {"type", type}});
}

Tensor uniform(const Tensor& key, const Shape& shape, const UniformOptions& options) {
  require_float("uniform", options.type);
  const Tensor low = as_type(options.low, options.type);
  const Tensor range = as_type(options.high, options.type) - low;
  require_broadcast_to("uniform", range.shape(), shape);
  return range * unit(key, shape, options.type) + low;
}

Tensor normal(const Tensor& key, const Shape& shape, const NormalOptions& options) {
  require_float("normal", options.type);
  Tensor scale(std::sqrt(2.0), options.type);
  if (options.scale) scale = scale * as_type(*options.scale, options.type);
  const Tensor samples = erf_inv(symmetric(key, shape, options.type));
  const Tensor result = scale * as_type(samples, options.type);
  return options.loc ? as_type(*options.loc, options.type) + result : result;
}

Tensor bernoulli(const Tensor& key, const Tensor& p, const std::optional<Shape>& shape) {
  if (!is_float(p.dtype()))
    throw TypeError("[bernoulli] a probability is a float, got " + to_string(p.type()));
  const Shape& wanted = shape ? *shape : p.shape();
  require_broadcast_to("bernoulli", p.shape(), wanted);
  // More than any 32 bits as a float: what is certain happens always.
  const float most = std::nextafter(std::ldexp(1.0F, 32), std::numeric_limits<float>::max());
  return less(as_type(bits(key, wanted), DType::f32), as_type(p, DType::f32) * most);
}

Tensor categorical(const Tensor& key, const Tensor& logits, const CategoricalOptions& options) {
  const std::int64_t axis = known_axis("categorical", options.axis, logits);
  if (options.shape && options.num_samples)
    throw ArgumentError("[categorical] takes a shape or a number of samples, not both");
  Shape others = logits.shape();
  others.erase(others.begin() + axis);
  Tensor classes = logits;
  std::int64_t place = axis;
  if (options.num_samples) {
    classes = new_axis(logits, -1);
    others.push_back(*options.num_samples);
  } else if (options.shape) {
    require_broadcast_to("categorical", others, *options.shape);
    place += static_cast<std::int64_t>(options.shape->size() - others.size());
    others = *options.shape;
  }
  const std::int64_t count = logits.shape()[static_cast<std::size_t>(axis)];
  if (count > 0 && logits.size() == count && !others.empty())
    return draws_of_one(key, reshape(logits, {count}), others);
  others.insert(others.begin() + place, count);
  return argmax(gumbel(key, others) + classes, {.axis = place, .type = DType::u32});
}

Tensor randint(const Tensor& key, const Tensor& low, const Tensor& high, const Shape& shape,
               const RandintOptions& options) {
  if (!is_integer(options.type))
    throw TypeError("[randint] makes integers, not " + std::string(name(options.type)));
  const Tensor drawn =
      as_type(floor(uniform(key, shape, {.low = low, .high = high})), options.type);
  // The bounds as floats may lie outside of what they are.
  const Tensor last = as_type(high - Tensor(std::int64_t{1}, high.dtype()), options.type);
  return max(min(drawn, last), as_type(low, options.type));
}

Tensor truncated_normal(const Tensor& key, const Tensor& lower, const Tensor& upper,
                        const TruncatedNormalOptions& options) {
  require_float("truncated_normal", options.type);
  const Shape shape = options.shape
                          ? *options.shape
                          : broadcast_together("truncated_normal", lower.shape(), upper.shape());
  const Tensor root(std::sqrt(2.0), options.type);
  const Tensor low = as_type(lower, options.type), high = as_type(upper, options.type);
  const Tensor drawn =
      uniform(key, shape, {.low = erf(low / root), .high = erf(high / root), .type = options.type});
  return max(min(high, root * erf_inv(drawn)), low);
}

Tensor gumbel(const Tensor& key, const Shape& shape, DType type) {
  return -log(-log(uniform(key, shape, {.type = type})));
}

Tensor laplace(const Tensor& key, const Shape& shape, const LaplaceOptions& options) {
  require_float("laplace", options.type);
  const Tensor drawn = symmetric(key, shape, options.type);
  const Tensor samples = as_type(sign(drawn) * log1p(-abs(drawn)), options.type);
  return Tensor(options.scale, options.type) * samples + Tensor(options.loc, options.type);
}

Tensor permutation(const Tensor& key, std::int64_t count) {
  return argsort(bits(key, {count}), {.type = DType::u32});
}

Tensor permutation(const Tensor& key, const Tensor& tensor, const PermutationOptions& options) {
  const std::int64_t axis = known_axis("permutation", options.axis, tensor);
  const std::int64_t count = tensor.shape()[static_cast<std::size_t>(axis)];
  return take(tensor, permutation(key, count), {.axis = axis});
}

Tensor multivariate_normal(const Tensor& key, const Tensor& mean, const Tensor& covariance,
                           const MultivariateNormalOptions& options) {
  const char* const self = "multivariate_normal";
  if (options.type != DType::f32 && options.type != DType::f64)
    throw TypeError("[multivariate_normal] makes f32 or f64, not " +
                    std::string(name(options.type)));
  const Shape& matrices = covariance.shape();
  const std::size_t rank = matrices.size();
  if (mean.rank() < 1 || rank < 2 || matrices[rank - 1] != matrices[rank - 2] ||
      mean.shape().back() != matrices[rank - 1]) {
    throw ShapeError("[multivariate_normal] takes a mean […, n] and a covariance […, n, n], got " +
                     to_string(mean.type()) + " and " + to_string(covariance.type()));
  }
  const std::int64_t n = mean.shape().back();
  const Shape means(mean.shape().begin(), mean.shape().end() - 1);
  const Shape batch(matrices.begin(), matrices.end() - 2);
  Shape shape = broadcast_together(self, broadcast_together(self, batch, means), options.shape);
  Shape whole = shape;
  whole.push_back(n);
  // The root of the covariance.
  const auto [u, s, vt] = linalg::svd(as_type(covariance, options.type));
  const auto product = [](const Tensor& a, const Tensor& b) {
    // [..., n] with [..., n, n], broadcast
    return sum(new_axis(a, -1) * b, {.axes = Axes{-2}});
  };
  const Tensor root = product(u * new_axis(sqrt(s), -2), new_axis(vt, -3));
  const Tensor drawn = normal(key, whole, {.type = options.type});
  return mean + (root.rank() == 2 ? dot(drawn, root) : product(drawn, root));
}

}  // namespace mlxnx::random
