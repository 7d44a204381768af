#include "transforms/control.h"

#include <algorithm>

#include "mlxnx/error.h"
#include "transforms/algebra.h"
#include "transforms/cleanup.h"
#include "transforms/interpret.h"
#include "transforms/parts.h"

namespace mlxnx::transforms {

using program::Instruction;
using program::Region;

namespace {

// The instruction with other regions, which take `inputs` behind the predicates.
Tensors emit_with(const Instruction& instruction, std::span<const Tensor> predicates,
                  std::span<const Tensor> inputs, std::vector<RegionPtr> regions) {
  Instruction copy = instruction;
  copy.regions = std::move(regions);
  copy.outputs = program::OutputTypes(copy.regions.front()->output_types());
  return emit(copy, joined(predicates, inputs));
}

// What leads back from the cotangents; null where there is no such function, but a reason.
const Region* backward_of(const Instruction& instruction) {
  return instruction.regions.empty() ? nullptr : instruction.regions.front().get();
}
[[noreturn]] void refuse(const Instruction& instruction) {
  throw UnsupportedError("[custom_vjp] " + instruction.callback);
}

}  // namespace

Duals push_through_pieces(const Instruction& instruction, std::span<const Tensor> operands,
                          std::span<const Linear> tangents) {
  const std::size_t predicates = instruction.predicates;
  const Pairs inputs{is_there(tangents.subspan(predicates))};
  Pairs outputs{std::vector<bool>(instruction.outputs.size())};
  for (const RegionPtr& region : instruction.regions) {
    const std::vector<bool> by_this = reached(*region, inputs.moving);
    for (std::size_t i = 0; i < by_this.size(); ++i)
      outputs.moving[i] = outputs.moving[i] || by_this[i];
  }
  const Tensors all = inputs.pack(operands.subspan(predicates), tangents.subspan(predicates));
  std::vector<RegionPtr> pieces;
  for (const RegionPtr& region : instruction.regions) {
    pieces.push_back(region_of(types_of(all), [&](const Tensors& in) {
      const std::span<const Tensor> values = inputs.values(in);
      const Duals duals =
          push_forward(*region, {values.begin(), values.end()}, inputs.tangents(in));
      return outputs.pack(duals.values, duals.tangents);
    }));
  }
  const Tensors results =
      emit_with(instruction, operands.first(predicates), all, std::move(pieces));
  const std::span<const Tensor> values = outputs.values(results);
  return {{values.begin(), values.end()}, outputs.tangents(results)};
}

Linears pieces_cotangents(const Application& call, std::span<const Linear> cotangents,
                          const std::vector<bool>& wanted) {
  const std::size_t predicates = call.instruction.predicates;
  const std::vector<bool> of_inputs(wanted.begin() + static_cast<std::ptrdiff_t>(predicates),
                                    wanted.end());
  const std::size_t count = of_inputs.size();
  Linears results(call.in.size());
  if (std::find(of_inputs.begin(), of_inputs.end(), true) == of_inputs.end()) return results;
  const std::vector<bool> given = is_there(cotangents);
  Tensors all(call.in.begin() + static_cast<std::ptrdiff_t>(predicates), call.in.end());
  for (const Linear& cotangent : cotangents) {
    if (cotangent) all.push_back(*cotangent);
  }
  std::vector<RegionPtr> pieces;
  for (const RegionPtr& region : call.instruction.regions) {
    pieces.push_back(region_of(types_of(all), [&, quiet = silent(region)](const Tensors& in) {
      const std::span<const Tensor> inputs = std::span(in).first(count);
      const Pullback pullback(*quiet, {inputs.begin(), inputs.end()}, of_inputs);
      const Linears back = pullback(spread(given, std::span(in).subspan(count)));
      Tensors outputs;
      for (std::size_t i = 0; i < count; ++i) {
        if (of_inputs[i]) outputs.push_back(or_zeros(back[i], in[i].type()));
      }
      return outputs;
    }));
  }
  const Linears back = spread(
      of_inputs, emit_with(call.instruction, call.in.first(predicates), all, std::move(pieces)));
  std::copy(back.begin(), back.end(), results.begin() + static_cast<std::ptrdiff_t>(predicates));
  return results;
}

Duals push_through_custom(const Instruction& instruction, std::span<const Tensor> operands,
                          std::span<const Linear> tangents) {
  Duals duals{emit(instruction, operands), Linears(instruction.outputs.size())};
  const std::size_t values = instruction.values;
  const Region* const backward = backward_of(instruction);
  const std::size_t inputs =
      backward == nullptr ? operands.size() - values : backward->outputs.size();
  const std::vector<bool> moving = is_there(tangents.subspan(values, inputs));
  if (std::find(moving.begin(), moving.end(), true) == moving.end()) return duals;
  if (backward == nullptr) refuse(instruction);
  // What leads cotangents back is linear in them; its transpose leads tangents forward.
  Tensors all;
  for (std::size_t i = 0; i < values; ++i) all.push_back(or_zeros({}, operands[i].type()));
  const std::span<const Tensor> captures = operands.subspan(values + inputs);
  all.insert(all.end(), captures.begin(), captures.end());
  const RegionPtr back = region_of(types_of(all), [&](const Tensors& in) {
    const Tensors all_back = run_here(*backward, in);
    Tensors some;
    for (std::size_t i = 0; i < inputs; ++i) {
      if (moving[i]) some.push_back(conform(all_back[i], operands[values + i].type()));
    }
    return some;
  });
  std::vector<bool> wanted(all.size(), false);
  std::fill_n(wanted.begin(), values, true);
  Linears given;
  for (std::size_t i = 0; i < inputs; ++i) {
    if (moving[i]) given.push_back(tangents[values + i]);
  }
  Linears forward = Pullback(*back, all, wanted)(given);
  std::copy_n(forward.begin(), values, duals.tangents.begin());
  return duals;
}

Linears custom_cotangents(const Application& call, std::span<const Linear> cotangents,
                          const std::vector<bool>& wanted) {
  const Instruction& instruction = call.instruction;
  const std::size_t values = instruction.values;
  Linears results(call.in.size());
  const bool is_wanted = std::find(wanted.begin() + static_cast<std::ptrdiff_t>(values),
                                   wanted.end(), true) != wanted.end();
  const Region* const given = backward_of(instruction);
  if (given == nullptr) {
    if (is_wanted) refuse(instruction);
    return results;
  }
  const Region& backward = *given;
  const std::size_t inputs = backward.outputs.size();
  Tensors arguments;
  for (std::size_t i = 0; i < values; ++i)
    arguments.push_back(or_zeros(cotangents[i], call.in[i].type()));
  const Tensors back = run_here(backward, joined(arguments, call.in.subspan(values + inputs)));
  for (std::size_t i = 0; i < inputs; ++i) {
    if (wanted[values + i]) results[values + i] = conform(back[i], call.in[values + i].type());
  }
  return results;
}

}  // namespace mlxnx::transforms
