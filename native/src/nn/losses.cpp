#include "mlxnx/nn/losses.h"

#include <cmath>
#include <initializer_list>
#include <numbers>
#include <string>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"
#include "nn/function.h"
#include "ops/type_rules.h"

namespace mlxnx::nn {
namespace {

// The operands of one loss, and what their losses become.
class Loss {
 public:
  Loss(std::string_view name, std::initializer_list<Tensor> floats) : name_(name) {
    type_ = floats.begin()->dtype();
    for (const Tensor& operand : floats) type_ = ops::merge(type_, operand.dtype());
  }

  /// `x` as it is computed.
  static Tensor real(const Tensor& x) { return as_type(x, ops::to_wide(x.dtype())); }
  /// The same, but for integers, which stay.
  static Tensor wide(const Tensor& x) { return is_integer(x.dtype()) ? x : real(x); }

  /// Throws: ShapeError unless the shapes are equal.
  void require_same(std::string_view left, const Tensor& a, std::string_view right,
                    const Tensor& b) const {
    if (a.shape() == b.shape()) return;
    refuse(left, a, right, b, "they have to be of one shape");
  }
  /// `axis`, counted from the first. Throws: ShapeError where `x` has none such.
  std::size_t axis_of(const Tensor& x, std::int64_t axis) const {
    const auto rank = static_cast<std::int64_t>(x.rank());
    if (axis < -rank || axis >= rank)
      throw ShapeError("[" + name_ + "] there is no axis " + std::to_string(axis) + " in " +
                       mlxnx::to_string(x.type()));
    return static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
  }
  [[noreturn]] void refuse(std::string_view left, const Tensor& a, std::string_view right,
                           const Tensor& b, const std::string& wanted) const {
    throw ShapeError("[" + name_ + "] " + std::string(left) + " of shape " + to_string(a.shape()) +
                     " do not match " + std::string(right) + " of shape " + to_string(b.shape()) +
                     ": " + wanted);
  }

  Tensor reduced(const Tensor& losses, Reduction reduction) const {
    // Integers that became floats on the way stay that.
    const DType type = is_integer(type_) ? losses.dtype() : type_;
    switch (reduction) {
      case Reduction::kNone:
        return rounded(losses, type);
      case Reduction::kSum:
        return rounded(sum(losses), type);
      case Reduction::kMean: {
        const Tensor floats = real(losses);
        return rounded(sum(floats) / static_cast<double>(losses.size()),
                       is_integer(type) ? floats.dtype() : type);
      }
    }
    throw ArgumentError("[" + name_ + "] there is no such reduction");
  }

  /// Losses, weighted where weights are given.
  Tensor reduced(const Tensor& losses, const std::optional<Tensor>& weights,
                 Reduction reduction) const;

 private:
  static Tensor rounded(const Tensor& x, DType type) {
    return x.dtype() == type ? x : as_type(x, type);
  }

