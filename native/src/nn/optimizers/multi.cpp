#include <memory>
#include <string>
#include <utility>

#include "mlxnx/error.h"
#include "mlxnx/optimizers/methods.h"

namespace mlxnx::optimizers {
namespace {

std::string prefix(std::size_t i) { return "states." + std::to_string(i) + "."; }

class Shared final : public Method {
 public:
  Shared(std::vector<Optimizer> optimizers, std::vector<Filter> filters)
      : optimizers_(std::move(optimizers)), filters_(std::move(filters)) {
    if (optimizers_.size() != filters_.size() + 1)
      throw ArgumentError("[multi_optimizer] " + std::to_string(optimizers_.size()) +
                          " optimizers take a filter less than that, got " +
                          std::to_string(filters_.size()));
  }

  std::string_view name() const override { return "multi_optimizer"; }

  State init(const nn::NamedTensors& parameters) const override {
    std::vector<nn::NamedTensors> parts(optimizers_.size());
    for (const auto& named : parameters) parts[owner_of(named)].push_back(named);
    State state;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      for (auto& [name, tensor] : optimizers_[i].init_named(parts[i]))
        state.emplace(prefix(i) + name, std::move(tensor));
    }
    return state;
  }

  Updated update(const std::vector<Tensor>& gradients, const State& state,
                 const nn::NamedTensors& parameters) const override {
    Updated updated;
    std::vector<std::vector<std::size_t>> places(optimizers_.size());
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      places[owner_of(parameters[i])].push_back(i);
      updated.parameters.push_back(parameters[i].second);
    }
    std::size_t states_used = 0;
    for (std::size_t i = 0; i < optimizers_.size(); ++i) {
      const State own = part_of(state, prefix(i));
      states_used += own.size();
      std::vector<Tensor> some_gradients;
      nn::NamedTensors some_parameters;
      for (const std::size_t place : places[i]) {
        some_gradients.push_back(gradients[place]);
        some_parameters.push_back(parameters[place]);
      }
      Updated part = optimizers_[i].update_named(some_gradients, own, some_parameters);
      for (std::size_t k = 0; k < places[i].size(); ++k)
        updated.parameters[places[i][k]] = std::move(part.parameters[k]);
      for (auto& [name, tensor] : part.state)
        updated.state.emplace(prefix(i) + name, std::move(tensor));
    }
    if (states_used != state.size())
      throw ArgumentError("[multi_optimizer] the state is not of these " +
                          std::to_string(optimizers_.size()) + " optimizers: make it by init");
    return updated;
  }

 private:
  std::size_t owner_of(const std::pair<std::string, Tensor>& named) const {
    for (std::size_t i = 0; i < filters_.size(); ++i) {
      if (filters_[i](named.first, named.second)) return i;
    }
    return filters_.size();
  }

  static State part_of(const State& state, const std::string& prefix) {
    State part;
    for (auto entry = state.lower_bound(prefix);
         entry != state.end() && entry->first.starts_with(prefix); ++entry)
      part.emplace(entry->first.substr(prefix.size()), entry->second);
    return part;
  }

  std::vector<Optimizer> optimizers_;
  std::vector<Filter> filters_;
};

}  // namespace

MultiOptimizer::MultiOptimizer(std::vector<Optimizer> optimizers, std::vector<Filter> filters)
    : Optimizer(std::make_shared<Shared>(std::move(optimizers), std::move(filters))) {}

}  // namespace mlxnx::optimizers
