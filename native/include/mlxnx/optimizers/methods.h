// The optimizers of mlx.optimizers, with their names, defaults and states.
//
// Below, w is a parameter, g its gradient, r the learning rate; what the state holds for each
// parameter begins as 0. All throw ArgumentError for options out of their range, and where the
// learning rate is missing.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "mlxnx/optimizers/optimizer.h"

namespace mlxnx::optimizers {

/// Two coefficients in [0, 1).
using Betas = std::array<double, 2>;

/// v = momentum v + (1 - dampening) g; w = w - r v. State: v.
/// `nesterov` looks one step ahead: w = w - r (g + momentum v). mlx: optimizers.SGD
///
///     SGD({.learning_rate = 0.1, .momentum = 0.9});
class SGD : public Optimizer {
 public:
  struct Options {
    std::optional<LearningRate> learning_rate = std::nullopt;
    double momentum = 0.0;
    double weight_decay = 0.0;  ///< its multiple of w is added to g
    double dampening = 0.0;
    bool nesterov = false;  ///< needs a momentum, and no dampening
    MLXNX_MEMBERS(learning_rate, momentum, weight_decay, dampening, nesterov)
  };
  explicit SGD(const Options& options);
};

/// v = alpha v + (1 - alpha) g²; w = w - r g / (√v + eps). State: v. mlx: optimizers.RMSprop
class RMSprop : public Optimizer {
 public:
  struct Options {
    std::optional<LearningRate> learning_rate = std::nullopt;
    double alpha = 0.99;
    double eps = 1e-8;
    MLXNX_MEMBERS(learning_rate, alpha, eps)
  };
  explicit RMSprop(const Options& options);
};

/// v = v + g²; w = w - r g / (√v + eps). State: v. mlx: optimizers.Adagrad
class Adagrad : public Optimizer {
 public:
  struct Options {
    std::optional<LearningRate> learning_rate = std::nullopt;
    double eps = 1e-8;
    MLXNX_MEMBERS(learning_rate, eps)
  };
  explicit Adagrad(const Options& options);
};

/// v = rho v + (1 - rho) g²; d = g √(u + eps) / √(v + eps); u = rho u + (1 - rho) d²; w = w - r d.
/// State: v, u. mlx: optimizers.AdaDelta
class AdaDelta : public Optimizer {
 public:
  struct Options {
    std::optional<LearningRate> learning_rate = std::nullopt;
    double rho = 0.9;
    double eps = 1e-6;
    MLXNX_MEMBERS(learning_rate, rho, eps)
  };
  explicit AdaDelta(const Options& options);
};

/// m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g²; w = w - r m / (√v + eps). State: m, v.
/// `bias_correction` makes up for the zeros that m and v began as. mlx: optimizers.Adam
///
///     Adam({.learning_rate = cosine_decay(1e-3, 1000)});
class Adam : public Optimizer {
 public:
  struct Options {
    std::optional<LearningRate> learning_rate = std::nullopt;
    Betas betas = {0.9, 0.999};
    double eps = 1e-8;
    bool bias_correction = false;
    MLXNX_MEMBERS(learning_rate, betas, eps, bias_correction)
  };
  explicit Adam(const Options& options);
};

/// `Adam` for w that was first multiplied by 1 - r weight_decay. mlx: optimizers.AdamW
class AdamW : public Optimizer {
 public:
  struct Options {
    std::optional<LearningRate> learning_rate = std::nullopt;
    Betas betas = {0.9, 0.999};
    double eps = 1e-8;
    double weight_decay = 0.01;
    bool bias_correction = false;
    MLXNX_MEMBERS(learning_rate, betas, eps, weight_decay, bias_correction)
  };
  explicit AdamW(const Options& options);
};

/// m as in `Adam`; v = max(b2 v, |g|); w = w - r m / (v + eps). State: m, v. mlx: optimizers.Adamax
class Adamax : public Optimizer {
 public:
  struct Options {
    std::optional<LearningRate> learning_rate = std::nullopt;
    Betas betas = {0.9, 0.999};
    double eps = 1e-8;
    MLXNX_MEMBERS(learning_rate, betas, eps)
  };
  explicit Adamax(const Options& options);
};

/// w = (1 - r weight_decay) w - r sign(b1 m + (1 - b1) g); then m = b2 m + (1 - b2) g. State: m.
/// mlx: optimizers.Lion
class Lion : public Optimizer {
 public:
  struct Options {
    std::optional<LearningRate> learning_rate = std::nullopt;
    Betas betas = {0.9, 0.99};
    double weight_decay = 0.0;
    MLXNX_MEMBERS(learning_rate, betas, weight_decay)
  };
  explicit Lion(const Options& options);
};

/// Shazeer and Stern, 2018: an average of g² by rows and columns only. State of matrices (and
/// stacks of these): exp_avg_sq_row, exp_avg_sq_col; of others: exp_avg_sq; with `beta_1` exp_avg.
/// mlx: optimizers.Adafactor
///
///     Adafactor({});
class Adafactor : public Optimizer {
 public:
  struct Options {
    std::optional<LearningRate> learning_rate =
        std::nullopt;                           ///< has to be given unless `relative_step`
    std::array<double, 2> eps = {1e-30, 1e-3};  ///< added to g², and the least size of w
    double clip_threshold = 1.0;
    double decay_rate = -0.8;
    std::optional<double> beta_1 = std::nullopt;  ///< of an average of the updates
    double weight_decay = 0.0;
    bool scale_parameter = true;  ///< whether updates are in proportion to the size of w
    bool relative_step = true;    ///< whether the learning rate follows from the step
    bool warmup_init = false;     ///< whether it then begins small
    MLXNX_MEMBERS(learning_rate, eps, clip_threshold, decay_rate, beta_1, weight_decay,
                  scale_parameter, relative_step, warmup_init)
  };
  explicit Adafactor(const Options& options);
};

/// Jordan, 2024: v is an average of g (with weight_decay w added), of which matrices are updated by
/// the nearest orthogonal one, found by `ns_steps` steps of Newton and Schulz. More axes than two
/// are joined; vectors are updated by v. State: v. mlx: optimizers.Muon
class Muon : public Optimizer {
 public:
  struct Options {
    std::optional<LearningRate> learning_rate = std::nullopt;
    double momentum = 0.95;
    double weight_decay = 0.01;
    bool nesterov = true;
    std::int64_t ns_steps = 5;
    MLXNX_MEMBERS(learning_rate, momentum, weight_decay, nesterov, ns_steps)
  };
  explicit Muon(const Options& options);
};

/// Says of a parameter whether it is meant.
using Filter = std::function<bool(std::string_view name, const Tensor& parameter)>;

/// Several optimizers, each for the parameters that its filter says yes to and those before it
/// leave; the last one, which has no filter, for all others. The state is that of each under
/// "states.0.", "states.1.", … mlx: optimizers.MultiOptimizer
///
///     MultiOptimizer({Muon({.learning_rate = 0.02}), AdamW({.learning_rate = 0.01})},
///                    {[](std::string_view, const Tensor& w) { return w.rank() >= 2; }});
class MultiOptimizer : public Optimizer {
 public:
  MultiOptimizer(std::vector<Optimizer> optimizers, std::vector<Filter> filters = {});
};

}  // namespace mlxnx::optimizers
