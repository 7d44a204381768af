#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "files/json_values.h"
#include "mlxnx/error.h"
#include "mlxnx/optimizers.h"
#include "nn/function.h"
#include "nn/optimizers/optimizer_def.h"
#include "program/attrs_json.h"
#include "replay/nn.h"

namespace mlxnx::cli {
namespace {

using nlohmann::json;
using optimizers::Optimizer;

optimizers::ScheduleSpec schedule_spec(const std::string& name, json args) {
  optimizers::ScheduleSpec spec{.name = name, .options = {}};
  if (name != "join_schedules") {
    spec.options =
        program::attrs_from_json(args, nn::function(nn::Family::kSchedule, name).options);
    return spec;
  }
  for (const json& part : args.at("schedules"))
    spec.schedules.push_back(schedule_spec(part.at("name"), part.at("args")));
  spec.boundaries = args.at("boundaries").get<std::vector<std::int64_t>>();
  return spec;
}

Optimizer read_optimizer(const std::string& name, json args);

optimizers::Filter read_filter(const json& filter) {
  if (filter.contains("ndim_at_least")) {
    const auto least = filter.at("ndim_at_least").get<std::size_t>();
    return [least](std::string_view, const Tensor& x) { return x.rank() >= least; };
  }
  return [part = filter.at("name_contains").get<std::string>()](
             std::string_view name, const Tensor&) { return name.find(part) != name.npos; };
}

Optimizer read_multi_optimizer(const json& args) {
  std::vector<Optimizer> parts;
  std::vector<optimizers::Filter> filters;
  for (const json& part : args.at("optimizers"))
    parts.push_back(read_optimizer(part.at("name"), part.at("args")));
  for (const json& filter : args.at("filters")) filters.push_back(read_filter(filter));
  return optimizers::MultiOptimizer(std::move(parts), std::move(filters));
}

Optimizer read_optimizer(const std::string& name, json args) {
  if (name == "multi_optimizer") return read_multi_optimizer(args);
  std::optional<optimizers::Schedule> schedule;
  const auto rate = args.find("learning_rate");
  if (rate != args.end() && rate->is_object()) {
    schedule = optimizers::make_schedule(schedule_spec(rate->at("name"), rate->at("args")));
    args.erase(rate);
  }
  const optimizers::OptimizerDef& row = optimizers::optimizer(name);
  return optimizers::make(row, program::attrs_from_json(args, row.options), schedule);
}

nn::NamedTensors named(const GoldenTree& tree, const RunOptions& options) {
  nn::NamedTensors tensors;
  for (const auto& [name, tensor] : tree) tensors.emplace_back(name, tensor_of(tensor, options));
  return tensors;
}

std::vector<Tensor> tensors_in(const GoldenTree& tree, const RunOptions& options) {
  std::vector<Tensor> tensors;
  for (const auto& [name, tensor] : named(tree, options)) tensors.push_back(tensor);
  return tensors;
}

void judge_clipping(const GoldenCase& golden, const RunOptions& options, NnJudge& judge) {
  const GoldenNn& nn = *golden.nn;
  const auto [clipped, norm] = optimizers::clip_grad_norm(
      tensors_in(nn.parameters, options), golden.attrs.at("max_norm").get<double>());
  judge.outputs({norm});
  std::size_t next = 0;
  for (const auto& [name, wanted] : nn.clipped) judge.value(name, wanted, clipped.at(next++));
}

}  // namespace

void run_nn_optimizer(const GoldenCase& golden, const RunOptions& options, NnJudge& judge) {
  const GoldenNn& nn = *golden.nn;
  if (nn.name == "clip_grad_norm") return judge_clipping(golden, options, judge);
  const Optimizer optimizer = read_optimizer(nn.name, golden.attrs);
  nn::NamedTensors parameters = named(nn.parameters, options);
  optimizers::State state = optimizer.init_named(parameters);
  for (std::size_t i = 0; i < nn.steps.size(); ++i) {
    auto updated =
        optimizer.update_named(tensors_in(nn.gradients.at(i), options), state, parameters);
    state = std::move(updated.state);
    for (std::size_t k = 0; k < parameters.size(); ++k) {
      parameters[k].second = updated.parameters[k];
      const auto& name = parameters[k].first;
      judge.gradient(fmt::format("{} after step {}", name, i + 1), nn.steps[i].at(name),
                     parameters[k].second);
    }
  }
  for (const auto& [name, tensor] : state) {
    const auto wanted = nn.state.find(name);
    if (wanted == nn.state.end()) {
      judge.fail(fmt::format("the state has {}, which was not recorded", name));
    } else {
      judge.gradient("the state's " + name, wanted->second, tensor);
    }
  }
  if (state.size() < nn.state.size())
    judge.fail(fmt::format("the state has {} tensors, expected {}", state.size(), nn.state.size()));
}

void run_nn_schedule(const GoldenCase& golden, const RunOptions& options, NnJudge& judge) {
  const GoldenNn& nn = *golden.nn;
  const optimizers::Schedule schedule =
      optimizers::make_schedule(schedule_spec(nn.name, golden.attrs));
  judge.outputs({schedule(tensor_of(nn.inputs.at(0).value(), options))});
}

}  // namespace mlxnx::cli
