// Loops differentiated: while, and while_reverse, the way back that gradients hold.
#include <algorithm>

#include "program/trace.h"
#include "transforms/algebra.h"
#include "transforms/cleanup.h"
#include "transforms/control.h"
#include "transforms/interpret.h"
#include "transforms/parts.h"

namespace mlxnx::transforms {

using program::Instruction;
using program::InstructionKind;
using program::Region;
using program::Trace;

thread_local Tape TapeScope::current_ = Tape::kAll;

namespace {

// Operands of a loop, or anything in their order. A while carries nothing back.
template <typename T>
struct Parts {
  Parts(const Instruction& instruction, std::span<const T> all)
      : state(all.first(instruction.regions[1]->outputs.size())),
        captures(all.subspan(state.size(), all.size() - state.size() - instruction.values)),
        carried(all.last(instruction.values)) {}
  std::span<const T> state, captures, carried;
};

// The instruction by loops: one counts the iterations; one goes back through them, and runs the
// first again for each.
Tensors by_loops(const Instruction& instruction, std::span<const Tensor> operands) {
  const Parts<Tensor> parts(instruction, operands);
  const Region& condition = *instruction.regions[0];
  const Region& body = *instruction.regions[1];
  const Region& back = *instruction.regions[2];
  Trace& trace = *Trace::current();
  const auto with_captures = [&](std::span<const Tensor> state) {
    return joined(state, parts.captures);
  };
  // The number of iterations goes first in the state.
  const Tensors counted = joined(Tensors{constant(std::int64_t{0}, DType::s32)}, parts.state);
  const auto step = [&](const Tensors& state) {
    return joined(Tensors{state[0] + 1},
                  run_here(body, with_captures(std::span(state).subspan(1))));
  };
  const Tensor iterations = trace.record_while(
      counted,
      [&](const Tensors& state) {
        return run_here(condition, with_captures(std::span(state).subspan(1)));
      },
      step)[0];
  Tensors results = trace.record_while(
      joined(Tensors{iterations}, parts.carried),
      [](const Tensors& state) { return Tensors{state[0] > 0}; },
      [&](const Tensors& state) {
        const Tensor before = state[0] - 1;
        const Tensors at = Trace::current()->record_while(
            counted, [&](const Tensors& again) { return Tensors{again[0] < before}; }, step);
        const Tensors inputs =
            joined(with_captures(std::span(at).subspan(1)), std::span(state).subspan(1));
        return joined(Tensors{before}, run_here(back, inputs));
      });
  results.erase(results.begin());
  return results;
}

template <typename T>
std::vector<T> chained(std::initializer_list<std::span<const T>> parts) {
  std::vector<T> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// The three parts of a loop's operands as pairs.
struct LoopPairs {
  Pairs state, captures, carried;

  LoopPairs(const Instruction& loop, std::span<const Linear> tangents) {
    const std::vector<bool> moving = around(loop, is_there(tangents), reached);
    auto part = [begin = moving.begin()](std::size_t count) mutable {
      const auto first = std::exchange(begin, begin + static_cast<std::ptrdiff_t>(count));
      return Pairs{{first, begin}};
    };
    const Parts<Linear> parts(loop, tangents);
    state = part(parts.state.size());
    captures = part(parts.captures.size());
    carried = part(parts.carried.size());
  }

  // What a region of the loop answers for inputs that are such pairs; the body's have nothing that
  // is carried.
  Duals push(const Region& region, std::span<const Tensor> in) const {
    const auto of_state = in.first(state.size());
    const auto of_captures = in.subspan(state.size(), captures.size());
    const auto of_carried = in.subspan(state.size() + captures.size());
    const Pairs rest = of_carried.empty() ? Pairs{} : carried;
    const Linears a = state.tangents(of_state), b = captures.tangents(of_captures),
                  c = rest.tangents(of_carried);
    return push_forward(region,
                        chained<Tensor>({state.values(of_state), captures.values(of_captures),
                                         rest.values(of_carried)}),
                        chained<Linear>({a, b, c}));
  }
};

}  // namespace

Duals push_through_loop(const Instruction& instruction, std::span<const Tensor> operands,
                        std::span<const Linear> tangents) {
  const LoopPairs pairs(instruction, tangents);
  const Parts<Tensor> values(instruction, operands);
  const Parts<Linear> given(instruction, tangents);
  const Tensors first = pairs.state.pack(values.state, given.state);
  const Tensors there = joined(first, pairs.captures.pack(values.captures, given.captures));
  const Tensors last = pairs.carried.pack(values.carried, given.carried);
  const Tensors all = joined(there, last);
  const bool is_reverse = instruction.kind == InstructionKind::kWhileReverse;
  Instruction copy = instruction;
  copy.values = static_cast<std::uint32_t>(last.size());
  copy.outputs = program::OutputTypes(types_of(is_reverse ? last : first));
  copy.regions[0] = region_of(types_of(there), [&](const Tensors& in) {
    return run_here(*instruction.regions[0],
                    joined(pairs.state.values(in),
                           pairs.captures.values(std::span(in).subspan(pairs.state.size()))));
  });
  copy.regions[1] = region_of(types_of(there), [&](const Tensors& in) {
    const Duals duals = pairs.push(*instruction.regions[1], in);
    return pairs.state.pack(duals.values, duals.tangents);
  });
  if (is_reverse) {
    copy.regions[2] = region_of(types_of(all), [&](const Tensors& in) {
      const Duals duals = pairs.push(*instruction.regions[2], in);
      return pairs.carried.pack(duals.values, duals.tangents);
    });
  }
  const Tensors results = emit(copy, all);
  const Pairs& answer = is_reverse ? pairs.carried : pairs.state;
  const std::span<const Tensor> of_values = answer.values(results);
  return {{of_values.begin(), of_values.end()}, answer.tangents(results)};
}

// The cotangents of the active state are carried back, and sums for active captures.
Linears while_cotangents(const Application& call, std::span<const Linear> cotangents,
                         const std::vector<bool>& wanted) {
  const std::size_t count = call.out.size();
  const std::vector<bool> moving = around(call.instruction, wanted, reached);
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
    const Linears led_back = Pullback(*body, before, moving)(
        {running.begin(), running.begin() + static_cast<std::ptrdiff_t>(count)});
    Tensors next;
    for (std::size_t i = 0; i < moving.size(); ++i) {
      if (!moving[i]) continue;
      const Linear sum = i < count ? led_back[i] : plus(running[i], led_back[i]);
      next.push_back(or_zeros(sum, call.in[i].type()));
    }
    return next;
  });
  Instruction reverse;
  reverse.kind = InstructionKind::kWhileReverse;
  reverse.values = static_cast<std::uint32_t>(carried.size());
  reverse.tape = TapeScope::current();
  reverse.regions = {silent(call.instruction.regions[0]), body, back};
  reverse.outputs = program::OutputTypes(types_of(carried));
  all = spread(moving, emit(reverse, operands));
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!wanted[i]) all[i].reset();
  }
  return all;
}

Linears while_reverse_cotangents(const Application& call, std::span<const Linear> cotangents,
                                 const std::vector<bool>& wanted) {
  const RegionPtr region = region_of(
      types_of(call.in), [&](const Tensors& inputs) { return by_loops(call.instruction, inputs); });
  return Pullback(*region, {call.in.begin(), call.in.end()},
                  wanted)({cotangents.begin(), cotangents.end()});
}

}  // namespace mlxnx::transforms
