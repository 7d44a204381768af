// One table over all rows of the registry: calls at which their derivatives are checked.
#pragma once

#include <ostream>
#include <span>
#include <string_view>

#include "transforms/derivative_check.h"

namespace mlxnx::transforms {

/// A call. Operands are words: a type and shape (`f64[2,3]`, a scalar `f64`), and behind it where
/// the elements come from, random ones of -2 to 2 unless told otherwise:
///
/// - `f64[3]:0.1..0.9` random ones between two numbers; `s32[3]:0..4` of integers, both included
/// - `f64[3]=1,2,2` these
/// - `#0` operand 0 again, which makes the call a function of one tensor less
///
/// Inputs become matrices of a kind within the function, so that its derivative is defined:
/// `!spd` A Aᴴ + nI, `!hermitian` A + Aᴴ, `!diagonal` A + 3I.
struct OpCase {
  std::string_view op;
  std::string_view operands;
  std::string_view attrs = "{}";
  double limit = 0;  ///< of check_derivatives
};
std::ostream& operator<<(std::ostream& out, const OpCase& op_case);

std::span<const OpCase> op_cases();

/// The call as a function of its float operands and at a point. `type` replaces f64.
Subject subject(const OpCase& op_case, DType type = DType::f64);

/// The tensors that the words describe; those of `#0` are left out. Each `example` has others: of
/// elements that are given, rows change places.
Tensors operands_of(std::string_view words, DType type = DType::f64, std::size_t example = 0);

}  // namespace mlxnx::transforms
