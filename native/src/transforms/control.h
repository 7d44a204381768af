// Loops, branches and custom gradients differentiated.
#pragma once

#include <utility>

#include "transforms/apply.h"

namespace mlxnx::transforms {

/// Pieces that are computed as a whole, of which a cond takes one and a checkpoint the only: with
/// tangents, and again, hooks aside, where their cotangents lead back.
Duals push_through_pieces(const program::Instruction& instruction, std::span<const Tensor> operands,
                          std::span<const Linear> tangents);
Linears pieces_cotangents(const Application& call, std::span<const Linear> cotangents,
                          const std::vector<bool>& wanted);

/// A while or a while_reverse over pairs: the tangents go round with the state.
Duals push_through_loop(const program::Instruction& instruction, std::span<const Tensor> operands,
                        std::span<const Linear> tangents);
/// A loop that goes back through the iterations, while_reverse.
Linears while_cotangents(const Application& call, std::span<const Linear> cotangents,
                         const std::vector<bool>& wanted);
/// By loops that run anew up to each iteration.
Linears while_reverse_cotangents(const Application& call, std::span<const Linear> cotangents,
                                 const std::vector<bool>& wanted);

/// The transpose of what leads the function's cotangents back, so that both directions agree.
Duals push_through_custom(const program::Instruction& instruction, std::span<const Tensor> operands,
                          std::span<const Linear> tangents);
/// What the function itself says; throws UnsupportedError with its reason where it refuses.
Linears custom_cotangents(const Application& call, std::span<const Linear> cotangents,
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
