// `while_reverse` made ready to run: a loop that keeps what its tape says of its iterations, and
// then goes back through them.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "program/loop_plan.h"

namespace mlxnx::program {

class ReverseLoop {
 public:
  explicit ReverseLoop(const Instruction& instruction);

  /// What a loop has left for the way back.
  struct Recording {
    std::size_t iterations = 0;
    std::size_t stride = 1;  ///< iterations from one kept state to the next
    std::vector<std::vector<mlxc::Array>> states = {};  ///< before iterations 0, stride, …
  };

  /// As `RegionPlan::run`. Returns: the carried tensors.
  std::vector<mlxc::Array> run(RunState& state, std::span<const mlxc::Array> operands) const;

  /// The way there, for an equal `while`; `operands` are its. Returns: the final state.
  std::vector<mlxc::Array> record(RunState& state, std::span<const mlxc::Array> operands,
                                  Recording& recording) const;
  /// The way back. What the recording holds is gone afterwards.
  std::vector<mlxc::Array> back(RunState& state, std::span<const mlxc::Array> operands,
                                Recording& recording) const;

  bool pays_at_once() const { return loop_.pays_at_once() && back_.pays_at_once(); }

 private:
  using Arrays = std::vector<mlxc::Array>;

  LoopPlan loop_;
  RegionPlan back_;
  std::size_t carried_;
  Tape tape_;
};

}  // namespace mlxnx::program
