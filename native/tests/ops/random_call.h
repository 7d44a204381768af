// Random calls of any registered op, sensible and absurd ones, each decided by one number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "mlxnx/tensor.h"
#include "ops/op_def.h"

namespace mlxnx::testing_support {

/// How the elements of an operand come into being: ops see them as known or unknown values, and
/// MLX's kernels see them in rows, with strides, reversed or all in one place.
enum class Form : std::uint8_t { kKnown, kOffset, kTransposed, kReversed, kRepeated, kMask };

struct RandomOperand {
  TensorType type;
  Form form = Form::kKnown;
  std::vector<std::byte> bytes;
};

struct RandomCall {
  const ops::OpDef* op = nullptr;
  std::vector<RandomOperand> operands;
  ops::Attrs attrs;
  /// The type that the caller wants its outputs in, as Nx may; none: the one that the rules say.
  std::optional<DType> wanted = std::nullopt;
};

/// How large operands are.
struct Scale {
  std::span<const std::int64_t> dims;  ///< that they have
  std::int64_t most_elements;
};
/// Odd corners, many calls in little time.
extern const Scale kSmall;
/// Beyond what is computed at once, and beyond what kernels take in one step.
extern const Scale kLarge;

/// Decides everything about a call, from one seed.
class Dice {
 public:
  explicit Dice(std::uint64_t seed, const Scale& scale = kSmall) : scale_(scale), engine_(seed) {}
  const Scale& scale() const { return scale_; }
  /// From 0 to `count` - 1.
  std::size_t below(std::size_t count) { return engine_() % count; }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::size_t>(high - low + 1)));
  }
  /// True in `percent` of 100 cases.
  bool chance(std::size_t percent) { return below(100) < percent; }
  template <typename List>
  const auto& pick(const List& list) {
    return list[below(std::size(list))];
  }
  std::uint64_t bits() { return engine_(); }

 private:
  Scale scale_;
  std::mt19937_64 engine_;
};

/// A call of `op`.
RandomCall random_call(const ops::OpDef& op, Dice& dice);

/// Changes one or more things about `call`: a type, a dimension, the number of operands, an
/// attribute, elements.
void mutate(RandomCall& call, Dice& dice);

/// Elements for `type`: small numbers, special values, or any bits.
std::vector<std::byte> random_bytes(const TensorType& type, Dice& dice);

/// Readable on one line: op, types, shapes, forms and attributes.
std::string to_string(const RandomCall& call);

/// The operand as a tensor; its elements are those of `bytes` in an order that depends on the form.
Tensor tensor_of(const RandomOperand& operand);

/// How the library answered a call.
struct Verdict {
  std::string fault;       ///< what is wrong with the answer, or nothing
  bool evaluated = false;  ///< whether there were outputs
};

/// Makes the call. The library must either throw an exception of mlxnx with a text that begins with
/// `[`, or compute outputs of just the types and shapes that the op's rules said.
Verdict judge(const RandomCall& call);

}  // namespace mlxnx::testing_support
