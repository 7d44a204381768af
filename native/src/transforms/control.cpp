#include "transforms/control.h"

#include <algorithm>

#include "mlxnx/error.h"
#include "program/trace.h"
#include "transforms/algebra.h"
#include "transforms/interpret.h"

namespace mlxnx::transforms {

using program::Instruction;
using program::Region;
using program::Trace;
using program::ValueId;

namespace {

using Tensors = std::vector<Tensor>;

Tensors joined(std::span<const Tensor> first, std::span<const Tensor> second) {
  Tensors all(first.begin(), first.end());
  all.insert(all.end(), second.begin(), second.end());
  return all;
}

std::vector<bool> is_there(std::span<const Linear> tangents) {
  std::vector<bool> result;
  for (const Linear& tangent : tangents) result.push_back(tangent.has_value());
  return result;
}

Tensor or_zeros(const Linear& tangent, const TensorType& value) {
  return tangent ? *tangent : zeros(program::cotangent_type(value));
}

// Which outputs of a region may depend on its active inputs.
std::vector<bool> reached(const Region& region, std::vector<bool> is_active) {
  for (const Instruction& instruction : region.instructions) {
    const bool reaches = passes_tangents(instruction) &&
                         std::any_of(instruction.operands.begin(), instruction.operands.end(),
                                     [&](ValueId id) { return is_active[id]; });
    is_active.resize(is_active.size() + instruction.outputs.size(), reaches);
  }
  std::vector<bool> result;
  for (const ValueId id : region.outputs) result.push_back(is_active[id]);
  return result;
}

Tensors run_here(const Region& region, std::span<const Tensor> inputs) {
  return Trace::current()->record_program(region, inputs);
}

// The tangents that are there, out of a list that follows `values`.
Linears spread(const std::vector<bool>& is_active, std::span<const Tensor> active) {
  Linears result(is_active.size());
  std::size_t next = 0;
  for (std::size_t i = 0; i < is_active.size(); ++i) {
    if (is_active[i]) result[i] = active[next++];
  }
  return result;
}

// Operands of a loop.
struct Loop {
  explicit Loop(const Instruction& instruction, std::span<const Tensor> operands)
      : condition(*instruction.regions[0]),
        body(*instruction.regions[1]),
        initial(operands.first(body.outputs.size())),
        captures(operands.subspan(body.outputs.size())) {}
  const Region& condition;
  const Region& body;
  std::span<const Tensor> initial, captures;

  Tensor holds(std::span<const Tensor> state) const {
    return run_here(condition, joined(state, captures)).front();
  }
  // What in the state depends on active operands, after any number of iterations.
  std::vector<bool> active_state(const std::vector<bool>& is_active) const {
    std::vector<bool> all = is_active;
    while (true) {
      const std::vector<bool> next = reached(body, all);
      bool grows = false;
      for (std::size_t i = 0; i < next.size(); ++i) {
        grows |= next[i] && !all[i];
        all[i] = all[i] || next[i];
      }
      if (!grows) return {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(next.size())};
    }
  }
};

}  // namespace

Duals push_through_while(const Instruction& instruction, std::span<const Tensor> operands,
                         std::span<const Linear> tangents) {
  const Loop loop(instruction, operands);
  const std::size_t count = loop.initial.size();
  const std::vector<bool> is_active = loop.active_state(is_there(tangents));
  Tensors initial(loop.initial.begin(), loop.initial.end());
  for (std::size_t i = 0; i < count; ++i) {
    if (is_active[i]) initial.push_back(or_zeros(tangents[i], loop.initial[i].type()));
  }
  const Tensors results = Trace::current()->record_while(
      initial,
      [&](const Tensors& state) { return Tensors{loop.holds(std::span(state).first(count))}; },
      [&](const Tensors& state) {
        const std::span<const Tensor> all(state);
        Linears moving = spread(is_active, all.subspan(count));
        moving.insert(moving.end(), tangents.begin() + static_cast<std::ptrdiff_t>(count),
                      tangents.end());
        const Duals duals =
            push_forward(loop.body, joined(all.first(count), loop.captures), std::move(moving));
        Tensors next = duals.values;
        for (std::size_t i = 0; i < count; ++i) {
          if (is_active[i]) next.push_back(or_zeros(duals.tangents[i], all[i].type()));
        }
        return next;
      });
  const std::span<const Tensor> all(results);
  return {{all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count)},
          spread(is_active, all.subspan(count))};
}

