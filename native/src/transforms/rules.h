// How each op of the registry is differentiated: one row for each of its rows. Rules are written
// with the public functions of tensors and run while a transform is traced, so that what they do
// becomes instructions. Read next: elementwise_rules.cpp for the most of them, interpret.h for
// who asks.
//
// Pairings are real and without conjugation, as in Nx: the derivative of z*z is 2z, and the
// gradient of a real loss u by z = x + iy is du/dx - i du/dy. A rule may answer a tensor that is
// too large, of another type, or complex for a real value: whoever asks sums and casts it
// (`conform`).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mlxnx/tensor.h"
#include "program/ir.h"

namespace mlxnx::transforms {

/// A tangent or a cotangent: none stands for zeros.
using Linear = std::optional<Tensor>;
using Linears = std::vector<Linear>;

/// An instruction that is being differentiated, with its values.
struct Application {
  const program::Instruction& instruction;
  std::span<const Tensor> in;
  std::span<const Tensor> out;

  template <typename T>
  const T& attr(std::string_view name) const {
    return instruction.attrs.get<T>(name);
  }
  template <typename T>
  const T* attr_if(std::string_view name) const {
    return instruction.attrs.get_if<T>(name);
  }
  const Shape& shape(std::size_t i) const { return in[i].shape(); }
};

/// `t` times the partial derivative by operand `i`, of an op that works element by element. `t` is
/// a tangent of that operand or a cotangent of the result.
using Scale = Tensor (*)(const Application& call, std::size_t i, const Tensor& t);
/// The tangents of the results, from those of the operands.
using Forward = Linears (*)(const Application& call, std::span<const Linear> tangents);
/// The cotangent of operand `i`, from that of the one result. Of operands in which an op, or the
/// tangent that it answers, is linear.
using Transpose = Tensor (*)(const Application& call, std::size_t i, const Tensor& cotangent);
/// The results, made of other ops, in whose derivatives the derivative is looked for. Has no `out`.
/// Rows that tell what they mean themselves need none.
using Compose = std::vector<Tensor> (*)(const Application& call);

enum class Derivative : std::uint8_t {
  kZero,         ///< results that jump or do not depend on the operands
  kElementwise,  ///< `scale`
  kJointly,      ///< linear in some operands together: add, concatenate, select
  kEach,         ///< linear in each of some operands while the others stand still: dot
  kForward,      ///< `forward`; the other direction is its transpose, traced or told
  kComposed,     ///< `compose`, or the row's own
  kForwardOnly,  ///< `compose` for tangents; `reason` why not for cotangents
};

struct Rule {
  std::string_view op;  ///< of the registry
  Derivative derivative = Derivative::kZero;
  Scale scale = nullptr;
  /// Of kJointly and kEach, and of kForward with a transpose: the operands it is for, as bits.
  std::uint32_t linear_in = 0;
  Transpose transpose = nullptr;
  Forward forward = nullptr;
  Compose compose = nullptr;
  std::string_view reason = {};

  bool is_linear_in(std::size_t i) const {
    return i < 32 ? (linear_in >> i & 1U) != 0 : all_linear;
  }
  bool all_linear = false;  ///< of any number of operands
};

inline Rule zero(std::string_view op) { return {.op = op}; }
inline Rule elementwise(std::string_view op, Scale scale) {
  return {.op = op, .derivative = Derivative::kElementwise, .scale = scale};
}
inline Rule jointly(std::string_view op, std::uint32_t linear_in, Transpose transpose) {
  return {.op = op,
          .derivative = Derivative::kJointly,
          .linear_in = linear_in,
          .transpose = transpose,
          .all_linear = linear_in == ~0U};
}
inline Rule each(std::string_view op, std::uint32_t linear_in, Transpose transpose) {
  return {
      .op = op, .derivative = Derivative::kEach, .linear_in = linear_in, .transpose = transpose};
}
inline Rule forward(std::string_view op, Forward forward) {
  return {.op = op, .derivative = Derivative::kForward, .forward = forward};
}
/// The same with the other direction told, by operands that the tangents are linear in.
inline Rule forward(std::string_view op, Forward forward, std::uint32_t linear_in,
                    Transpose transpose) {
  return {.op = op,
          .derivative = Derivative::kForward,
          .linear_in = linear_in,
          .transpose = transpose,
          .forward = forward};
}
inline Rule composed(std::string_view op, Compose compose = nullptr) {
  return {.op = op, .derivative = Derivative::kComposed, .compose = compose};
}
inline Rule forward_only(std::string_view op, Compose compose, std::string_view reason) {
  return {.op = op, .derivative = Derivative::kForwardOnly, .compose = compose, .reason = reason};
}

inline constexpr std::uint32_t kFirst = 1;
inline constexpr std::uint32_t kSecond = 2;
inline constexpr std::uint32_t kThird = 4;
inline constexpr std::uint32_t kAll = ~0U;

/// The rules of one family of ops, in its own file.
std::span<const Rule> elementwise_rules();
std::span<const Rule> shape_rules();
std::span<const Rule> indexing_rules();
std::span<const Rule> reduction_rules();
std::span<const Rule> window_rules();
std::span<const Rule> contraction_rules();
std::span<const Rule> quantization_rules();
std::span<const Rule> order_rules();
std::span<const Rule> fft_rules();
std::span<const Rule> linalg_rules();
std::span<const Rule> fast_rules();

/// The rule of a row of the registry, or null where it lacks one.
const Rule* find_rule(const ops::OpDef& op);

}  // namespace mlxnx::transforms
