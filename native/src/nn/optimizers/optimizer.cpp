#include "mlxnx/optimizers/optimizer.h"

#include <set>
#include <utility>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"
#include "nn/optimizers/rule.h"

namespace mlxnx::optimizers {
namespace {

const std::string kStep = "step";
const std::string kLearningRate = "learning_rate";

std::string below(const std::string& parameter, std::string_view slot) {
  return parameter.empty() ? std::string(slot) : parameter + "." + std::string(slot);
}

Tensor cast(const Tensor& x, DType type) { return x.dtype() == type ? x : as_type(x, type); }

// The rule for each parameter that the state knows.
class ByRule final : public Method {
 public:
  explicit ByRule(Rule rule) : rule_(std::move(rule)) {}

  std::string_view name() const override { return rule_.name; }

  State init(const nn::NamedTensors& parameters) const override {
    State state;
    state.emplace(kStep, constant(std::int64_t{0}, DType::u64));
    if (rule_.learning_rate) state.emplace(kLearningRate, rule_.learning_rate->at(state.at(kStep)));
    for (const auto& [name, parameter] : parameters) {
      for (const Slot& slot : rule_.slots(parameter)) {
        state.emplace(below(name, slot.name),
                      constant(std::int64_t{0}, parameter.dtype(), slot.shape));
      }
    }
    return state;
  }

  Updated update(const std::vector<Tensor>& gradients, const State& state,
                 const nn::NamedTensors& parameters) const override {
    Updated updated;
    std::set<std::string> used{kStep};
    const Tensor& before = entry(state, kStep);
    const Tensor after = before + 1;
    updated.state.emplace(kStep, after);
    std::optional<Tensor> rate;
    if (rule_.learning_rate) {
      const Tensor& kept = entry(state, kLearningRate);
      rate = rule_.learning_rate->is_schedule() ? rule_.learning_rate->at(before) : kept;
      updated.state.emplace(kLearningRate, *rate);
      used.insert(kLearningRate);
    }
    const Tensor step = as_type(after, DType::f32);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const auto& [name, parameter] = parameters[i];
      auto slots = read_slots(state, name, parameter, used);
      if (slots.empty()) {
        updated.parameters.push_back(parameter);
        continue;
      }
      if (gradients[i].shape() != parameter.shape())
        throw ShapeError("[" + std::string(rule_.name) + "] the gradient of " + name + " is " +
                         to_string(gradients[i].type()) + ", the parameter " +
                         to_string(parameter.type()));
      const Tensor next = rule_.update({gradients[i], parameter, slots, step, rate});
      updated.parameters.push_back(cast(next, parameter.dtype()));
      for (const auto& [slot, tensor] : slots)
        updated.state.emplace(below(name, slot), cast(tensor, state.at(below(name, slot)).dtype()));
    }
    require_all_used(state, used);
    return updated;
  }

 private:
  const Tensor& entry(const State& state, const std::string& name) const {
    const auto found = state.find(name);
    if (found != state.end()) return found->second;
    refuse(rule_.name, "the state has no " + name + ": make it by init");
  }

  // What the state holds for a parameter: nothing where that has no part in it.
  std::map<std::string_view, Tensor> read_slots(const State& state, const std::string& name,
                                                const Tensor& parameter,
                                                std::set<std::string>& used) const {
    std::map<std::string_view, Tensor> read;
    const std::vector<Slot> wanted = rule_.slots(parameter);
    for (const Slot& slot : wanted) {
      const auto found = state.find(below(name, slot.name));
      if (found == state.end()) continue;
      if (found->second.shape() != slot.shape)
        throw ShapeError("[" + std::string(rule_.name) + "] the state's " + found->first + " is " +
                         to_string(found->second.type()) + ", for " + to_string(parameter.type()) +
                         " it has the shape " + to_string(slot.shape));
      used.insert(found->first);
      read.emplace(slot.name, found->second);
    }
    if (!read.empty() && read.size() != wanted.size())
      refuse(rule_.name, "the state holds a part only of what belongs to " + name);
    return read;
  }

  void require_all_used(const State& state, const std::set<std::string>& used) const {
    if (state.size() == used.size()) return;
    constexpr std::size_t kMostNamed = 10;
    std::string names;
    std::size_t count = 0;
    for (const auto& [name, tensor] : state) {
      if (used.contains(name) || ++count > kMostNamed) continue;
      names += (count == 1 ? "" : ", ") + name;
    }
    if (count > kMostNamed) names += " and " + std::to_string(count - kMostNamed) + " more";
    refuse(rule_.name, "the state is not of these parameters: none of them has " + names);
  }

  Rule rule_;
};

}  // namespace

Tensor LearningRate::at(const Tensor& step) const {
  return schedule_ ? cast(schedule_(step), DType::f32) : Tensor(value_);
}

Tensor Single::rate() const { return cast(learning_rate.value(), gradient.dtype()); }

Optimizer rule_optimizer(Rule rule) { return Optimizer(std::make_shared<ByRule>(std::move(rule))); }

State Optimizer::init_named(const nn::NamedTensors& parameters,
                            const nn::NamePredicate& trainable) const {
  const nn::NamePredicate is_meant = nn::trainable(trainable);
  nn::NamedTensors taking_part;
  for (const auto& named : parameters) {
    if (is_float(named.second.dtype()) && is_meant(named.first)) taking_part.push_back(named);
  }
  return method_->init(taking_part);
}

Method::Updated Optimizer::update_named(const std::vector<Tensor>& gradients, const State& state,
                                        const nn::NamedTensors& parameters) const {
  if (gradients.size() != parameters.size())
    refuse(name(), std::to_string(gradients.size()) + " gradients for " +
                       std::to_string(parameters.size()) + " parameters");
  return method_->update(gradients, state, parameters);
}

}  // namespace mlxnx::optimizers
