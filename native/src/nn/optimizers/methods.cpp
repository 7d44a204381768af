#include "mlxnx/optimizers/methods.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"
#include "nn/optimizers/rule.h"
#include "ops/type_rules.h"

namespace mlxnx::optimizers {
namespace {

void require_rate(std::string_view owner, const std::optional<LearningRate>& rate) {
  if (!rate) refuse(owner, "learning_rate has to be given");
}

void require_least(std::string_view owner, std::string_view name, double value, double least,
                   bool is_allowed) {
  if (value > least || (is_allowed && value == least)) return;
  refuse(owner, std::string(name) + " has to be " + (is_allowed ? "at least " : "above ") +
                    std::to_string(least) + ", got " + std::to_string(value));
}

void require_betas(std::string_view owner, const Betas& betas) {
  for (const double beta : betas) {
    if (!(beta >= 0 && beta < 1)) refuse(owner, "betas are in [0, 1), got " + std::to_string(beta));
  }
}

std::vector<Slot> slots_v(const Tensor& w) { return {{"v", w.shape()}}; }
std::vector<Slot> slots_m(const Tensor& w) { return {{"m", w.shape()}}; }
std::vector<Slot> slots_m_v(const Tensor& w) { return {{"m", w.shape()}, {"v", w.shape()}}; }
std::vector<Slot> slots_v_u(const Tensor& w) { return {{"v", w.shape()}, {"u", w.shape()}}; }

Tensor square(const Tensor& x) { return x * x; }

// The running average, `x` counting for the rest.
Tensor average(double kept, const Tensor& before, const Tensor& x) {
  return before * kept + x * (1 - kept);
}

Optimizer make_sgd(const SGD::Options& options) {
  require_rate("sgd", options.learning_rate);
  if (options.nesterov && (options.momentum <= 0 || options.dampening != 0))
    refuse("sgd", "nesterov needs a momentum and no dampening, got " +
                      std::to_string(options.momentum) + " and " +
                      std::to_string(options.dampening));
  const auto update = [=](const Single& one) {
    const Tensor g = options.weight_decay == 0
                         ? one.gradient
                         : one.gradient + one.parameter * options.weight_decay;
    if (options.momentum <= 0) return one.parameter - one.rate() * g;
    Tensor& v = one.slots.at("v");
    v = v * options.momentum + (options.dampening > 0 ? g * (1 - options.dampening) : g);
    return one.parameter - one.rate() * (options.nesterov ? g + v * options.momentum : v);
  };
  return rule_optimizer(
      {.name = "sgd", .learning_rate = options.learning_rate, .slots = &slots_v, .update = update});
}

Optimizer make_rmsprop(const RMSprop::Options& options) {
  require_rate("rmsprop", options.learning_rate);
  require_least("rmsprop", "alpha", options.alpha, 0, true);
  require_least("rmsprop", "eps", options.eps, 0, false);
  const auto update = [=](const Single& one) {
    Tensor& v = one.slots.at("v");
    v = average(options.alpha, v, square(one.gradient));
    return one.parameter - one.rate() * one.gradient / (sqrt(v) + options.eps);
  };
  return rule_optimizer({.name = "rmsprop",
                         .learning_rate = options.learning_rate,
                         .slots = &slots_v,
                         .update = update});
}

Optimizer make_adagrad(const Adagrad::Options& options) {
  require_rate("adagrad", options.learning_rate);
  require_least("adagrad", "eps", options.eps, 0, false);
  const auto update = [=](const Single& one) {
    Tensor& v = one.slots.at("v");
    v = v + square(one.gradient);
    return one.parameter - one.rate() * one.gradient / (sqrt(v) + options.eps);
  };
  return rule_optimizer({.name = "adagrad",
                         .learning_rate = options.learning_rate,
                         .slots = &slots_v,
                         .update = update});
}

Optimizer make_adadelta(const AdaDelta::Options& options) {
  require_rate("adadelta", options.learning_rate);
  require_least("adadelta", "rho", options.rho, 0, true);
  require_least("adadelta", "eps", options.eps, 0, false);
  const auto update = [=](const Single& one) {
    Tensor& v = one.slots.at("v");
    Tensor& u = one.slots.at("u");
    v = average(options.rho, v, square(one.gradient));
    const Tensor change = sqrt(u + options.eps) / sqrt(v + options.eps) * one.gradient;
    u = average(options.rho, u, square(change));
    return one.parameter - one.rate() * change;
  };
  return rule_optimizer({.name = "adadelta",
                         .learning_rate = options.learning_rate,
                         .slots = &slots_v_u,
                         .update = update});
}

// The share that gradients have in an average which began as 0.
Tensor begun_share(double kept, const Single& one) {
  const DType type = ops::to_wide(one.gradient.dtype());
  return 1 - pow(tensor(kept, type), as_type(one.step, type));
}

// A step of Adam for the parameter `w`.
Tensor adam_step(const Single& one, const Tensor& w, const Betas& betas, double eps,
                 bool is_corrected) {
  const auto [first, second] = betas;
  Tensor& m = one.slots.at("m");
  Tensor& v = one.slots.at("v");
  m = average(first, m, one.gradient);
  v = average(second, v, square(one.gradient));
  if (!is_corrected) return w - one.rate() * m / (sqrt(v) + eps);
  const DType type = one.gradient.dtype();
  const Tensor scale = one.rate() / begun_share(first, one);
  const Tensor root = rsqrt(begun_share(second, one));
  return w - as_type(scale, type) * m / (sqrt(v) * as_type(root, type) + eps);
}

Optimizer make_adam(const Adam::Options& options) {
  require_rate("adam", options.learning_rate);
  require_betas("adam", options.betas);
  require_least("adam", "eps", options.eps, 0, true);
  const auto update = [=](const Single& one) {
    return adam_step(one, one.parameter, options.betas, options.eps, options.bias_correction);
  };
  return rule_optimizer({.name = "adam",
                         .learning_rate = options.learning_rate,
                         .slots = &slots_m_v,
                         .update = update});
}

Optimizer make_adamw(const AdamW::Options& options) {
  require_rate("adamw", options.learning_rate);
  require_betas("adamw", options.betas);
  require_least("adamw", "eps", options.eps, 0, true);
  const auto update = [=](const Single& one) {
    const Tensor smaller = one.parameter * (1 - one.rate() * options.weight_decay);
    return adam_step(one, smaller, options.betas, options.eps, options.bias_correction);
  };
  return rule_optimizer({.name = "adamw",
                         .learning_rate = options.learning_rate,
                         .slots = &slots_m_v,
                         .update = update});
}

Optimizer make_adamax(const Adamax::Options& options) {
  require_rate("adamax", options.learning_rate);
  require_betas("adamax", options.betas);
  require_least("adamax", "eps", options.eps, 0, true);
  const auto update = [=](const Single& one) {
    Tensor& m = one.slots.at("m");
    Tensor& v = one.slots.at("v");
    m = average(options.betas[0], m, one.gradient);
    v = max(v * options.betas[1], abs(one.gradient));
    return one.parameter - one.rate() * m / (v + options.eps);
  };
  return rule_optimizer({.name = "adamax",
                         .learning_rate = options.learning_rate,
                         .slots = &slots_m_v,
                         .update = update});
}

Optimizer make_lion(const Lion::Options& options) {
  require_rate("lion", options.learning_rate);
  require_betas("lion", options.betas);
  const auto update = [=](const Single& one) {
    Tensor& m = one.slots.at("m");
    const Tensor direction = sign(average(options.betas[0], m, one.gradient));
    m = average(options.betas[1], m, one.gradient);
    const Tensor w = options.weight_decay > 0
                         ? one.parameter * (1 - one.rate() * options.weight_decay)
                         : one.parameter;
    return w - one.rate() * direction;
  };
  return rule_optimizer({.name = "lion",
                         .learning_rate = options.learning_rate,
                         .slots = &slots_m,
                         .update = update});
}

Tensor mean(const Tensor& x, std::int64_t axis, bool keep_axes = false) {
  const auto length = static_cast<double>(x.shape()[x.rank() - static_cast<std::size_t>(-axis)]);
  return sum(x, {.axes = Axes{axis}, .keep_axes = keep_axes}) / length;
}

Tensor root_mean_square(const Tensor& x) {
  return sqrt(sum(square(x)) / static_cast<double>(x.size()));
}

Shape without(const Shape& shape, std::size_t from_end) {
  Shape rest;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i != shape.size() - from_end) rest.push_back(shape[i]);
  }
  return rest;
}

