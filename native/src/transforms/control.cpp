#include "transforms/control.h"

#include <algorithm>

#include "mlxnx/error.h"
#include "program/trace.h"
#include "transforms/algebra.h"
#include "transforms/cleanup.h"
#include "transforms/interpret.h"
#include "transforms/parts.h"

namespace mlxnx::transforms {

using program::Instruction;
using program::InstructionKind;
using program::Region;
using program::Trace;
using program::ValueId;

namespace {

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

// The cotangents of the active state are carried back, and sums for active captures.
Linears while_cotangents(const Application& call, std::span<const Linear> cotangents,
                         const std::vector<bool>& wanted) {
  const Loop loop(call.instruction, call.in);
  const std::size_t count = loop.initial.size();
  std::vector<bool> moving = loop.active_state(wanted);
  moving.insert(moving.end(), wanted.begin() + static_cast<std::ptrdiff_t>(count), wanted.end());
  Tensors carried;
  for (std::size_t i = 0; i < moving.size(); ++i) {
    if (moving[i])
      carried.push_back(or_zeros(i < count ? cotangents[i] : std::nullopt, call.in[i].type()));
  }
  Linears all(call.in.size());
  if (carried.empty()) return all;
  const Tensors operands = joined(call.in, carried);
  const RegionPtr body = silent(call.instruction.regions[1]);
  const RegionPtr back = region_of(types_of(operands), [&](const Tensors& inputs) {
    const std::span<const Tensor> values(inputs);
    const Tensors before(values.begin(),
                         values.begin() + static_cast<std::ptrdiff_t>(call.in.size()));
    const Linears running = spread(moving, values.subspan(call.in.size()));
    const Linears reached = Pullback(*body, before, moving)(
        {running.begin(), running.begin() + static_cast<std::ptrdiff_t>(count)});
    Tensors next;
    for (std::size_t i = 0; i < moving.size(); ++i) {
      if (!moving[i]) continue;
      const Linear sum = i < count ? reached[i] : plus(running[i], reached[i]);
      next.push_back(or_zeros(sum, call.in[i].type()));
    }
    return next;
  });
  Instruction reverse;
  reverse.kind = InstructionKind::kWhileReverse;
  reverse.values = static_cast<std::uint32_t>(carried.size());
  reverse.tape = TapeScope::current();
  reverse.regions = {silent(call.instruction.regions[0]), body, back};
  reverse.outputs = types_of(carried);
  all = spread(moving, emit(reverse, operands));
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!wanted[i]) all[i].reset();
  }
  return all;
}

namespace {

// The instruction with other regions, which take `further` tensors too.
Tensors emit_with(const Instruction& instruction, std::span<const Tensor> operands,
                  std::span<const Tensor> further, std::vector<RegionPtr> regions) {
  Instruction copy = instruction;
  copy.regions = std::move(regions);
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
  const Tensors results = emit_with(instruction, operands, moving, std::move(branches));
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
    branches.push_back(region_of(types, [&, quiet = silent(region)](const Tensors& inputs) {
      const std::span<const Tensor> all(inputs);
      const Pullback pullback(
          *quiet, {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(captures)}, of_captures);
      const Linears back = pullback(spread(is_there_too, all.subspan(captures)));
      Tensors outputs;
      for (std::size_t i = 0; i < captures; ++i) {
        if (of_captures[i]) outputs.push_back(or_zeros(back[i], all[i].type()));
      }
      return outputs;
    }));
  }
  const Tensors back = emit_with(call.instruction, call.in, given, std::move(branches));
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
