// What recurrent layers have in common: a cell that is applied step by step.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "mlxnx/tensor.h"

namespace mlxnx::nn {

/// Tensors of one step, or those of all steps with the axis of steps in front. The first of a state
/// is what the recurrent weights are applied to.
using States = std::vector<Tensor>;

/// One step, element by element. Each gate has two parts, what comes of the input and what the
/// recurrent weights make of the state; all tensors have the shape of the state.
using Cell =
    std::function<States(const States& from_input, const States& from_state, const States& state)>;

struct Recurrence {
  std::string_view layer;            ///< named in errors
  Tensor input_weight;               ///< `[gates · hidden, input]`
  std::optional<Tensor> input_bias;  ///< `[gates · hidden]`
  Tensor state_weight;               ///< `[gates · hidden, hidden]`
  std::optional<Tensor> state_bias;  ///< `[gates · hidden]`
  Cell cell;
};

/// The states after every step of `x`, a tensor `[batch…, length, input]`: each `[batch…, length,
/// hidden]`. `initial` are those before the first step, zeros where there is none.
/// Throws: ShapeError for sizes that do not fit.
States states_of(const Recurrence& recurrence, const Tensor& x,
                 const std::vector<std::optional<Tensor>>& initial);

}  // namespace mlxnx::nn
