#include "program/reverse_loop.h"

#include <algorithm>
#include <utility>

#include "mlxc/evaluate.h"
#include "program/control.h"

namespace mlxnx::program {

using mlxc::Array;

ReverseLoop::ReverseLoop(const Instruction& instruction)
    : loop_(instruction.regions[0], instruction.regions[1]),
      back_(instruction.regions[2]),
      carried_(instruction.values),
      tape_(instruction.tape) {}

std::vector<Array> ReverseLoop::run(RunState& state, std::span<const Array> operands) const {
  Recording recording;
  record(state, operands.first(operands.size() - carried_), recording);
  return back(state, operands, recording);
}

std::vector<Array> ReverseLoop::record(RunState& state, std::span<const Array> operands,
                                       Recording& recording) const {
  auto& [iterations, stride, states] = recording;
  const auto keep = [&](std::span<const Array> before) {
    states.emplace_back(before.begin(), before.end());
  };
  return loop_.run_noting(state, operands, [&](std::span<const Array> before) {
    const std::size_t number = iterations++;
    if (tape_ == Tape::kAll || number == 0) return keep(before);
    if (tape_ == Tape::kRecompute) {
      stride = iterations + 1;
      return;
    }
    if (number % stride != 0) return;
    // Iterations are built faster than they are computed, and each that is under way holds memory:
    // who wants to save it must not run ahead.
    compute_pending(before);
    keep(before);
    // Between one and two times as many states as iterations between them: every second goes.
    if (states.size() <= 2 * stride) return;
    for (std::size_t i = 1; 2 * i < states.size(); ++i) states[i] = std::move(states[2 * i]);
    states.resize((states.size() + 1) / 2);
    stride *= 2;
  });
}

std::vector<Array> ReverseLoop::back(RunState& state, std::span<const Array> operands,
                                     Recording& recording) const {
  const auto count = static_cast<std::ptrdiff_t>(loop_.states());
  const auto captures =
      operands.subspan(loop_.states(), operands.size() - carried_ - loop_.states());
  Arrays carried(operands.end() - static_cast<std::ptrdiff_t>(carried_), operands.end());
  const auto with_captures = [&](std::span<const Array> states) {
    Arrays values(states.begin(), states.end());
    values.insert(values.end(), captures.begin(), captures.end());
    return values;
  };
  const auto go_back = [&](std::span<const Array> before) {
    Arrays inputs = with_captures(before);
    inputs.insert(inputs.end(), carried.begin(), carried.end());
    carried = back_.run(state, inputs);
    state.after_iteration(carried);
  };
  std::size_t end = recording.iterations;
  while (!recording.states.empty()) {
    const std::size_t begin = (recording.states.size() - 1) * recording.stride;
    const Arrays first = std::move(recording.states.back());
    recording.states.pop_back();
    if (tape_ == Tape::kRecompute) {
      for (; end > begin; --end) {
        Arrays values = with_captures(first);
        loop_.advance(state, values, end - 1 - begin);
        go_back(std::span(values).first(loop_.states()));
      }
      break;
    }
    std::vector<Arrays> piece{first};
    Arrays values = with_captures(first);
    while (begin + piece.size() < end) {
      loop_.advance(state, values, 1);
      piece.emplace_back(values.begin(), values.begin() + count);
    }
    for (; !piece.empty(); piece.pop_back()) go_back(piece.back());
    if (tape_ != Tape::kAll) compute_pending(carried);
    end = begin;
  }
  return carried;
}

}  // namespace mlxnx::program