// By running the loop again up to each iteration.
Linears while_cotangents(const Application& call, std::span<const Linear> cotangents,
                         const std::vector<bool>& wanted) {
  const Loop loop(call.instruction, call.in);
  const std::size_t count = loop.initial.size();
  const std::vector<bool> is_active = loop.active_state(wanted);
  std::vector<bool> moving = is_active;
  moving.insert(moving.end(), wanted.begin() + static_cast<std::ptrdiff_t>(count), wanted.end());
  Trace& trace = *Trace::current();
  const auto step = [&](std::span<const Tensor> state) {
    return run_here(loop.body, joined(state, loop.captures));
  };
  // The number of iterations goes first in the state.
  Tensors counted = joined(Tensors{constant(std::int64_t{0}, DType::s32)}, loop.initial);
  const Tensor iterations = trace.record_while(
      counted,
      [&](const Tensors& state) { return Tensors{loop.holds(std::span(state).subspan(1))}; },
      [&](const Tensors& state) {
        return joined(Tensors{state[0] + 1}, step(std::span(state).subspan(1)));
      })[0];
  // From the last one back: cotangents of the active state, and sums for active captures.
  Tensors initial{iterations};
  for (std::size_t i = 0; i < moving.size(); ++i) {
    if (moving[i])
      initial.push_back(or_zeros(i < count ? cotangents[i] : std::nullopt, call.in[i].type()));
  }
  const Tensors results = trace.record_while(
      initial, [](const Tensors& state) { return Tensors{state[0] > 0}; },
      [&](const Tensors& state) {
        const Tensor before = state[0] - 1;
        const Tensors at = Trace::current()->record_while(
            counted, [&](const Tensors& again) { return Tensors{again[0] < before}; },
            [&](const Tensors& again) {
              return joined(Tensors{again[0] + 1}, step(std::span(again).subspan(1)));
            });
        const Pullback pullback(loop.body, joined(std::span(at).subspan(1), loop.captures), moving,
                                Hooks::kLeaveOut);
        const Linears running = spread(moving, std::span(state).subspan(1));
        const Linears reached =
            pullback({running.begin(), running.begin() + static_cast<std::ptrdiff_t>(count)});
        Tensors next{before};
        for (std::size_t i = 0; i < moving.size(); ++i) {
          if (!moving[i]) continue;
          const Linear sum = i < count ? reached[i] : plus(running[i], reached[i]);
          next.push_back(or_zeros(sum, call.in[i].type()));
        }
        return next;
      });
  Linears all = spread(moving, std::span(results).subspan(1));
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!wanted[i]) all[i].reset();
  }
  return all;
}

namespace {

// The instruction with other branches, which take the captures and `further` tensors.
Tensors branch(const Instruction& instruction, std::span<const Tensor> operands,
               std::span<const Tensor> further, std::vector<RegionPtr> branches) {
  Instruction copy = instruction;
  copy.regions = std::move(branches);
  copy.outputs = copy.regions.front()->output_types();
  return emit(copy, joined(operands, further));
}

}  // namespace

