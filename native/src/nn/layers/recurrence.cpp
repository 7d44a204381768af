#include "nn/layers/recurrence.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"
#include "nn/layers/checks.h"
#include "ops/type_rules.h"

namespace mlxnx::nn {
namespace {

// Steps that are written out one by one. A longer sequence is a loop over pieces of so many.
constexpr std::int64_t kStepsInARow = 64;

Tensor step_of(const Tensor& all, std::int64_t step) {
  const Shape one(all.shape().begin() + 1, all.shape().end());
  return reshape(slice_along_axis(all, step, 1), one);
}

States step_of(const States& all, std::int64_t step) {
  States result;
  for (const Tensor& tensor : all) result.push_back(step_of(tensor, step));
  return result;
}

States piece_of(const States& all, const SliceStart& start, std::int64_t length) {
  States result;
  for (const Tensor& tensor : all) result.push_back(slice_along_axis(tensor, start, length));
  return result;
}

std::int64_t length_of(const States& all) { return all.front().shape().front(); }

Shape with_length(std::int64_t length, Shape shape) {
  shape.insert(shape.begin(), length);
  return shape;
}

Tensor zeros(DType type, const Shape& shape) { return constant(0.0, type, shape); }

// Parts of the last axis, one for each gate.
States gates_of(const Tensor& joined, std::int64_t size) {
  States gates;
  for (std::int64_t start = 0; start < joined.shape().back(); start += size)
    gates.push_back(slice_along_axis(joined, start, size, {.axis = -1}));
  return gates;
}

Tensor product(const Tensor& state, const Tensor& weight, const std::optional<Tensor>& bias) {
  return plus_bias(dot(state, {-1}, weight, {1}), bias);
}

// What is carried from step to step, and what each step answers, stacked.
struct Scan {
  States carried, answers;
  MLXNX_MEMBERS(carried, answers)
};

// Several steps, written out: `carried` on, and the answers of each step with an axis of them.
// `inputs` have that axis as well.
using Piece = std::function<Scan(const States& inputs, const States& carried)>;

Tensor put(const Tensor& whole, const Tensor& start, const Tensor& piece) {
  std::vector<SliceStart> starts(whole.rank(), std::int64_t{0});
  starts.front() = start;
  return put_slice(whole, starts, piece);
}

// All steps of `inputs`, from the first to the last or the other way round. `answers` are the
// shapes of what a step answers.
Scan scan(const States& inputs, const States& initial, const std::vector<Shape>& answers,
          const Piece& piece, bool is_backward) {
  const std::int64_t length = length_of(inputs), count = length / kStepsInARow;
  if (count < 2) return piece(inputs, initial);
  const std::int64_t rest = length % kStepsInARow;
  // What does not fill a piece is the end of the sequence, whichever way it goes.
  const auto of_rest = [&](const States& carried) {
    return piece(piece_of(inputs, length - rest, rest), carried);
  };
  Scan last{initial, {}};
  if (is_backward && rest > 0) last = of_rest(initial);
  Scan begin{last.carried, {}};
  for (const Shape& shape : answers) {
    begin.answers.push_back(
        zeros(initial.front().dtype(), with_length(count * kStepsInARow, shape)));
  }
  const auto [done, looped] = while_loop(
      std::tuple(Tensor(std::int64_t{0}), begin),
      [&](const auto& state) { return less(std::get<0>(state), count); },
      [&](const auto& state) {
        const auto& [number, before] = state;
        const Tensor place = is_backward ? count - 1 - number : number;
        const Tensor start = place * kStepsInARow;
        Scan after = piece(piece_of(inputs, start, kStepsInARow), before.carried);
        for (std::size_t i = 0; i < after.answers.size(); ++i)
          after.answers[i] = put(before.answers[i], start, after.answers[i]);
        return std::tuple(number + 1, after);
      });
  if (!is_backward) last = rest > 0 ? of_rest(looped.carried) : Scan{looped.carried, {}};
  Scan whole{is_backward ? looped.carried : last.carried, looped.answers};
  for (std::size_t i = 0; i < last.answers.size(); ++i)
    whole.answers[i] = concatenate({whole.answers[i], last.answers[i]});
  return whole;
}

// Answers, which were collected step by step, with an axis of steps.
States stacked(const std::vector<States>& steps) {
  States result;
  for (std::size_t i = 0; i < steps.front().size(); ++i) {
    std::vector<Tensor> column;
    for (const States& step : steps) column.push_back(step[i]);
    result.push_back(stack(column));
  }
  return result;
}

// The states after every step.
States forward(const Cell& cell, const Tensor& from_inputs, const Tensor& weight,
               const std::optional<Tensor>& bias, const States& initial) {
  const std::int64_t size = weight.shape().back();
  const auto piece = [&](const States& inputs, const States& carried) {
    std::vector<States> steps;
    States state = carried;
    for (std::int64_t step = 0; step < length_of(inputs); ++step) {
      state = cell(gates_of(step_of(inputs.front(), step), size),
                   gates_of(product(state.front(), weight, bias), size), state);
      steps.push_back(state);
    }
    return Scan{state, stacked(steps)};
  };
  const std::vector<Shape> shapes(initial.size(), initial.front().shape());
  return scan({from_inputs}, initial, shapes, piece, false).answers;
}

// The cotangents of the arguments of `forward` but for the cell. Products with weights are those of
// all steps at once, except for the one that leads from step to step.
auto backward(const Cell& cell, const Tensor& from_inputs, const Tensor& weight,
              const std::optional<Tensor>& bias, const States& initial, const States& after,
              const States& cotangents) {
  const std::int64_t length = length_of(after), size = weight.shape().back();
  const std::size_t count = initial.size();
  States before;
  for (std::size_t i = 0; i < count; ++i) {
    const Tensor first = new_axis(initial[i], 0);
    before.push_back(length == 1 ? first
                                 : concatenate({first, slice_along_axis(after[i], 0, length - 1)}));
  }
  States all{from_inputs, product(before.front(), weight, bias)};
  all.insert(all.end(), before.begin(), before.end());
  all.insert(all.end(), cotangents.begin(), cotangents.end());
  const auto part = [count](const States& of_step, std::size_t first) {
    const auto begin = of_step.begin() + static_cast<std::ptrdiff_t>(first);
    return States(begin, begin + static_cast<std::ptrdiff_t>(count));
  };
  const auto piece = [&](const States& inputs, const States& carried) {
    std::vector<States> steps;
    States back = carried;
    for (std::int64_t step = length_of(inputs) - 1; step >= 0; --step) {
      const States now = step_of(inputs, step);
      const States given = part(now, 2 + count);
      for (std::size_t i = 0; i < count; ++i) back[i] = back[i] + given[i];
      const auto of_step =
          vjp(cell, std::tuple(gates_of(now[0], size), gates_of(now[1], size), part(now, 2)), back)
              .second;
      const Tensor of_product = concatenate(std::get<1>(of_step), {.axis = -1});
      back = std::get<2>(of_step);
      back.front() = back.front() + dot(of_product, {-1}, weight, {0});
      steps.push_back({concatenate(std::get<0>(of_step), {.axis = -1}), of_product});
    }
    std::reverse(steps.begin(), steps.end());
    return Scan{back, stacked(steps)};
  };
  States nothing;
  for (const Tensor& tensor : initial) nothing.push_back(zeros(tensor.dtype(), tensor.shape()));
  const Shape joined(all[1].shape().begin() + 1, all[1].shape().end());
  const Scan whole = scan(all, nothing, {joined, joined}, piece, true);
  const Tensor &of_inputs = whole.answers[0], &of_products = whole.answers[1];
  Axes together;
  for (std::int64_t axis = 0; axis + 1 < static_cast<std::int64_t>(of_products.rank()); ++axis)
    together.push_back(axis);
  std::optional<Tensor> of_bias;
  if (bias) of_bias = sum(of_products, {.axes = together});
  return std::tuple(of_inputs, dot(of_products, together, before.front(), together), of_bias,
                    whole.carried);
}

void require_shape(const Tensor& state, const Shape& shape, const Tensor& x,
                   std::string_view layer) {
  if (state.shape() == shape) return;
  throw ShapeError(fmt::format("[{}] a state for {} should have the shape {}, got {}", layer,
                               to_string(x.type()), to_string(shape), to_string(state.type())));
}

}  // namespace

States states_of(const Recurrence& recurrence, const Tensor& x,
                 const std::vector<std::optional<Tensor>>& initial) {
  const Cell& cell = recurrence.cell;
  const Tensor& weight = recurrence.state_weight;
  require_rank(x, 2, kAnyRank, "batch (if any), length, channels", recurrence.layer);
  require_last_axis(x, recurrence.input_weight.shape().back(), recurrence.layer);
  const auto rank = static_cast<std::int64_t>(x.rank());
  const std::int64_t length = x.shape()[x.rank() - 2];
  Shape shape = x.shape();
  shape.pop_back();
  shape.back() = weight.shape().back();
  // Steps lie one after the other, each a block of its own.
  Axes steps_first{rank - 2}, steps_last;
  for (std::int64_t axis = 0; axis < rank - 2; ++axis) {
    steps_first.push_back(axis);
    steps_last.push_back(axis + 1);
  }
  steps_first.push_back(rank - 1);
  steps_last.push_back(0);
  steps_last.push_back(rank - 1);
  const Tensor given =
      product(transpose(x, {.axes = steps_first}), recurrence.input_weight, recurrence.input_bias);
  DType type = ops::merge(given.dtype(), weight.dtype());
  for (const auto& state : initial) {
    if (!state) continue;
    require_shape(*state, shape, x, recurrence.layer);
    type = ops::merge(type, state->dtype());
  }
  States states;
  for (const auto& state : initial)
    states.push_back(state ? as_type(*state, type) : zeros(type, shape));
  if (length == 0) {
    States none;
    for (const Tensor& state : states) none.push_back(zeros(type, with_length(0, state.shape())));
    states = std::move(none);
  } else {
    const auto run = [&](const Tensor& inputs, const Tensor& w, const std::optional<Tensor>& bias,
                         const States& first) { return forward(cell, inputs, w, bias, first); };
    const auto back = [&](const States& cotangents, const auto& arguments, const States& after) {
      const auto& [inputs, w, bias, first] = arguments;
      return backward(cell, inputs, w, bias, first, after, cotangents);
    };
    states = custom_vjp(run, back)(as_type(given, type), weight, recurrence.state_bias, states);
  }
  for (Tensor& state : states) state = transpose(state, {.axes = steps_last});
  return states;
}

}  // namespace mlxnx::nn