  std::string name_;
  DType type_;
};

// `weights` times `values`, where nothing times infinity is nothing, for the slopes as well.
Tensor weighted(const Tensor& weights, const Tensor& values) {
  const Tensor is_out = logical_and(equal(weights, 0), is_infinity(values));
  return weights * select(is_out, 0, values);
}

Tensor Loss::reduced(const Tensor& losses, const std::optional<Tensor>& weights,
                     Reduction reduction) const {
  if (!weights) return reduced(losses, reduction);
  require_same("weights", *weights, "losses", losses);
  return reduced(weighted(real(*weights), losses), reduction);
}

// The absolute value with the slope 0 at 0.
Tensor magnitude(const Tensor& x) { return x * sign(x); }

Tensor sum_along(const Tensor& x, std::int64_t axis) { return sum(x, {.axes = Axes{axis}}); }

// The slope of a root at 0 would be infinite.
Tensor root(const Tensor& x, std::int64_t degree) {
  const Tensor is_zero = equal(x, 0);
  const Tensor inside = select(is_zero, 1, x);
  if (degree == 1) return x;
  const Tensor roots = degree == 2 ? sqrt(inside) : pow(inside, 1.0 / static_cast<double>(degree));
  return select(is_zero, 0, roots);
}

Tensor power_sum(const Tensor& x, std::int64_t p, std::int64_t axis) {
  if (p == 1) return sum_along(magnitude(x), axis);
  return sum_along(p == 2 ? x * x : pow(magnitude(x), static_cast<double>(p)), axis);
}

// The elements of `x` at each target's class.
Tensor at_classes(const Loss& loss, const Tensor& x, const Tensor& classes, std::int64_t axis) {
  const std::size_t position = loss.axis_of(x, axis);
  Shape wanted;
  for (std::size_t i = 0; i < x.rank(); ++i) {
    if (i != position) wanted.push_back(x.shape()[i]);
  }
  if (classes.shape() != wanted)
    loss.refuse("targets", classes, "inputs", x,
                "classes have the shape " + to_string(wanted) + ", probabilities that of inputs");
  const auto known = static_cast<std::int64_t>(position);
  const Tensor picked = take_along_axis(x, new_axis(classes, known), {.axis = known});
  return squeeze(picked, {.axes = Axes{known}});
}

}  // namespace

Reduction reduction_called(std::string_view name) {
  if (name == "none") return Reduction::kNone;
  if (name == "mean") return Reduction::kMean;
  if (name == "sum") return Reduction::kSum;
  throw ArgumentError("[reduction] there is no reduction " + std::string(name) +
                      "; it is none, mean or sum");
}

Tensor cross_entropy(const Tensor& logits, const Tensor& targets,
                     const CrossEntropyOptions& options) {
  const Loss loss("cross_entropy", {logits});
  if (!(options.label_smoothing >= 0 && options.label_smoothing < 1))
    throw ArgumentError("[cross_entropy] label_smoothing is in [0, 1), got " +
                        std::to_string(options.label_smoothing));
  const auto axis = static_cast<std::int64_t>(loss.axis_of(logits, options.axis));
  const bool are_probabilities = targets.rank() == logits.rank();
  if (are_probabilities) loss.require_same("targets", targets, "logits", logits);
  const Tensor x = Loss::real(logits);
  const ReductionOptions kept{.axes = Axes{axis}, .keep_axes = true};
  const Tensor scores = x - stop_gradient(reduce_max(x, kept));
  const Tensor reached = are_probabilities ? sum_along(weighted(Loss::real(targets), scores), axis)
                                           : at_classes(loss, scores, targets, axis);
  Tensor losses = log(sum_along(exp(scores), axis));
  if (options.label_smoothing > 0) {
    const auto classes = static_cast<double>(logits.shape()[static_cast<std::size_t>(axis)]);
    losses = losses - reached * (1 - options.label_smoothing) -
             sum_along(scores, axis) * (options.label_smoothing / classes);
  } else {
    losses = losses - reached;
  }
  return loss.reduced(losses, options.weights, options.reduction);
}

Tensor binary_cross_entropy(const Tensor& inputs, const Tensor& targets,
                            const BinaryCrossEntropyOptions& options) {
  const Loss loss("binary_cross_entropy", {inputs});
  loss.require_same("inputs", inputs, "targets", targets);
  const Tensor x = Loss::real(inputs);
  const Tensor wanted = Loss::real(targets);
  if (options.with_logits) {
    const Tensor is_positive = greater(x, 0);
    const Tensor straight = weighted(as_type(is_positive, x.dtype()) - wanted, x);
    return loss.reduced(straight + log1p(exp(select(is_positive, -x, x))), options.weights,
                        options.reduction);
  }
  const auto held_log = [](const Tensor& p) {
    constexpr double kLeast = -100;
    const Tensor is_held = less_equal(abs(p), std::exp(kLeast));
    return select(is_held, kLeast, log(select(is_held, 1, p)));
  };
  const Tensor losses = -(wanted * held_log(x) + (1 - wanted) * held_log(1 - x));
  return loss.reduced(losses, options.weights, options.reduction);
}

Tensor l1_loss(const Tensor& predictions, const Tensor& targets, Reduction reduction) {
  const Loss loss("l1_loss", {predictions, targets});
  loss.require_same("predictions", predictions, "targets", targets);
  return loss.reduced(magnitude(Loss::wide(predictions) - Loss::wide(targets)), reduction);
}

Tensor mse_loss(const Tensor& predictions, const Tensor& targets, Reduction reduction) {
  const Loss loss("mse_loss", {predictions, targets});
  loss.require_same("predictions", predictions, "targets", targets);
  const Tensor difference = Loss::wide(predictions) - Loss::wide(targets);
  return loss.reduced(difference * difference, reduction);
}

Tensor nll_loss(const Tensor& inputs, const Tensor& targets, std::int64_t axis,
                Reduction reduction) {
  const Loss loss("nll_loss", {inputs});
  return loss.reduced(-at_classes(loss, Loss::real(inputs), targets, axis), reduction);
}

Tensor gaussian_nll_loss(const Tensor& inputs, const Tensor& targets, const Tensor& vars,
                         const GaussianNllOptions& options) {
  const Loss loss("gaussian_nll_loss", {inputs, targets, vars});
  loss.require_same("inputs", inputs, "targets", targets);
  loss.require_same("inputs", inputs, "vars", vars);
  const Tensor variance = max(Loss::real(vars), options.eps);
  const Tensor difference = Loss::real(targets) - Loss::real(inputs);
  const Tensor losses = (log(variance) + difference * difference / variance) * 0.5;
  const double constant = options.full ? 0.5 * std::log(2 * std::numbers::pi) : 0;
  return loss.reduced(options.full ? losses + constant : losses, options.reduction);
}

Tensor kl_div_loss(const Tensor& inputs, const Tensor& targets, std::int64_t axis,
                   Reduction reduction) {
  const Loss loss("kl_div_loss", {inputs, targets});
  loss.require_same("inputs", inputs, "targets", targets);
  loss.axis_of(inputs, axis);
  const Tensor wanted = Loss::real(targets);
  const Tensor given = Loss::real(inputs);
  const Tensor powers = exp(wanted);
  // Infinity less infinity would be no number.
  const Tensor is_out = logical_and(equal(powers, 0), is_infinity(given));
  const Tensor difference = wanted - select(is_out, 0, given);
  return loss.reduced(sum_along(weighted(powers, difference), axis), reduction);
}

Tensor smooth_l1_loss(const Tensor& predictions, const Tensor& targets, double beta,
                      Reduction reduction) {
  const Loss loss("smooth_l1_loss", {predictions, targets});
  loss.require_same("predictions", predictions, "targets", targets);
  const Tensor size = magnitude(Loss::real(predictions) - Loss::real(targets));
  const Tensor straight = size - 0.5 * beta;
  if (!(beta > 0)) return loss.reduced(straight, reduction);
  const Tensor is_near = less(size, beta);
  const Tensor near = select(is_near, size, 0);
  return loss.reduced(select(is_near, near * near * (0.5 / beta), straight), reduction);
}

Tensor triplet_loss(const Tensor& anchors, const Tensor& positives, const Tensor& negatives,
                    const TripletOptions& options) {
  const Loss loss("triplet_loss", {anchors, positives, negatives});
  if (options.p < 1)
    throw ArgumentError("[triplet_loss] p is at least 1, got " + std::to_string(options.p));
  const Tensor x = Loss::real(anchors);
  const auto distance = [&](const Tensor& to) {
    const Tensor difference = x - Loss::real(to);
    loss.axis_of(difference, options.axis);
    return root(power_sum(difference, options.p, options.axis) + options.eps, options.p);
  };
  return loss.reduced(relu(distance(positives) - distance(negatives) + options.margin),
                      options.reduction);
}

Tensor hinge_loss(const Tensor& inputs, const Tensor& targets, Reduction reduction) {
  const Loss loss("hinge_loss", {inputs, targets});
  return loss.reduced(relu(1 - Loss::wide(inputs) * Loss::wide(targets)), reduction);
}

Tensor huber_loss(const Tensor& inputs, const Tensor& targets, double delta, Reduction reduction) {
  const Loss loss("huber_loss", {inputs, targets});
  const Tensor size = magnitude(Loss::real(inputs) - Loss::real(targets));
  const Tensor curved = min(size, delta);
  return loss.reduced(curved * curved * 0.5 + (size - curved) * delta, reduction);
}

Tensor log_cosh_loss(const Tensor& inputs, const Tensor& targets, Reduction reduction) {
  const Loss loss("log_cosh_loss", {inputs, targets});
  const Tensor error = Loss::real(inputs) - Loss::real(targets);
  const Tensor is_near = less(abs(error), 1);
  const Tensor half = sinh(select(is_near, error, 0) * 0.5);
  const Tensor size = select(is_near, 1, magnitude(error));
  const Tensor far = size + (log1p(exp(size * -2)) - std::numbers::ln2);
  return loss.reduced(select(is_near, log1p(half * half * 2), far), reduction);
}

Tensor cosine_similarity_loss(const Tensor& x1, const Tensor& x2,
                              const CosineSimilarityOptions& options) {
  const Loss loss("cosine_similarity_loss", {x1, x2});
  const Tensor a = Loss::real(x1);
  const Tensor b = Loss::real(x2);
  const Tensor products = a * b;
  const auto rank = static_cast<std::int64_t>(products.rank());
  const auto axis = static_cast<std::int64_t>(loss.axis_of(products, options.axis));
  // The same axis in operands of lower rank, which broadcast.
  const auto norm = [&](const Tensor& x) {
    return root(power_sum(broadcast(x, products.shape()), 2, axis - rank), 2);
  };
  return loss.reduced(sum_along(products, axis) / max(norm(a) * norm(b), options.eps),
                      options.reduction);
}

Tensor margin_ranking_loss(const Tensor& inputs1, const Tensor& inputs2, const Tensor& targets,
                           double margin, Reduction reduction) {
  const Loss loss("margin_ranking_loss", {inputs1, inputs2, targets});
  loss.require_same("inputs1", inputs1, "inputs2", inputs2);
  loss.require_same("inputs1", inputs1, "targets", targets);
  const Tensor difference = Loss::real(inputs1) - Loss::real(inputs2);
  return loss.reduced(relu(margin - Loss::real(targets) * difference), reduction);
}

namespace {

using ops::AttrDef;
using ops::AttrKind;

constexpr OperandDef kTwo[] = {{"inputs"}, {"targets"}};
constexpr OperandDef kPredictions[] = {{"predictions"}, {"targets"}};
constexpr OperandDef kLogits[] = {{"logits"}, {"targets"}, {"weights", true}};
constexpr OperandDef kWeighted[] = {{"inputs"}, {"targets"}, {"weights", true}};
constexpr OperandDef kVars[] = {{"inputs"}, {"targets"}, {"vars"}};
constexpr OperandDef kTriplet[] = {{"anchors"}, {"positives"}, {"negatives"}};
constexpr OperandDef kVectors[] = {{"x1"}, {"x2"}};
constexpr OperandDef kRanked[] = {{"inputs1"}, {"inputs2"}, {"targets"}};

AttrDef real(std::string_view name, double value) { return {name, AttrKind::kFloat, value}; }
AttrDef whole(std::string_view name, std::int64_t value) { return {name, AttrKind::kInt, value}; }
AttrDef flag(std::string_view name, bool value) { return {name, AttrKind::kBool, value}; }
const AttrDef kNone{"reduction", AttrKind::kString, std::string("none")};
const AttrDef kMean{"reduction", AttrKind::kString, std::string("mean")};

const AttrDef kJustNone[] = {kNone};
const AttrDef kJustMean[] = {kMean};
const AttrDef kCrossEntropy[] = {whole("axis", -1), real("label_smoothing", 0), kNone};
const AttrDef kBinaryCrossEntropy[] = {flag("with_logits", true), kMean};
const AttrDef kAlong[] = {whole("axis", -1), kNone};
const AttrDef kGaussian[] = {flag("full", false), real("eps", 1e-6), kMean};
const AttrDef kBeta[] = {real("beta", 1), kMean};
const AttrDef kDeltaOption[] = {real("delta", 1), kNone};
const AttrDef kDistances[] = {whole("axis", -1), whole("p", 2), real("margin", 1),
                              real("eps", 1e-6), kNone};
const AttrDef kCosine[] = {whole("axis", 1), real("eps", 1e-8), kNone};
const AttrDef kMargin[] = {real("margin", 0), kNone};

Reduction reduction_of(const FunctionCall& call) {
  return reduction_called(call.option<std::string>("reduction"));
}
double number(const FunctionCall& call, std::string_view name) { return call.option<double>(name); }
std::int64_t integer(const FunctionCall& call, std::string_view name) {
  return call.option<std::int64_t>(name);
}

template <Tensor (*function)(const Tensor&, const Tensor&, Reduction)>
std::vector<Tensor> of_two(const FunctionCall& call) {
  return {function(call[0], call[1], reduction_of(call))};
}
template <Tensor (*function)(const Tensor&, const Tensor&, double, Reduction), const auto& schema>
std::vector<Tensor> with_number(const FunctionCall& call) {
  return {function(call[0], call[1], number(call, schema[0].name), reduction_of(call))};
}
template <Tensor (*function)(const Tensor&, const Tensor&, std::int64_t, Reduction)>
std::vector<Tensor> along_axis(const FunctionCall& call) {
  return {function(call[0], call[1], integer(call, "axis"), reduction_of(call))};
}

std::vector<Tensor> call_cross_entropy(const FunctionCall& call) {
  return {cross_entropy(call[0], call[1],
                        {call.optional(2), integer(call, "axis"), number(call, "label_smoothing"),
                         reduction_of(call)})};
}
std::vector<Tensor> call_binary_cross_entropy(const FunctionCall& call) {
  return {binary_cross_entropy(
      call[0], call[1], {call.optional(2), call.option<bool>("with_logits"), reduction_of(call)})};
}
std::vector<Tensor> call_gaussian_nll(const FunctionCall& call) {
  return {gaussian_nll_loss(call[0], call[1], call[2],
                            {call.option<bool>("full"), number(call, "eps"), reduction_of(call)})};
}
std::vector<Tensor> call_triplet(const FunctionCall& call) {
  return {triplet_loss(call[0], call[1], call[2],
                       {integer(call, "axis"), integer(call, "p"), number(call, "margin"),
                        number(call, "eps"), reduction_of(call)})};
}
std::vector<Tensor> call_cosine(const FunctionCall& call) {
  return {cosine_similarity_loss(call[0], call[1],
                                 {integer(call, "axis"), number(call, "eps"), reduction_of(call)})};
}
std::vector<Tensor> call_margin_ranking(const FunctionCall& call) {
  return {
      margin_ranking_loss(call[0], call[1], call[2], number(call, "margin"), reduction_of(call))};
}

constexpr Family kLoss = Family::kLoss;
const FunctionDef kLosses[] = {
    {"binary_cross_entropy", kLoss, kWeighted, kBinaryCrossEntropy, &call_binary_cross_entropy},
    {"cosine_similarity_loss", kLoss, kVectors, kCosine, &call_cosine},
    {"cross_entropy", kLoss, kLogits, kCrossEntropy, &call_cross_entropy},
    {"gaussian_nll_loss", kLoss, kVars, kGaussian, &call_gaussian_nll},
    {"hinge_loss", kLoss, kTwo, kJustNone, &of_two<&hinge_loss>},
    {"huber_loss", kLoss, kTwo, kDeltaOption, &with_number<&huber_loss, kDeltaOption>},
    {"kl_div_loss", kLoss, kTwo, kAlong, &along_axis<&kl_div_loss>},
    {"l1_loss", kLoss, kPredictions, kJustMean, &of_two<&l1_loss>},
    {"log_cosh_loss", kLoss, kTwo, kJustNone, &of_two<&log_cosh_loss>},
    {"margin_ranking_loss", kLoss, kRanked, kMargin, &call_margin_ranking},
    {"mse_loss", kLoss, kPredictions, kJustMean, &of_two<&mse_loss>},
    {"nll_loss", kLoss, kTwo, kAlong, &along_axis<&nll_loss>},
    {"smooth_l1_loss", kLoss, kPredictions, kBeta, &with_number<&smooth_l1_loss, kBeta>},
    {"triplet_loss", kLoss, kTriplet, kDistances, &call_triplet},
};

}  // namespace

std::span<const FunctionDef> loss_functions() { return kLosses; }

}  // namespace mlxnx::nn
