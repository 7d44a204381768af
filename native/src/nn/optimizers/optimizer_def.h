// OptimizerDef: an optimizer under its name, for those who know only names: `mlxnx replay` and
// Elixir. C++ uses the classes. Read next: methods.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mlxnx/optimizers/optimizer.h"
#include "mlxnx/optimizers/schedules.h"
#include "ops/attrs.h"

namespace mlxnx::optimizers {

/// A schedule by its name: a row of Family::kSchedule, or "join_schedules" of others.
struct ScheduleSpec {
  std::string name;
  ops::Attrs options;
  std::vector<ScheduleSpec> schedules = {};
  std::vector<std::int64_t> boundaries = {};
};

/// Throws: UnsupportedError for an unknown name; ArgumentError for options that it does not take.
Schedule make_schedule(const ScheduleSpec& spec);

struct OptimizerDef {
  std::string_view name;  ///< that of MLX, in snake case
  std::span<const ops::AttrDef> options;
  Optimizer (*make)(const OptimizerDef& row, const ops::Attrs& options,
                    const std::optional<LearningRate>& rate);
};

/// All rows: every optimizer but MultiOptimizer, which is made of others.
std::span<const OptimizerDef> all_optimizers();

/// The row of that name. Throws: UnsupportedError when there is none.
const OptimizerDef& optimizer(std::string_view name);

/// The optimizer of these options; `schedule`, where given, is its learning rate.
/// Throws: ArgumentError for an unknown option, one that is missing or of the wrong kind, and
/// values that the optimizer does not take.
Optimizer make(const OptimizerDef& row, const ops::Attrs& options,
               const std::optional<Schedule>& schedule = std::nullopt);

}  // namespace mlxnx::optimizers
