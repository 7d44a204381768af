// Pieces and loops with a way back, as gradients hold them, differentiated once more.
#include <algorithm>

#include "program/trace.h"
#include "transforms/algebra.h"
#include "transforms/cleanup.h"
#include "transforms/control.h"
#include "transforms/interpret.h"
#include "transforms/parts.h"

namespace mlxnx::transforms {

using program::Instruction;
using program::Region;
using program::Trace;

thread_local Tape TapeScope::current_ = Tape::kAll;

namespace {

// Operands of a while_reverse, or anything in their order.
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

// Which of the state, and of what is carried, may move when some operands do.
std::vector<bool> all_moving(const Instruction& instruction, std::vector<bool> moving) {
  const Region& body = *instruction.regions[1];
  const Region& back = *instruction.regions[2];
  const std::size_t count = body.outputs.size();
  const std::size_t known = moving.size() - instruction.values;
  while (true) {
    const std::vector<bool> before = moving;
    const std::vector<bool> state =
        reached(body, {moving.begin(), moving.begin() + static_cast<std::ptrdiff_t>(known)});
    for (std::size_t i = 0; i < count; ++i) moving[i] = moving[i] || state[i];
    const std::vector<bool> carried = reached(back, moving);
    for (std::size_t i = 0; i < carried.size(); ++i)
      moving[known + i] = moving[known + i] || carried[i];
    if (moving == before) return moving;
  }
}

// Values, and behind them the tangents of those that move.
struct Pairs {
  std::vector<bool> moving;