std::vector<Slot> slots_of_adafactor(const Tensor& w, bool is_averaged) {
  std::vector<Slot> slots;
  if (w.rank() >= 2) {
    slots = {{"exp_avg_sq_row", without(w.shape(), 1)}, {"exp_avg_sq_col", without(w.shape(), 2)}};
  } else {
    slots = {{"exp_avg_sq", w.shape()}};
  }
  if (is_averaged) slots.push_back({"exp_avg", w.shape()});
  return slots;
}

// The gradient over the root of the average of its square.
Tensor scaled_gradient(const Single& one, const Adafactor::Options& options) {
  const DType type = one.parameter.dtype();
  const Tensor kept = 1 - as_type(pow(one.step, Tensor(options.decay_rate)), type);
  const Tensor squares = square(one.gradient) + options.eps[0];
  const auto advance = [&](std::string_view slot, const Tensor& x) {
    Tensor& before = one.slots.at(slot);
    before = before * kept + x * (1 - kept);
    return before;
  };
  if (one.gradient.rank() < 2) return rsqrt(advance("exp_avg_sq", squares)) * one.gradient;
  const Tensor rows = advance("exp_avg_sq_row", mean(squares, -1));
  const Tensor columns = advance("exp_avg_sq_col", mean(squares, -2));
  const Tensor of_rows = rsqrt(rows / mean(rows, -1, true));
  return new_axis(of_rows, -1) * new_axis(rsqrt(columns), -2) * one.gradient;
}

