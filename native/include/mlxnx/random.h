// Random numbers as functions of a key: a tensor u32[2], the same key gives the same numbers. They
// are those of mlx.random, bit for bit, and keys of Nx.Random are keys here too. There is no hidden
// state: split a key into as many as there are things to draw.
//
//     auto [first, second] = random::split(random::key(42));
//     Tensor weights = random::normal(first, {784, 10}, {.scale = 0.01});
//     Tensor noise = random::uniform(second, {10}, {.low = -1});
//
// Numbers depend on no operand continuously but on bounds, means and scales; gradients go to these.
// All functions throw ShapeError for a key that is not u32[2], and for a negative dimension.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "mlxnx/tensor.h"

namespace mlxnx::random {

/// The key of a seed, u32[2]: its high and its low 32 bits.
///
///     key(42);  // u32[2] [0, 42]
Tensor key(std::uint64_t seed);

/// Two keys, each for numbers that have nothing to do with the other's or with those of `key`.
std::pair<Tensor, Tensor> split(const Tensor& key);

/// `num` keys as rows, u32[num][2].
///
///     split(key(0), 3);  // u32[3][2]
Tensor split(const Tensor& key, std::int64_t num);

/// Bits, all values of `type` alike probable. Types: u8, u16 or u32.
/// Throws: TypeError for another type.
///
///     bits(key(0), {2});
Tensor bits(const Tensor& key, const Shape& shape, DType type = DType::u32);

/// Options of `uniform`; the defaults are mlx.random's.
struct UniformOptions {
  Tensor low = 0.0, high = 1.0;  ///< broadcast to the shape
  DType type = DType::f32;
};

/// Numbers of low to high, high excluded. Types: floats; those of f64 have 53 random bits.
/// Throws: TypeError for no float, ShapeError where bounds do not broadcast to the shape.
///
///     uniform(key(0), {2, 2}, {.low = -1});
Tensor uniform(const Tensor& key, const Shape& shape = {}, const UniformOptions& options = {});

/// Options of `normal`; the defaults are mlx.random's.
struct NormalOptions {
  std::optional<Tensor> loc = std::nullopt;    ///< the mean, broadcast with the shape; none: 0
  std::optional<Tensor> scale = std::nullopt;  ///< the deviation, broadcast with the shape; none: 1
  DType type = DType::f32;
};

/// Numbers of the normal distribution. Types: floats.
/// Throws: TypeError for no float.
///
///     normal(key(0), {3}, {.loc = 2.0, .scale = 0.5});
Tensor normal(const Tensor& key, const Shape& shape = {}, const NormalOptions& options = {});

/// 1 with the probability `p`, else 0: u8 of `shape`, to which `p` is broadcast; none: that of `p`.
/// Throws: TypeError where `p` is no float, ShapeError where it does not broadcast to the shape.
///
///     bernoulli(key(0), 0.2, Shape{3, 4});
Tensor bernoulli(const Tensor& key, const Tensor& p = 0.5,
                 const std::optional<Shape>& shape = std::nullopt);

/// Options of `categorical`; the defaults are mlx.random's.
struct CategoricalOptions {
  std::int64_t axis = -1;  ///< of the classes
  /// To which the other axes of the logits are broadcast; none: these.
  std::optional<Shape> shape = std::nullopt;
  /// Draws for each of the other axes' positions, as a new last axis; none: one without an axis.
  std::optional<std::int64_t> num_samples = std::nullopt;
};

/// Positions along an axis of unnormalised log probabilities, as probable as these say: u32.
/// Throws: ShapeError for an unknown axis, or a shape that the logits do not broadcast to;
/// ArgumentError where shape and number are both given.
///
///     categorical(key(0), log(tensor({0.5, 0.25, 0.25})), {.num_samples = 10});  // u32[10]
Tensor categorical(const Tensor& key, const Tensor& logits, const CategoricalOptions& options = {});

/// Options of `randint`; the default is mlx.random's.
struct RandintOptions {
  DType type = DType::s32;
};

/// Integers of low to high, high excluded, which are broadcast to the shape. They are made of
/// uniform numbers of f32, so that not every integer of a range of more than 2^24 occurs.
/// Throws: TypeError for a type that is no integer, ShapeError as `uniform` does.
///
///     randint(key(0), 0, 10, {12});
Tensor randint(const Tensor& key, const Tensor& low, const Tensor& high, const Shape& shape = {},
               const RandintOptions& options = {});

/// Options of `truncated_normal`; the default is mlx.random's.
struct TruncatedNormalOptions {
  std::optional<Shape> shape = std::nullopt;  ///< none: what the bounds broadcast to
  DType type = DType::f32;
};

/// Numbers of the standard normal distribution between two bounds. Types: floats.
/// Throws: as `uniform` does.
///
///     truncated_normal(key(0), -2, 2, {.shape = Shape{8}});
Tensor truncated_normal(const Tensor& key, const Tensor& lower, const Tensor& upper,
                        const TruncatedNormalOptions& options = {});

/// Numbers of the standard Gumbel distribution. Types: floats.
/// Throws: TypeError for no float.
///
///     gumbel(key(0), {9});
Tensor gumbel(const Tensor& key, const Shape& shape = {}, DType type = DType::f32);

/// Options of `laplace`; the defaults are mlx.random's.
struct LaplaceOptions {
  double loc = 0, scale = 1;
  DType type = DType::f32;
};

/// Numbers of the Laplace distribution. Types: floats.
/// Throws: TypeError for no float.
///
///     laplace(key(0), {4}, {.loc = 2, .scale = 0.3});
Tensor laplace(const Tensor& key, const Shape& shape = {}, const LaplaceOptions& options = {});

/// 0 to `count - 1` in random order: u32.
///
///     permutation(key(0), 5);
Tensor permutation(const Tensor& key, std::int64_t count);

/// Options of `permutation`; the default is mlx.random's.
struct PermutationOptions {
  std::int64_t axis = 0;
};

/// `tensor` with its slices along an axis in random order.
/// Throws: ShapeError for an unknown axis.
///
///     permutation(key(0), iota({3, 4}), {.axis = 1});
Tensor permutation(const Tensor& key, const Tensor& tensor, const PermutationOptions& options = {});

/// Options of `multivariate_normal`; the defaults are mlx.random's.
struct MultivariateNormalOptions {
  Shape shape = {};  ///< of the draws, with which the batches of both operands are broadcast
  DType type = DType::f32;
};

/// Vectors of the normal distribution with a mean `[…, n]` and a covariance `[…, n, n]`. Types: f32
/// and f64.
/// Throws: TypeError for another type, ShapeError for operands that do not fit.
///
///     multivariate_normal(key(0), tensor({1.0, 2.0}), eye(2), {.shape = {3}});  // f32[3][2]
Tensor multivariate_normal(const Tensor& key, const Tensor& mean, const Tensor& covariance,
                           const MultivariateNormalOptions& options = {});

}  // namespace mlxnx::random
