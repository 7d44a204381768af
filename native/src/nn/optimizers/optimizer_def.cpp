#include "nn/optimizers/optimizer_def.h"

#include <algorithm>

#include "mlxnx/error.h"
#include "mlxnx/optimizers/methods.h"
#include "nn/function.h"
#include "nn/options.h"

namespace mlxnx::nn::options {

// The number that it begins as; a schedule is given beside the options.
template <>
struct Kind<optimizers::LearningRate> : KindOf<ops::AttrKind::kFloat, double> {};

}  // namespace mlxnx::nn::options

namespace mlxnx::optimizers {
namespace {

template <typename Class>
Optimizer make_one(const OptimizerDef& row, const ops::Attrs& given,
                   const std::optional<LearningRate>& rate) {
  auto options = nn::options_from<typename Class::Options>(given, row.name);
  if (rate) options.learning_rate = rate;
  return Class(options);
}

template <typename Class>
OptimizerDef row(std::string_view name) {
  return {name, nn::schema_of<typename Class::Options>(), &make_one<Class>};
}

const std::vector<OptimizerDef>& rows() {
  // Never destroyed: other threads may be making optimizers while the process exits.
  static const auto* const all =
      new std::vector<OptimizerDef>{row<AdaDelta>("adadelta"), row<Adafactor>("adafactor"),
                                    row<Adagrad>("adagrad"),   row<Adam>("adam"),
                                    row<Adamax>("adamax"),     row<AdamW>("adamw"),
                                    row<Lion>("lion"),         row<Muon>("muon"),
                                    row<RMSprop>("rmsprop"),   row<SGD>("sgd")};
  return *all;
}

}  // namespace

std::span<const OptimizerDef> all_optimizers() { return rows(); }

const OptimizerDef& optimizer(std::string_view name) {
  const auto found = std::find_if(rows().begin(), rows().end(),
                                  [&](const OptimizerDef& row) { return row.name == name; });
  if (found != rows().end()) return *found;
  throw UnsupportedError("[" + std::string(name) + "] there is no such optimizer");
}

Optimizer make(const OptimizerDef& row, const ops::Attrs& options,
               const std::optional<Schedule>& schedule) {
  const ops::Attrs complete = nn::complete(options, row.options, row.name);
  return row.make(row, complete, schedule ? std::optional(LearningRate(*schedule)) : std::nullopt);
}

}  // namespace mlxnx::optimizers