Optimizer make_adafactor(const Adafactor::Options& options) {
  if (!options.relative_step) require_rate("adafactor", options.learning_rate);
  const auto rate = [=](const Single& one, const Tensor& size) {
    Tensor base = one.step;
    if (options.relative_step) {
      const Tensor most = options.warmup_init ? one.step * 1e-6 : Tensor(1e-2);
      base = min(most, rsqrt(one.step));
    } else {
      base = *one.learning_rate;
    }
    base = as_type(base, size.dtype());
    return options.scale_parameter ? base * max(size, options.eps[1]) : base;
  };
  const auto update = [=](const Single& one) {
    const Tensor scale = rate(one, root_mean_square(one.parameter));
    Tensor change = scaled_gradient(one, options);
    change = change / max(root_mean_square(change) / options.clip_threshold, 1);
    change = change * scale;
    if (options.beta_1) {
      Tensor& averaged = one.slots.at("exp_avg");
      averaged = average(*options.beta_1, averaged, change);
      change = averaged;
    }
    const Tensor& w = one.parameter;
    return (options.weight_decay == 0 ? w : w + w * (scale * -options.weight_decay)) - change;
  };
  const auto slots = [is_averaged = options.beta_1.has_value()](const Tensor& w) {
    return slots_of_adafactor(w, is_averaged);
  };
  return rule_optimizer({.name = "adafactor",
                         .learning_rate = options.learning_rate,
                         .slots = slots,
                         .update = update});
}

// The orthogonal matrix next to `x`, nearly: singular values go to about 1 by a polynomial.
Tensor orthogonalised(const Tensor& matrix, std::int64_t steps) {
  const bool is_tall = matrix.shape()[0] > matrix.shape()[1];
  Tensor x = is_tall ? transpose(matrix) : matrix;
  x = x / (sqrt(sum(square(x))) + 1e-7);
  for (std::int64_t i = 0; i < steps; ++i) {
    const Tensor a = dot(x, Axes{1}, x, Axes{1});
    const Tensor b = a * -4.7750 + dot(a, a) * 2.0315;
    x = x * 3.4445 + dot(b, x);
  }
  return is_tall ? transpose(x) : x;
}

Optimizer make_muon(const Muon::Options& options) {
  require_rate("muon", options.learning_rate);
  require_least("muon", "ns_steps", static_cast<double>(options.ns_steps), 0, true);
  const auto update = [=](const Single& one) {
    const Tensor g = options.weight_decay == 0
                         ? one.gradient
                         : one.gradient + one.parameter * options.weight_decay;
    Tensor& v = one.slots.at("v");
    v = average(options.momentum, v, g);
    Tensor change = options.nesterov ? average(options.momentum, v, g) : v;
    Tensor rate = one.rate();
    const Shape shape = change.shape();  // a copy: what it belongs to is replaced
    if (shape.size() >= 2 && change.size() > 0) {
      const Shape flat{shape[0], change.size() / shape[0]};
      change = reshape(orthogonalised(reshape(change, flat), options.ns_steps), shape);
      const auto rows = static_cast<double>(shape[shape.size() - 2]);
      rate = rate * std::sqrt(std::max(1.0, rows / static_cast<double>(shape.back())));
    }
    return one.parameter - rate * change;
  };
  return rule_optimizer({.name = "muon",
                         .learning_rate = options.learning_rate,
                         .slots = &slots_v,
                         .update = update});
}

}  // namespace

SGD::SGD(const Options& options) : Optimizer(make_sgd(options)) {}
RMSprop::RMSprop(const Options& options) : Optimizer(make_rmsprop(options)) {}
Adagrad::Adagrad(const Options& options) : Optimizer(make_adagrad(options)) {}
AdaDelta::AdaDelta(const Options& options) : Optimizer(make_adadelta(options)) {}
Adam::Adam(const Options& options) : Optimizer(make_adam(options)) {}
AdamW::AdamW(const Options& options) : Optimizer(make_adamw(options)) {}
Adamax::Adamax(const Options& options) : Optimizer(make_adamax(options)) {}
Lion::Lion(const Options& options) : Optimizer(make_lion(options)) {}
Adafactor::Adafactor(const Options& options) : Optimizer(make_adafactor(options)) {}
Muon::Muon(const Options& options) : Optimizer(make_muon(options)) {}

}  // namespace mlxnx::optimizers