  std::size_t size() const {
    return moving.size() + static_cast<std::size_t>(std::count(moving.begin(), moving.end(), true));
  }
  std::span<const Tensor> values(std::span<const Tensor> all) const {
    return all.first(moving.size());
  }
  Linears tangents(std::span<const Tensor> all) const {
    return spread(moving, all.subspan(moving.size(), size() - moving.size()));
  }
  Tensors pack(std::span<const Tensor> of_values, std::span<const Linear> of_tangents) const {
    Tensors all(of_values.begin(), of_values.end());
    for (std::size_t i = 0; i < moving.size(); ++i) {
      if (moving[i]) all.push_back(or_zeros(of_tangents[i], of_values[i].type()));
    }
    return all;
  }
};

template <typename T>
std::vector<T> chained(std::initializer_list<std::span<const T>> parts) {
  std::vector<T> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace

Duals push_through_while_reverse(const Instruction& instruction, std::span<const Tensor> operands,
                                 std::span<const Linear> tangents) {
  const std::vector<bool> moving = all_moving(instruction, is_there(tangents));
  const Parts<Tensor> values(instruction, operands);
  const Parts<Linear> given(instruction, tangents);
  const auto part = [&](std::size_t begin, std::size_t count) {
    const auto first = moving.begin() + static_cast<std::ptrdiff_t>(begin);
    return Pairs{{first, first + static_cast<std::ptrdiff_t>(count)}};
  };
  const Pairs state = part(0, values.state.size());
  const Pairs captures = part(values.state.size(), values.captures.size());
  const Pairs carried = part(operands.size() - instruction.values, instruction.values);
  const Tensors first = state.pack(values.state, given.state);
  const Tensors between = captures.pack(values.captures, given.captures);
  const Tensors last = carried.pack(values.carried, given.carried);
  const Tensors there = joined(first, between), all = joined(there, last);

  // Inputs of the new regions as values and tangents of the old ones.
  const auto of_state = [&](std::span<const Tensor> in) { return in.first(state.size()); };
  const auto of_captures = [&](std::span<const Tensor> in) {
    return in.subspan(state.size(), captures.size());
  };
  Instruction copy = instruction;
  copy.values = static_cast<std::uint32_t>(carried.size());
  copy.outputs = types_of(last);
  copy.regions[0] = region_of(types_of(there), [&](const Tensors& in) {
    return run_here(*instruction.regions[0],
                    joined(state.values(of_state(in)), captures.values(of_captures(in))));
  });
  copy.regions[1] = region_of(types_of(there), [&](const Tensors& in) {
    const Linears of_state_tangents = state.tangents(of_state(in));
    const Linears of_capture_tangents = captures.tangents(of_captures(in));
    const Duals duals =
        push_forward(*instruction.regions[1],
                     joined(state.values(of_state(in)), captures.values(of_captures(in))),
                     chained<Linear>({of_state_tangents, of_capture_tangents}));
    return state.pack(duals.values, duals.tangents);
  });
  copy.regions[2] = region_of(types_of(all), [&](const Tensors& in) {
    const std::span<const Tensor> of_carried = std::span(in).subspan(there.size());
    const Linears a = state.tangents(of_state(in)), b = captures.tangents(of_captures(in)),
                  c = carried.tangents(of_carried);
    const Duals duals =
        push_forward(*instruction.regions[2],
                     chained<Tensor>({state.values(of_state(in)), captures.values(of_captures(in)),
                                      carried.values(of_carried)}),
                     chained<Linear>({a, b, c}));
    return carried.pack(duals.values, duals.tangents);
  });
  const Tensors results = emit(copy, all);
  const std::span<const Tensor> answer = carried.values(results);
  return {{answer.begin(), answer.end()}, carried.tangents(results)};
}

Linears while_reverse_cotangents(const Application& call, std::span<const Linear> cotangents,
                                 const std::vector<bool>& wanted) {
  const RegionPtr region = region_of(
      types_of(call.in), [&](const Tensors& inputs) { return by_loops(call.instruction, inputs); });
  return Pullback(*region, {call.in.begin(), call.in.end()},
                  wanted)({cotangents.begin(), cotangents.end()});
}

Duals push_through_checkpoint(const Instruction& instruction, std::span<const Tensor> operands,
                              std::span<const Linear> tangents) {
  const RegionPtr& piece = instruction.regions.front();
  const Pairs inputs{is_there(tangents)};
  const Pairs outputs{reached(*piece, inputs.moving)};
  const Tensors all = inputs.pack(operands, tangents);
  Instruction copy = instruction;
  copy.regions = {region_of(types_of(all), [&](const Tensors& in) {
    const std::span<const Tensor> values = inputs.values(in);
    const Duals duals = push_forward(*piece, {values.begin(), values.end()}, inputs.tangents(in));
    return outputs.pack(duals.values, duals.tangents);
  })};
  copy.outputs = copy.regions.front()->output_types();
  const Tensors results = emit(copy, all);
  const std::span<const Tensor> values = outputs.values(results);
  return {{values.begin(), values.end()}, outputs.tangents(results)};
}

// The piece runs again, and its pullback with it, as one: nothing of it is kept until then.
Linears checkpoint_cotangents(const Application& call, std::span<const Linear> cotangents,
                              const std::vector<bool>& wanted) {
  const RegionPtr piece = silent(call.instruction.regions.front());
  const std::vector<bool> given = is_there(cotangents);
  Tensors all(call.in.begin(), call.in.end());
  for (const Linear& cotangent : cotangents) {
    if (cotangent) all.push_back(*cotangent);
  }
  Instruction copy = call.instruction;
  copy.regions = {region_of(types_of(all), [&](const Tensors& in) {
    const std::span<const Tensor> inputs = std::span(in).first(call.in.size());
    const Linears back = Pullback(*piece, {inputs.begin(), inputs.end()},
                                  wanted)(spread(given, std::span(in).subspan(call.in.size())));
    Tensors outputs;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (wanted[i]) outputs.push_back(or_zeros(back[i], call.in[i].type()));
    }
    return outputs;
  })};
  copy.outputs = copy.regions.front()->output_types();
  return spread(wanted, emit(copy, all));
}

}  // namespace mlxnx::transforms