Duals push_through_cond(const Instruction& instruction, std::span<const Tensor> operands,
                        std::span<const Linear> tangents) {
  const std::size_t predicates = instruction.predicates;
  const std::size_t captures = operands.size() - predicates;
  const std::vector<bool> is_active = is_there(tangents.subspan(predicates));
  Tensors moving;
  for (const Linear& tangent : tangents.subspan(predicates)) {
    if (tangent) moving.push_back(*tangent);
  }
  std::vector<bool> is_reached(instruction.outputs.size());
  for (const RegionPtr& region : instruction.regions) {
    const std::vector<bool> by_this = reached(*region, is_active);
    for (std::size_t i = 0; i < by_this.size(); ++i) is_reached[i] = is_reached[i] || by_this[i];
  }
  const std::vector<TensorType> types =
      types_of(joined(operands.subspan(predicates), std::span<const Tensor>(moving)));
  std::vector<RegionPtr> branches;
  for (const RegionPtr& region : instruction.regions) {
    branches.push_back(region_of(types, [&](const Tensors& inputs) {
      const std::span<const Tensor> all(inputs);
      Duals duals =
          push_forward(*region, {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(captures)},
                       spread(is_active, all.subspan(captures)));
      for (std::size_t i = 0; i < is_reached.size(); ++i) {
        if (is_reached[i])
          duals.values.push_back(or_zeros(duals.tangents[i], duals.values[i].type()));
      }
      return duals.values;
    }));
  }
  const Tensors results = branch(instruction, operands, moving, std::move(branches));
  const std::span<const Tensor> all(results);
  const std::size_t count = instruction.outputs.size();
  return {{all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count)},
          spread(is_reached, all.subspan(count))};
}

Linears cond_cotangents(const Application& call, std::span<const Linear> cotangents,
                        const std::vector<bool>& wanted) {
  const std::size_t predicates = call.instruction.predicates;
  const std::vector<bool> of_captures(wanted.begin() + static_cast<std::ptrdiff_t>(predicates),
                                      wanted.end());
  const std::size_t captures = of_captures.size();
  Linears results(call.in.size());
  if (std::find(of_captures.begin(), of_captures.end(), true) == of_captures.end()) return results;
  const std::vector<bool> is_there_too = is_there(cotangents);
  Tensors given;
  for (const Linear& cotangent : cotangents) {
    if (cotangent) given.push_back(*cotangent);
  }
  const std::vector<TensorType> types =
      types_of(joined(call.in.subspan(predicates), std::span<const Tensor>(given)));
  std::vector<RegionPtr> branches;
  for (const RegionPtr& region : call.instruction.regions) {
    branches.push_back(region_of(types, [&](const Tensors& inputs) {
      const std::span<const Tensor> all(inputs);
      const Pullback pullback(*region,
                              {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(captures)},
                              of_captures, Hooks::kLeaveOut);
      const Linears back = pullback(spread(is_there_too, all.subspan(captures)));
      Tensors outputs;
      for (std::size_t i = 0; i < captures; ++i) {
        if (of_captures[i]) outputs.push_back(or_zeros(back[i], all[i].type()));
      }
      return outputs;
    }));
  }
  const Tensors back = branch(call.instruction, call.in, given, std::move(branches));
  const Linears all = spread(of_captures, back);
  std::copy(all.begin(), all.end(), results.begin() + static_cast<std::ptrdiff_t>(predicates));
  return results;
}

Linears custom_cotangents(const Application& call, std::span<const Linear> cotangents,
                          const std::vector<bool>& wanted) {
  const Instruction& instruction = call.instruction;
  const std::size_t values = instruction.values;
  Linears results(call.in.size());
  const bool is_wanted = std::find(wanted.begin() + static_cast<std::ptrdiff_t>(values),
                                   wanted.end(), true) != wanted.end();
  if (instruction.regions.empty() || instruction.regions.front() == nullptr) {
    if (is_wanted) throw UnsupportedError("[custom_vjp] " + instruction.callback);
    return results;
  }
  const Region& backward = *instruction.regions.front();
  const std::size_t inputs = backward.outputs.size();
  Tensors arguments;
  for (std::size_t i = 0; i < values; ++i)
    arguments.push_back(or_zeros(cotangents[i], call.in[i].type()));
  const Tensors back = run_here(backward, joined(arguments, call.in.subspan(values + inputs)));
  for (std::size_t i = 0; i < inputs; ++i) {
    if (wanted[values + i]) results[values + i] = conform(back[i], call.in[values + i].type());
  }
  return results;
}

}  // namespace mlxnx::transforms
