// The rules of programs. Builder, serializer and executor share them: nothing malformed reaches
// MLX.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "program/ir.h"

namespace mlxnx::program {

/// Regions may stand within each other this deep.
inline constexpr int kMostNested = 64;

/// The types of an instruction's outputs as the rules answer them; `values` are the types of the
/// values before it. Looks at its operands and at the signatures of its regions, not into them.
/// Throws: ArgumentError, ShapeError, TypeError, UnsupportedError.
OutputTypes infer_outputs(const Instruction& instruction, std::span<const TensorType> values);

/// Throws: ShapeError unless `outputs` may stand where the rules answer `inferred`: the same
/// shapes, and for anything but an op the same types.
void check_outputs(const Instruction& instruction, std::span<const TensorType> inferred,
                   std::span<const TensorType> outputs);

/// The rules of `cond` for branches that are not regions. Throws: ShapeError.
void check_predicate(const TensorType& predicate);
void check_branches(std::span<const TensorType> last, std::span<const TensorType> other);

/// Reruns every rule, in nested regions too.
/// Throws: as `infer_outputs`; the text names the instruction.
void verify(const Region& region);
void verify(const Program& program);

/// `attrs` as an instruction holds them: defaults filled in, and the function, which is a region,
/// left out. Throws: ArgumentError as `ops::normalise`.
ops::Attrs normal_attrs(const ops::Attrs& attrs, const ops::OpDef& op);

/// Stands for a function attribute while rules are asked: the function itself is a region.
ops::Attrs with_function(const ops::Attrs& attrs, const ops::OpDef& op,
                         std::shared_ptr<const ops::Function> function = nullptr);

/// What the op's own rules answer for operands of these types, those that its function captures
/// left out.
ops::OutputTypes own_types(const Instruction& instruction, std::span<const TensorType> operands);

/// Whether one of the op's attributes is a function.
bool takes_function(const ops::OpDef& op);

}  // namespace mlxnx::program
