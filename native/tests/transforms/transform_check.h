// Functions that are put through the transforms, which have to answer or to refuse clearly.
#pragma once

#include <vector>

#include "mlxnx/tensor.h"
#include "ops/random_call.h"
#include "program/ir.h"

namespace mlxnx::testing_support {

/// Whether and how what a transform made is run.
enum class Running { kNot, kOnce };

/// Differentiates a well-formed function in both directions by all its inputs. The transforms must
/// make well-formed functions, which must answer just the types that were promised, and in both
/// directions the same derivative; or they throw UnsupportedError.
/// Returns: what is wrong, and whether the directions were compared: both were there, and numbers
/// had digits to tell.
Verdict judge_transforms(const program::Region& function, const std::vector<Tensor>& inputs,
                         Running running = Running::kOnce);

/// The same for a function that does nothing but `call`, if that is one that gives an answer.
Verdict judge_derivative(const RandomCall& call);

/// Maps a well-formed function over some of its inputs, along random axes. Must answer what the
/// loop over the examples does, of which `inputs` is one; refusals as above.
Verdict judge_mapping(const program::Region& function, const std::vector<Tensor>& inputs,
                      Dice& dice, Running running = Running::kOnce);

/// The same for a function that does nothing but `call`.
Verdict judge_mapping(const RandomCall& call, Dice& dice);

}  // namespace mlxnx::testing_support
