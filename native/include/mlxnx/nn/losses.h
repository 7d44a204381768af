// Loss functions, by the names and defaults of mlx.nn.losses.
//
// What comes last of the options is the reduction: `kNone` keeps the loss of each element or
// example, `kMean` and `kSum` answer a scalar. f16 and bf16 are computed in f32 and rounded once;
// f64 stays f64. Integers become f32, but for `l1_loss`, `mse_loss` and `hinge_loss`, which keep
// them unless a mean is asked for. Gradients are finite wherever the loss has one, and at kinks
// that of the flat side.
//
// All throw ShapeError for operands whose shapes don't go together.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "mlxnx/tensor.h"

namespace mlxnx::nn {

/// What becomes of the losses of the elements.
enum class Reduction : std::uint8_t { kNone, kMean, kSum };

/// The reduction called "none", "mean" or "sum". Throws: ArgumentError for another name.
Reduction reduction_called(std::string_view name);

/// Options of `cross_entropy`.
struct CrossEntropyOptions {
  std::optional<Tensor> weights = std::nullopt;  ///< of each example; the shape of the losses
  std::int64_t axis = -1;                        ///< that of the classes
  double label_smoothing = 0;  ///< the share of the targets that all classes get alike, below 1
  Reduction reduction = Reduction::kNone;
};

/// Minus the logarithm of the probability that the softmax of `logits` gives to `targets`.
/// Shapes: `targets` are numbers of classes in the shape of `logits` without the axis, or
/// probabilities in its whole shape, where a probability of 0 counts as nothing even beside a logit
/// of -infinity.
/// Throws: ArgumentError for a smoothing outside [0, 1); TypeError for classes that are no
/// integers; ShapeError. mlx: nn.losses.cross_entropy
///
///     cross_entropy(tensor({{2.0, -1.0}, {-1.0, 2.0}}), tensor({0, 1}));  // [0.0486, 0.0486]
Tensor cross_entropy(const Tensor& logits, const Tensor& targets,
                     const CrossEntropyOptions& options = {});

/// Options of `binary_cross_entropy`.
struct BinaryCrossEntropyOptions {
  std::optional<Tensor> weights = std::nullopt;  ///< the shape of `inputs`
  bool with_logits = true;                       ///< whether `inputs` are logits
  Reduction reduction = Reduction::kMean;
};

/// The cross entropy of yes and no. Without logits, `inputs` are probabilities, whose logarithms
/// are held at -100. mlx: nn.losses.binary_cross_entropy
///
///     binary_cross_entropy(tensor({0.0, 100.0}), tensor({1, 1}));  // 0.347
Tensor binary_cross_entropy(const Tensor& inputs, const Tensor& targets,
                            const BinaryCrossEntropyOptions& options = {});

/// |predictions - targets|; the slope where they are equal is 0. mlx: nn.losses.l1_loss
///
///     l1_loss(tensor({1.0, 4.0}), tensor({2.0, 2.0}));  // 1.5
Tensor l1_loss(const Tensor& predictions, const Tensor& targets,
               Reduction reduction = Reduction::kMean);

/// The square of the difference. mlx: nn.losses.mse_loss
///
///     mse_loss(tensor({1.0, 4.0}), tensor({2.0, 2.0}));  // 2.5
Tensor mse_loss(const Tensor& predictions, const Tensor& targets,
                Reduction reduction = Reduction::kMean);

/// Minus the element of `inputs`, logarithms of probabilities, at each target's class. `targets`
/// has the shape of `inputs` without the axis. mlx: nn.losses.nll_loss
///
///     nll_loss(tensor({{-0.5, -1.0}}), tensor({1}));  // [1.0]
Tensor nll_loss(const Tensor& inputs, const Tensor& targets, std::int64_t axis = -1,
                Reduction reduction = Reduction::kNone);

/// Options of `gaussian_nll_loss`.
struct GaussianNllOptions {
  bool full = false;  ///< whether to add log(2 pi) / 2
  double eps = 1e-6;  ///< the least variance
  Reduction reduction = Reduction::kMean;
};

/// Minus the logarithm of the density of `targets` under normal distributions with means `inputs`
/// and variances `vars`, but for a constant. mlx: nn.losses.gaussian_nll_loss
///
///     gaussian_nll_loss(tensor({1.0}), tensor({3.0}), tensor({2.0}));  // 1.347
Tensor gaussian_nll_loss(const Tensor& inputs, const Tensor& targets, const Tensor& vars,
                         const GaussianNllOptions& options = {});

/// How far the distribution `inputs` is from `targets`, summed along `axis`; both are logarithms of
/// probabilities. What `targets` gives the probability 0 counts as nothing.
/// mlx: nn.losses.kl_div_loss
///
///     kl_div_loss(log(tensor({0.5, 0.5})), log(tensor({1.0, 0.0})));  // 0.693
Tensor kl_div_loss(const Tensor& inputs, const Tensor& targets, std::int64_t axis = -1,
                   Reduction reduction = Reduction::kNone);

/// The square of the difference over 2 `beta` where that is below `beta`, elsewhere its size less
/// beta / 2. mlx: nn.losses.smooth_l1_loss
///
///     smooth_l1_loss(tensor({0.5, 3.0}), tensor({0.0, 0.0}));  // 1.3125
Tensor smooth_l1_loss(const Tensor& predictions, const Tensor& targets, double beta = 1.0,
                      Reduction reduction = Reduction::kMean);

/// Options of `triplet_loss`.
struct TripletOptions {
  std::int64_t axis = -1;
  std::int64_t p = 2;  ///< of the norm, at least 1
  double margin = 1.0;
  double eps = 1e-6;  ///< added to the sum of p-th powers
  Reduction reduction = Reduction::kNone;
};

/// By how much the distance of `anchors` to `positives` falls short of being smaller than that to
/// `negatives` by the margin. Throws: ArgumentError for p below 1; ShapeError.
/// mlx: nn.losses.triplet_loss
///
///     triplet_loss(tensor({0.0}), tensor({2.0}), tensor({1.0}));  // 2.0
Tensor triplet_loss(const Tensor& anchors, const Tensor& positives, const Tensor& negatives,
                    const TripletOptions& options = {});

/// 1 - inputs * targets where that is positive, else 0; targets are 1 and -1.
/// mlx: nn.losses.hinge_loss
///
///     hinge_loss(tensor({0.25, 3.0}), tensor({1.0, 1.0}));  // [0.75, 0.0]
Tensor hinge_loss(const Tensor& inputs, const Tensor& targets,
                  Reduction reduction = Reduction::kNone);

/// Half the square of the difference as long as that is at most `delta`, from there on straight.
/// mlx: nn.losses.huber_loss
///
///     huber_loss(tensor({0.5, 3.0}), tensor({0.0, 0.0}));  // [0.125, 2.5]
Tensor huber_loss(const Tensor& inputs, const Tensor& targets, double delta = 1.0,
                  Reduction reduction = Reduction::kNone);

/// log(cosh(inputs - targets)), exact near 0 and far out. mlx: nn.losses.log_cosh_loss
///
///     log_cosh_loss(tensor({1.0, 100.0}), tensor({0.0, 0.0}));  // [0.434, 99.307]
Tensor log_cosh_loss(const Tensor& inputs, const Tensor& targets,
                     Reduction reduction = Reduction::kNone);

/// Options of `cosine_similarity_loss`.
struct CosineSimilarityOptions {
  std::int64_t axis = 1;
  double eps = 1e-8;  ///< the least product of the norms
  Reduction reduction = Reduction::kNone;
};

/// The cosine of the angle between `x1` and `x2` along an axis; not 1 minus it.
/// mlx: nn.losses.cosine_similarity_loss
///
///     cosine_similarity_loss(tensor({{3.0, 4.0}}), tensor({{1.0, 0.0}}));  // [0.6]
Tensor cosine_similarity_loss(const Tensor& x1, const Tensor& x2,
                              const CosineSimilarityOptions& options = {});

/// `margin` - targets * (inputs1 - inputs2) where that is positive, else 0; targets are 1 where
/// `inputs1` ought to be larger, and -1. mlx: nn.losses.margin_ranking_loss
///
///     margin_ranking_loss(tensor({1.0}), tensor({3.0}), tensor({1.0}));  // [2.0]
Tensor margin_ranking_loss(const Tensor& inputs1, const Tensor& inputs2, const Tensor& targets,
                           double margin = 0.0, Reduction reduction = Reduction::kNone);

}  // namespace mlxnx::nn
