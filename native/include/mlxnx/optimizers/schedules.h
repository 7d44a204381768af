// Learning rates that change with the step, by the names of mlx.optimizers.
//
// A schedule is a function of the step, a tensor of any integer type (or of several steps at once),
// and answers f32. It is made of ops, so that it can be compiled with the step of training.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "mlxnx/tensor.h"

namespace mlxnx::optimizers {

using Schedule = std::function<Tensor(const Tensor& step)>;

/// `init` times `decay_rate` to the power of the step. mlx: optimizers.exponential_decay
///
///     exponential_decay(0.1, 0.5)(Tensor(2));  // 0.025
Schedule exponential_decay(double init, double decay_rate);

/// `init`, multiplied by `decay_rate` after every `step_size` steps. Throws: ArgumentError for a
/// size below 1. mlx: optimizers.step_decay
///
///     step_decay(0.1, 0.5, 10)(Tensor(19));  // 0.05
Schedule step_decay(double init, double decay_rate, std::int64_t step_size);

/// From `init` to `end` in `decay_steps` steps along half a wave of the cosine, then constant.
/// Throws: ArgumentError for less than one step. mlx: optimizers.cosine_decay
///
///     cosine_decay(0.1, 10)(Tensor(5));  // 0.05
Schedule cosine_decay(double init, std::int64_t decay_steps, double end = 0.0);

/// From `init` to `end` in `steps` steps on a straight line, then constant. Throws: ArgumentError
/// for less than one step. mlx: optimizers.linear_schedule
///
///     linear_schedule(0.0, 0.1, 10)(Tensor(5));  // 0.05
Schedule linear_schedule(double init, double end, std::int64_t steps);

/// One schedule after another: each begins at its boundary and counts steps from there.
/// Throws: ArgumentError unless there is one boundary less than schedules, and one of these.
/// mlx: optimizers.join_schedules
///
///     join_schedules({linear_schedule(0.0, 0.1, 10), cosine_decay(0.1, 90)}, {10});
Schedule join_schedules(std::vector<Schedule> schedules, std::vector<std::int64_t> boundaries);

}  // namespace mlxnx::optimizers
