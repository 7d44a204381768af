// Loops whose course the host can follow: the condition depends only on integer scalars, and so
// does what these become in an iteration. The host then computes them along, and no iteration has
// to wait for the device.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "program/ir.h"

namespace mlxnx::program {

/// Arithmetic on integer scalars in the order of a region's instructions.
class HostCode {
 public:
  /// The code for those of `results`, which are values of `region`, and what they depend on;
  /// nothing when some of it is not integer arithmetic on scalars.
  static std::optional<HostCode> of(const Region& region, std::span<const ValueId> results);

  /// The region's inputs that are read.
  const std::vector<ValueId>& inputs() const { return inputs_; }

  /// `inputs`: of the whole region; only those that are read need a value.
  /// Returns: false where the result is left to the device (a division by zero).
  bool run(std::span<const std::int64_t> inputs, std::vector<std::int64_t>& results);

 private:
  // Returns: whether it knows the answer.
  using Function = bool (*)(std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t& result);
  struct Step {
    Function function;  // null for a constant
    DType type;         // of the result, which wraps to it
    std::uint32_t result;
    std::array<std::uint32_t, 3> operands;
    std::int64_t number;  // of a constant
  };
  static Function function_of(std::string_view op);
  bool add(const Instruction& instruction, std::span<const TensorType> types);

  std::vector<ValueId> inputs_;
  std::vector<ValueId> results_;
  std::vector<Step> steps_;
  std::vector<std::int64_t> slots_;  // by value
};

/// Follows one loop.
class HostLoop {
 public:
  /// Nothing when the loop can't be followed.
  static std::optional<HostLoop> of(const Region& condition, const Region& body);

  /// The operands of the loop whose values it has to know: state and captures, by position.
  const std::vector<ValueId>& known() const { return known_; }
  /// Whether the state at `position` is followed.
  bool follows(std::size_t position) const { return is_followed_[position]; }

  enum class Course : std::uint8_t { kGoesOn, kEnds, kLost };
  /// Whether the loop goes on with these values of all operands.
  Course test(std::span<const std::int64_t> values);
  /// An iteration: the followed values become the next ones. Returns: false when they are lost.
  bool step(std::vector<std::int64_t>& values);

 private:
  HostLoop(HostCode condition, HostCode body)
      : condition_(std::move(condition)), body_(std::move(body)) {}

  HostCode condition_;
  HostCode body_;
  std::vector<ValueId> known_;
  std::vector<ValueId> followed_;  // positions of the body's results
  std::vector<bool> is_followed_;
  std::vector<std::int64_t> scratch_;
};

}  // namespace mlxnx::program
