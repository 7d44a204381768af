#include "mlxnx/optimizers/schedules.h"

#include <cmath>
#include <numbers>
#include <string>
#include <utility>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"
#include "nn/function.h"
#include "nn/optimizers/optimizer_def.h"

namespace mlxnx::optimizers {
namespace {

Tensor in_f32(const Tensor& x) { return as_type(x, DType::f32); }

void require_positive(std::int64_t steps, std::string_view name, std::string_view owner) {
  if (steps >= 1) return;
  throw ArgumentError("[" + std::string(owner) + "] " + std::string(name) +
                      " has to be at least 1, got " + std::to_string(steps));
}

// As many steps as there are, and no more than `most`.
Tensor held(const Tensor& step, std::int64_t most) {
  return min(in_f32(step), static_cast<double>(most));
}

}  // namespace

Schedule exponential_decay(double init, double decay_rate) {
  return [=](const Tensor& step) { return pow(Tensor(decay_rate), in_f32(step)) * init; };
}

Schedule step_decay(double init, double decay_rate, std::int64_t step_size) {
  require_positive(step_size, "step_size", "step_decay");
  return [=](const Tensor& step) {
    return pow(Tensor(decay_rate), in_f32(quotient(step, step_size))) * init;
  };
}

Schedule cosine_decay(double init, std::int64_t decay_steps, double end) {
  require_positive(decay_steps, "decay_steps", "cosine_decay");
  return [=](const Tensor& step) {
    const double turn = std::numbers::pi / static_cast<double>(decay_steps);
    const Tensor share = (cos(held(step, decay_steps) * turn) + 1) * 0.5;
    return share * (init - end) + end;
  };
}

Schedule linear_schedule(double init, double end, std::int64_t steps) {
  require_positive(steps, "steps", "linear_schedule");
  return [=](const Tensor& step) {
    return held(step, steps) * ((end - init) / static_cast<double>(steps)) + init;
  };
}

Schedule join_schedules(std::vector<Schedule> schedules, std::vector<std::int64_t> boundaries) {
  if (schedules.empty()) throw ArgumentError("[join_schedules] needs a schedule to join");
  if (schedules.size() != boundaries.size() + 1)
    throw ArgumentError("[join_schedules] " + std::to_string(schedules.size()) +
                        " schedules take " + std::to_string(schedules.size() - 1) +
                        " boundaries, got " + std::to_string(boundaries.size()));
  return
      [schedules = std::move(schedules), boundaries = std::move(boundaries)](const Tensor& step) {
        Tensor rate = schedules.front()(step);
        for (std::size_t i = 0; i < boundaries.size(); ++i) {
          // The steps of unsigned numbers before the boundary would be many.
          const Tensor since = max(step, boundaries[i]) - boundaries[i];
          rate = select(less(step, boundaries[i]), rate, schedules[i + 1](since));
        }
        return rate;
      };
}

namespace {

using nn::FunctionCall;
using nn::FunctionDef;
using ops::AttrDef;
using ops::AttrKind;

constexpr nn::OperandDef kStepOperand[] = {{"step"}};
const AttrDef kInit{"init", AttrKind::kFloat};
const AttrDef kDecayRate{"decay_rate", AttrKind::kFloat};
const AttrDef kExponential[] = {kInit, kDecayRate};
const AttrDef kStairs[] = {kInit, kDecayRate, {"step_size", AttrKind::kInt}};
const AttrDef kCosine[] = {kInit, {"decay_steps", AttrKind::kInt}, {"end", AttrKind::kFloat, 0.0}};
const AttrDef kLinear[] = {kInit, {"end", AttrKind::kFloat}, {"steps", AttrKind::kInt}};

// The schedule that each row stands for.
Schedule make_exponential(const ops::Attrs& options) {
  return exponential_decay(options.get<double>("init"), options.get<double>("decay_rate"));
}
Schedule make_stairs(const ops::Attrs& options) {
  return step_decay(options.get<double>("init"), options.get<double>("decay_rate"),
                    options.get<std::int64_t>("step_size"));
}
Schedule make_cosine(const ops::Attrs& options) {
  return cosine_decay(options.get<double>("init"), options.get<std::int64_t>("decay_steps"),
                      options.get<double>("end"));
}
Schedule make_linear(const ops::Attrs& options) {
  return linear_schedule(options.get<double>("init"), options.get<double>("end"),
                         options.get<std::int64_t>("steps"));
}

template <Schedule (*make)(const ops::Attrs&)>
std::vector<Tensor> at_step(const FunctionCall& call) {
  return {make(call.options())(call[0])};
}

constexpr nn::Family kSchedule = nn::Family::kSchedule;
const FunctionDef kSchedules[] = {
    {"cosine_decay", kSchedule, kStepOperand, kCosine, &at_step<&make_cosine>},
    {"exponential_decay", kSchedule, kStepOperand, kExponential, &at_step<&make_exponential>},
    {"linear_schedule", kSchedule, kStepOperand, kLinear, &at_step<&make_linear>},
    {"step_decay", kSchedule, kStepOperand, kStairs, &at_step<&make_stairs>},
};

}  // namespace

Schedule make_schedule(const ScheduleSpec& spec) {
  if (spec.name == "join_schedules") {
    std::vector<Schedule> parts;
    for (const ScheduleSpec& part : spec.schedules) parts.push_back(make_schedule(part));
    return join_schedules(std::move(parts), spec.boundaries);
  }
  const FunctionDef& row = nn::function(kSchedule, spec.name);
  const ops::Attrs options = nn::complete(spec.options, row.options, row.name);
  // What a schedule refuses it refuses here rather than at its first step.
  const auto at = [&row, options](const Tensor& step) {
    const std::vector<std::optional<Tensor>> operands{step};
    return nn::call(row, operands, options).front();
  };
  at(Tensor(0));
  return at;
}

}  // namespace mlxnx::optimizers

namespace mlxnx::nn {

std::span<const FunctionDef> schedule_functions() { return optimizers::kSchedules; }

}  // namespace mlxnx::nn
