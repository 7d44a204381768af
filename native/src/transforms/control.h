// Loops, branches and custom gradients differentiated.
#pragma once

#include <utility>

#include "transforms/apply.h"

namespace mlxnx::transforms {

/// A loop over pairs: the tangents go round with the state.
Duals push_through_while(const program::Instruction& instruction, std::span<const Tensor> operands,
                         std::span<const Linear> tangents);
/// The branch taken, with tangents.
Duals push_through_cond(const program::Instruction& instruction, std::span<const Tensor> operands,
                        std::span<const Linear> tangents);

/// A loop that goes back through the iterations.
Linears while_cotangents(const Application& call, std::span<const Linear> cotangents,
                         const std::vector<bool>& wanted);
/// The pullback of the branch taken.
Linears cond_cotangents(const Application& call, std::span<const Linear> cotangents,
                        const std::vector<bool>& wanted);
/// What the function itself says; throws UnsupportedError with its reason where it refuses.
Linears custom_cotangents(const Application& call, std::span<const Linear> cotangents,
                          const std::vector<bool>& wanted);

/// A piece that is computed as a whole: with tangents, and again where its cotangents lead back.
Duals push_through_checkpoint(const program::Instruction& instruction,
                              std::span<const Tensor> operands, std::span<const Linear> tangents);
Linears checkpoint_cotangents(const Application& call, std::span<const Linear> cotangents,
                              const std::vector<bool>& wanted);

/// A loop with its way back, over pairs.
Duals push_through_while_reverse(const program::Instruction& instruction,
                                 std::span<const Tensor> operands,
                                 std::span<const Linear> tangents);
/// By loops that run anew up to each iteration.
Linears while_reverse_cotangents(const Application& call, std::span<const Linear> cotangents,
                                 const std::vector<bool>& wanted);

/// What loops keep for their way back where this thread makes it.
class TapeScope {
 public:
  explicit TapeScope(Tape tape) : outer_(std::exchange(current_, tape)) {}
  ~TapeScope() { current_ = outer_; }
  TapeScope(const TapeScope&) = delete;
  TapeScope& operator=(const TapeScope&) = delete;
  static Tape current() { return current_; }

 private:
  static thread_local Tape current_;
  Tape outer_;
};

}  // namespace mlxnx::transforms
